"""Memory that runs out, really; and what the lower rungs change in a picture."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
from diffusers import AutoPipelineForImage2Image, ControlNetModel, DiffusionPipeline

from edge import memory
from edge.device import Device
from edge.memory import IN_PIECES, OFFLOADED, WHOLE, Ladder
from edge.models import shelf

ROOT = Path(__file__).resolve().parents[2]
CPU = Device("cpu", torch.float32)

SHORT_OF_MEMORY = """
import os, resource, torch
from diffusers import AutoencoderTiny, DiffusionPipeline
from edge import memory
from edge.models import pixel_autoencoder, shelf
from edge.device import Device

device = Device("cpu", torch.bfloat16)
pipeline = DiffusionPipeline.from_pretrained(shelf.find(shelf.EMBEDDED).source, use_safetensors=True, dtype=device.dtype)
pipeline.set_progress_bar_config(disable=True)
# The model's own autoencoder needs so little that decoding in pieces saves nothing; one that ends at full resolution does.
torch.manual_seed(0)
wide = {f"{side}_block_out_channels": (64, 64, 64) for side in ("encoder", "decoder")}
many = {"num_encoder_blocks": (1, 3, 3), "num_decoder_blocks": (3, 3, 1)}
pipeline.vae = AutoencoderTiny(latent_channels=4, **wide, **many).to(device.dtype).eval()
ladder = memory.Ladder([pipeline], device)
ladder.start()

def make(side):
    settings = {"width": side, "height": side, "num_inference_steps": 1, "output_type": "np"}
    return pipeline("red", generator=torch.Generator().manual_seed(1), **settings).images[0]

def attempt(side):
    try:
        return make(side) is not None
    except Exception as problem:
        assert memory.is_out_of_memory(problem), repr(problem)
        memory.release(device, problem)
        return False

def leave_only(room):
    used = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + (room << 20), resource.RLIM_INFINITY))

before = make(64)

def tried(room):
    # In a process of its own: what one failure leaves behind is not the next one's.
    child = os.fork()
    if not child:
        leave_only(room)
        ladder.back()
        fits = attempt(1024), ladder.lower() and attempt(1024)
        ladder.back()
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os._exit(10 + 2 * fits[0] + fits[1] if (make(64) == before).all() else 20)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

