"""torch.compile on the CPU, where there is a C++ compiler."""

import shutil
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from torch._dynamo.utils import counters

from edge import compiling, tiling
from edge.adapters import Adapters
from edge.device import Device
from protocol.errors import AlphaloomError
from protocol.model import Lora

CPU = Device("cpu", torch.float32, compile=True)
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))), reason="there is no C++ compiler, which torch.compile needs"
)


def make(pipeline: Any, side: int = 64) -> np.ndarray:
    """(h, w, 3), 0..1."""
    settings = {"width": side, "height": side, "num_inference_steps": 2, "output_type": "np"}
    return pipeline("red marble", generator=torch.Generator().manual_seed(1), **settings).images[0]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=[pytest.mark.long, needs_compiler])])
def test_compiled_and_not_take_turns_and_each_makes_its_own_bytes(tmp_path: Path, backend: str) -> None:
    pipeline = DiffusionPipeline.from_pretrained(families.save("sd15", tmp_path / "model"), use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    families.save_lora("sd15", tmp_path / "lora")
    bent = Adapters(pipeline, CPU)
    plain = make(pipeline)
    torch._dynamo.reset()
    counters.clear()
    compiling.prepare(pipeline, backend)
    compiling.use(pipeline, True)
    compiled = make(pipeline)
    graphs = counters["stats"]["unique_graphs"]
    assert graphs > 1
    np.testing.assert_allclose(compiled, plain, atol=1e-3)
    np.testing.assert_array_equal(make(pipeline), compiled)
    assert counters["stats"]["unique_graphs"] == graphs

    compiling.use(pipeline, False)
    np.testing.assert_array_equal(make(pipeline), plain)
    tiling.apply([pipeline.unet, pipeline.vae], "x")
    bent.loras((Lora("lora"),), lambda id_: tmp_path / id_)
    assert np.abs(make(pipeline) - plain).mean() > 0.003
    tiling.apply([pipeline.unet, pipeline.vae], "")
    bent.loras((), lambda id_: tmp_path / id_)
    np.testing.assert_array_equal(make(pipeline), plain)
    assert counters["stats"]["unique_graphs"] == graphs

    compiling.use(pipeline, True)
    assert np.isfinite(make(pipeline, 96)).all()  # another size, and by now a LoRA's layers, idle
    np.testing.assert_allclose(make(pipeline), plain, atol=1e-3)


def test_where_nothing_can_be_compiled_it_says_so(tmp_path: Path, monkeypatch) -> None:
    pipeline = DiffusionPipeline.from_pretrained(families.save("sd15", tmp_path), use_safetensors=True)

    def compile_(function: Any, backend: str) -> Any:
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", compile_)
    with pytest.raises(AlphaloomError, match="No working C") as caught:
        compiling.prepare(pipeline)
    assert caught.value.code == "bad_device"
    compiling.use(pipeline, True)
    assert np.isfinite(make(pipeline)).all()
