"""What is computed on, with which numbers, and in which order in memory."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from protocol.errors import AlphaloomError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_FAST_BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")
"""What a CPU calls its own bfloat16 arithmetic: Intel's matrix unit, AVX-512's, ARM's."""
_ALIGNED = 64
"""Bytes. Weights mapped from a file lie anywhere, and a matrix product's last bits depend on where."""
_AGREES = 0.02
"""The greatest relative error that bfloat16 may have beside float32: its numbers have eight bits, its sums more."""


@dataclass(frozen=True)
class Device:
    name: str
    """As torch says it: "cpu", "cuda", "cuda:1", "mps"."""
    dtype: torch.dtype
    channels_last: bool = True
    """Whether convolutions keep a pixel's channels together."""
    compile: bool = False

    @property
    def type(self) -> str:
        return self.name.split(":")[0]

    @property
    def kind(self) -> str:
        """Two devices of one kind make the same picture, bit by bit, of the same request: also for people to read."""
        if self.type == "cuda":
            model = torch.cuda.get_device_name(self.name)
        elif self.type == "cpu":
            matrix_unit = " AMX" if torch.cpu.get_capabilities().get("amx_tile") else ""
            model = f"cpu {platform.machine()} {torch.backends.cpu.get_cpu_capability()}{matrix_unit}"
        else:
            model = f"{self.name} {platform.machine()} {platform.mac_ver()[0]}".strip()
        dtype = str(self.dtype).removeprefix("torch.")
        threads = f" {torch.get_num_threads()} threads" if self.type == "cpu" else ""
        return f"{model} {dtype}{threads}{' compiled' if self.compile else ''}"

    def order(self, module: Any) -> None:
        """Lay a part of a pipeline out as it is fast here, wherever it is."""
        if self.channels_last:
            module.to(memory_format=torch.channels_last)

    def place(self, module: Any) -> Any:
        """Put a part of a pipeline here, in this order; its numbers stay what they were loaded as."""
        module.to(self.name)
        self.order(module)
        if self.type == "cpu":
            for weights in (*module.parameters(), *module.buffers()):
                if weights.data_ptr() % _ALIGNED:
                    weights.data = weights.data.clone()
        return module


def choose(name: str | None = None, dtype: str | None = None, compile: bool = False) -> Device:
    """The device that is asked for, or the best there is. `dtype` is one of DTYPES; "auto" or None: the fastest that holds.

    Raises AlphaloomError `bad_device`, with what there is.
    """
    name = name or _available()[0]
    if name not in _available():
        there = ", ".join(_available())
        raise AlphaloomError("bad_device", f"There is no device {name!r} here. Use {there}.", device=name, available=there)
    if dtype in (None, "auto"):
        return Device(name, _best_dtype(name), compile=compile)
    if dtype not in DTYPES:
        raise AlphaloomError("bad_device", f"No numbers are called {dtype!r}. Use auto, {', '.join(DTYPES)}.", dtype=dtype)
    return Device(name, DTYPES[dtype], compile=compile)


def _available() -> list[str]:
    """The best first."""
    cuda = [f"cuda:{n}" for n in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*(["cuda", *cuda] if cuda else []), *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def _best_dtype(name: str) -> torch.dtype:
    if name == "mps":
        return torch.float16
    if name.startswith("cuda"):
        with torch.cuda.device(name):
            # Emulated on older ones, it would be slower than float32.
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if _cpu_has_fast_bfloat16() and bfloat16_agrees(name) else torch.float32


def _cpu_has_fast_bfloat16() -> bool:
    """By what the CPU reports, and only where oneDNN, which has the fast kernels, is in this torch and uses them."""
    return (
        any(torch.cpu.get_capabilities().get(feature) for feature in _FAST_BFLOAT16)
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


@torch.inference_mode()
def bfloat16_agrees(name: str = "cpu") -> bool:
    """Whether a convolution and a matrix product in bfloat16 are those in float32 but for rounding, on this device."""
    random = torch.Generator().manual_seed(0)
    picture = torch.randn(2, 32, 24, 24, generator=random).to(name, memory_format=torch.channels_last)
    convolution = nn.utils.skip_init(nn.Conv2d, 32, 48, 3, padding=1).to(name, memory_format=torch.channels_last)
    for weights in convolution.parameters():
        weights.copy_(torch.randn(weights.shape, generator=random))
    rows, columns = (torch.randn(96, 128, generator=random).to(name) for _ in range(2))
    exact = [convolution(picture), rows @ columns.T]
    rounded = [convolution.bfloat16()(picture.bfloat16()), rows.bfloat16() @ columns.bfloat16().T]
    return all(bool((found.float() - true).norm() <= _AGREES * true.norm()) for found, true in zip(rounded, exact, strict=True))