found = {room: tried(room) for room in (50, 300, 350, 400)}
assert found[50] == 10, found  # on neither, and the next picture is as before
assert 11 in found.values(), found  # on the lower one only
"""


def load(folder: Any) -> Any:
    pipeline = DiffusionPipeline.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def make(pipeline: Any, side: int = 64, **more: Any) -> np.ndarray:
    """(h, w, 3), 0..1."""
    settings = {"width": side, "height": side, "num_inference_steps": 2, "guidance_scale": 4.0, "output_type": "np"} | more
    return pipeline("red marble", generator=torch.Generator().manual_seed(1), **settings).images[0]


@pytest.fixture
def embedded() -> Any:
    return load(shelf.find(shelf.EMBEDDED).source)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a test say how much memory a process may have")
def test_what_does_not_fit_is_made_on_the_lower_rung_and_what_fits_on_none_is_reported() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}  # forks have no threads
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:116] data. DefaultCPUAllocator: not enough memory: you tried to allocate"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("could not create a primitive"),
    ],
    ids=str,
)
def test_every_way_to_say_that_memory_ran_out_is_understood(problem: Exception) -> None:
    assert memory.is_out_of_memory(problem)


@pytest.mark.parametrize(
    "problem",
    [
        RuntimeError("could not create a primitive descriptor for a convolution"),
        RuntimeError("The size of tensor a (9) must match the size of tensor b (4)"),
        ValueError("out of memory"),
        KeyboardInterrupt(),
    ],
    ids=str,
)
def test_other_problems_are_not_taken_for_it(problem: BaseException) -> None:
    assert not memory.is_out_of_memory(problem)


def test_memory_that_a_problem_still_holds_is_given_back() -> None:
    alive = []

    class Large:
        def __del__(self) -> None:
            alive.clear()

    def compute() -> None:
        large = Large()
        alive.append(id(large))
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError) as caught:
        compute()
    assert alive
    memory.release(CPU, caught.value)
    assert not alive


@pytest.mark.parametrize("family", ["sd15", "sd21", "sdxl", "lcm_sdxl"])
def test_one_picture_at_a_time_is_the_same_picture_but_for_rounding(family: str, tmp_path: Path) -> None:
    pipeline = load(families.save(family, tmp_path))
    ladder = Ladder([pipeline], CPU)
    ladder.start()
    assert ladder.rung == WHOLE
    settings = {"num_images_per_prompt": 2}
    whole = make(pipeline, **settings)
    assert ladder.lower() and ladder.rung == IN_PIECES and "one picture at a time" in ladder.name
    np.testing.assert_allclose(make(pipeline, **settings), whole, atol=1e-4)
    assert not ladder.lower() and ladder.rung == IN_PIECES
    ladder.back()
    np.testing.assert_array_equal(make(pipeline, **settings), whole)


def test_in_pieces_with_a_controlnet(tmp_path: Path) -> None:
    from diffusers import StableDiffusionControlNetPipeline

    first = load(families.save("sd15", tmp_path / "model"))
    ladder = Ladder([first], CPU)
    ladder.start()
    control = ControlNetModel.from_pretrained(families.save_controlnet("sd15", tmp_path / "control"), use_safetensors=True)
    pipeline = StableDiffusionControlNetPipeline.from_pipe(first, controlnet=control)
    pipeline.set_progress_bar_config(disable=True)
    ladder.take(pipeline)
    depth = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    whole = make(pipeline, image=depth)
    ladder.lower()
    np.testing.assert_allclose(make(pipeline, image=depth), whole, atol=1e-4)


def test_a_large_picture_in_pieces_looks_like_the_whole_one(embedded: Any) -> None:
    ladder = Ladder([embedded], CPU)
    ladder.start()
    from_picture = AutoPipelineForImage2Image.from_pipe(embedded)
    from_picture.set_progress_bar_config(disable=True)
    ladder.take(from_picture)
    whole = make(embedded, 512)
    again = make(from_picture, image=whole[None], strength=0.5, width=None, height=None)
    ladder.lower()
    pieces = make(embedded, 512)
    assert pieces.shape == whole.shape and 0 < np.abs(pieces - whole).mean() < 0.01
    assert np.abs(make(from_picture, image=whole[None], strength=0.5, width=None, height=None) - again).mean() < 0.05


def test_it_starts_on_the_highest_rung_that_fits(embedded: Any, monkeypatch) -> None:
    weights = sum(p.nbytes for part in (embedded.unet, embedded.vae, embedded.text_encoder) for p in part.parameters())
    for free, rung in ((weights + (260 << 20), WHOLE), (150 << 20, IN_PIECES), (1 << 20, IN_PIECES)):
        monkeypatch.setattr(memory, "free", lambda device, free=free: free)
        ladder = Ladder([embedded], CPU)
        ladder.start()
        assert ladder.rung == rung
        ladder.lower()
        ladder.back()
        assert ladder.rung == rung


def test_offloading_keeps_the_picture_and_can_be_taken_back(tmp_path: Path) -> None:
    """On the CPU, which it moves to and from, as no other device is sure to be here; CUDA's own memory is not tried."""
    pipeline = load(families.save("sdxl", tmp_path))
    second = AutoPipelineForImage2Image.from_pipe(pipeline)
    ladder = Ladder([pipeline, second], CPU)
    ladder.lowest = OFFLOADED
    ladder.start()
    whole = make(pipeline)
    assert ladder.lower() and ladder.lower() and ladder.rung == OFFLOADED and not ladder.lower()
    for _ in range(2):
        np.testing.assert_allclose(make(pipeline), whole, atol=1e-4)
    ladder.back()
    np.testing.assert_array_equal(make(pipeline), whole)


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert memory._left_of_container(tmp_path) > 1 << 60
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory._left_of_container(tmp_path) > 1 << 60
    (tmp_path / "memory.max").write_text("5000\n")
    assert memory._left_of_container(tmp_path) == 4000
    assert 0 < memory.free(CPU) < 1 << 60


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
def test_a_gpu_without_room_offloads(embedded: Any, monkeypatch) -> None:
    device = Device("cuda", torch.float32)
    monkeypatch.setattr(memory, "free", lambda device: 1 << 20)
    ladder = Ladder([embedded], device)
    ladder.start()
    assert ladder.rung == OFFLOADED and np.isfinite(make(embedded)).all()
    assert embedded.unet.device.type == "cpu"
    ladder.go(WHOLE)
    assert embedded.unet.device.type == "cuda" and np.isfinite(make(embedded)).all()
