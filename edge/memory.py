"""Making a model fit: three rungs, each needing less memory and more time; and telling that memory was what ran out."""

from __future__ import annotations

import ctypes
import gc
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn

from .device import Device

WHOLE, IN_PIECES, OFFLOADED = range(3)
RUNGS = (
    "everything at once",
    "one picture at a time, the decoder in pieces",
    "one part of the model at a time, the rest in the CPU's memory",
)
PIECE = 256
"""Pixels a side of what an autoencoder does at once on the lower rungs."""
WORKING = {WHOLE: (0.5, 256 << 20), IN_PIECES: (0.15, 128 << 20)}
"""What a picture needs beside the weights: a share of their size, and bytes. For 512x512 with the weights of SD 1.5, and
1024x1024 with those of SDXL; of greater ones it is seen when they are made."""
_SIGNS = (
    "out of memory",
    "not enough memory",
    "cannot allocate memory",
    "can't allocate memory",
    "bad_alloc",
    "alloc_failed",
    "bad allocation",
)
"""What RuntimeErrors say when it was memory: torch's CPU allocator, MPS, cuBLAS and cuDNN, C++ on Linux and on Windows."""
_OF_ONEDNN = {"could not create a primitive", "could not create a memory object", "could not execute a primitive"}
"""All that oneDNN says, after it has agreed to what is asked for: that fails with "... primitive descriptor"."""


class Ladder:
    """The rung that the pipelines of one model are on; they share their parts.

    Attention is sliced only on MPS: elsewhere torch's own computes it in small blocks already, and slices take more memory
    (measured, SD 1.5's UNet at 512x512 in bfloat16: 238 MB in blocks, 253 to 410 MB in slices, 135 MB one picture at a time).
    """

    def __init__(self, pipelines: Iterable[Any], device: Device):
        self._pipelines, self._device = list(pipelines), device
        first = self._pipelines[0]
        self._unet, self._vae = first.unet, first.vae
        self._parts = [part for part in first.components.values() if isinstance(part, nn.Module)]
        self._first = self.rung = WHOLE
        self.lowest = OFFLOADED if device.type == "cuda" else IN_PIECES

    @property
    def name(self) -> str:
        return RUNGS[self.rung]

    def start(self) -> None:
        """Put the parts, which are in the CPU's memory, on the device, on the highest rung that fits what is free there."""
        weights = sum(tensor.nbytes for part in self._parts for tensor in (*part.parameters(), *part.buffers()))
        moved = weights if self._device.type == "cuda" else 0  # elsewhere they are in this memory already
        rooms = [moved + share * weights + more for share, more in WORKING.values()]
        free_ = free(self._device)
        self._first = next((rung for rung, room in enumerate(rooms) if room <= free_), self.lowest)
        if self._first < OFFLOADED:
            self._place(self._parts)
        else:
            for part in self._parts:
                self._device.order(part)
        self.go(self._first)

    def take(self, pipeline: Any) -> None:
        """One more, if it is not known, over the same parts, with what it adds to them."""
        if any(pipeline is known for known in self._pipelines):
            return
        self._pipelines.append(pipeline)
        new = [part for part in pipeline.components.values() if isinstance(part, nn.Module) and part not in self._parts]
        if self.rung == OFFLOADED:
            pipeline.enable_model_cpu_offload(device=self._device.name)
        else:
            self._place(new)
        self._parts += new

    def forget(self, pipeline: Any) -> None:
        """It is not used any more."""
        self._pipelines = [known for known in self._pipelines if known is not pipeline]
        own = {id(part) for known in self._pipelines for part in known.components.values()}
        self._parts = [part for part in self._parts if id(part) in own]

    def lower(self) -> bool:
        """Go one rung down; False if there is none."""
        if self.rung >= self.lowest:
            return False
        self.go(self.rung + 1)
        return True

    def back(self) -> None:
        """Return to where it started: after a job that was too large, or the next ones would be slower for it."""
        self.go(self._first)

    def go(self, rung: int) -> None:
        """On the same rung the same request makes the same bytes, whichever way it was come to."""
        before, self.rung = self.rung, rung
        if before == rung:
            return
        if before == OFFLOADED:
            for pipeline in self._pipelines:
                pipeline.remove_all_hooks()
            self._place(self._parts)
        _in_pieces(self._unet, self._vae, rung >= IN_PIECES)
        if self._device.type == "mps":
            for pipeline in self._pipelines:
                pipeline.enable_attention_slicing("auto" if rung >= IN_PIECES else None)
        if rung == OFFLOADED:
            for pipeline in self._pipelines:
                pipeline.enable_model_cpu_offload(device=self._device.name)

    def _place(self, parts: Iterable[nn.Module]) -> None:
        for part in parts:
            self._device.place(part)


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether it was memory, the device's or the CPU's, that ran out."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(problem).lower()
    return isinstance(problem, RuntimeError) and (said in _OF_ONEDNN or any(sign in said for sign in _SIGNS))


def release(device: Device, problem: BaseException | None = None) -> None:
    """Give back what is not in use; also what `problem`, by the frames that it came through, still holds."""
    while problem is not None:
        traceback.clear_frames(problem.__traceback__)
        problem = problem.__context__
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    elif sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)  # glibc keeps what lies between things still in use


def free(device: Device) -> int:
    """Bytes that can be had."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device.name)[0])
    return min(psutil.virtual_memory().available, _left_of_container())


def _left_of_container(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes until the kernel ends whoever is in this container; as good as endless where there is none."""
    try:
        return int((root / "memory.max").read_text()) - int((root / "memory.current").read_text())
    except (OSError, ValueError):  # no control groups, or "max"
        return 1 << 62


def _in_pieces(unet: Any, vae: Any, wanted: bool) -> None:
    unet.__dict__.pop("forward", None)
    vae.use_slicing = vae.use_tiling = wanted
    if wanted:
        scale = 2 ** (len(vae.config.block_out_channels) - 1)
        vae.tile_sample_min_size, vae.tile_latent_min_size = PIECE, PIECE // scale
        if hasattr(vae, "spatial_scale_factor"):
            vae.spatial_scale_factor = scale  # AutoencoderTiny takes it for 8 whatever its blocks are
        unet.__dict__["forward"] = _one_at_a_time(unet.forward)


def _one_at_a_time(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A UNet's forward that computes the pictures of a batch, guidance's two halves among them, one after the other."""

    def call(sample: torch.Tensor, *more: Any, **named: Any) -> Any:
        batch = sample.shape[0]
        if batch == 1:
            return forward(sample, *more, **named)
        made = [forward(*_nth((sample, *more), n, batch), **_nth(named, n, batch)) for n in range(batch)]
        if isinstance(made[0], tuple):
            return (torch.cat([one[0] for one in made]),)
        made[0].sample = torch.cat([one.sample for one in made])
        return made[0]

    return call


def _nth(value: Any, n: int, batch: int) -> Any:
    """What belongs to the nth picture, in tensors, and in lists, tuples and dictionaries of them."""
    if isinstance(value, torch.Tensor):
        return value[n : n + 1] if value.dim() and value.shape[0] == batch else value
    if isinstance(value, dict):
        return {key: _nth(one, n, batch) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_nth(one, n, batch) for one in value)
    return value
