"""Seams, looked for where they would be: a seamless network does to a picture that is rolled round what it did before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, ControlNetModel, DiffusionPipeline
from torch import Tensor
from torch.nn import functional

from edge import tiling
from edge.device import Device
from edge.models import shelf

BFLOAT16 = Device("cpu", torch.bfloat16)
AXES = {"": (), "x": (-1,), "y": (-2,), "xy": (-2, -1)}


def load(folder: Any, dtype: torch.dtype = torch.float32) -> Any:
    pipeline = DiffusionPipeline.from_pretrained(folder, use_safetensors=True, dtype=dtype)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def embedded() -> Any:
    pipeline = load(shelf.find(shelf.EMBEDDED).source, torch.bfloat16)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        BFLOAT16.place(part)
    return pipeline


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(families.save("sd15", tmp_path_factory.mktemp("sd15")))


@pytest.fixture
def seamless(sd15: Any) -> Iterator[Any]:
    """A function that tiles, and what it tiled is taken back."""
    parts = [sd15.unet, sd15.vae]
    yield lambda how: tiling.apply(parts, how)
    tiling.apply(parts, "")
    sd15.vae.disable_tiling()


def make(pipeline: Any, how: str, prompt: str = "red marble", **more: Any) -> np.ndarray:
    """(h, w, 3), 0..1."""
    tiling.apply([pipeline.unet, pipeline.vae], how)
    settings = {"width": 128, "height": 128, "num_inference_steps": 8, "guidance_scale": 4.0, "output_type": "np"} | more
    return pipeline(prompt, generator=torch.Generator().manual_seed(1), **settings).images[0]


def step(picture: np.ndarray, axis: int, cell: int = 4) -> tuple[float, float]:
    """The mean difference of neighbours over the seam of this axis (0 is y), and inside, where a latent ends as it does
    there: every `cell` pixels."""
    size = picture.shape[axis]
    jumps = np.abs(picture - np.roll(picture, -1, axis)).swapaxes(0, axis)[cell - 1 :: cell]
    assert len(jumps) == size // cell
    return float(jumps[-1].mean()), float(jumps[:-1].mean())


def rolls(network: Any, picture: Tensor, cells: int, axis: int) -> float:
    """How far the rolled picture's outcome is from the outcome rolled, beside its own size; `cells` of the input."""
    before = network(picture)
    scale = before.shape[axis] / picture.shape[axis]
    after = network(picture.roll(cells, axis))
    return float((after - before.roll(round(cells * scale), axis)).abs().max() / before.abs().max())


@pytest.mark.parametrize("prompt", ["red marble", "green grass"])
@pytest.mark.parametrize("how", AXES)
def test_the_seam_is_no_greater_than_what_is_inside_along_tiled_axes_only(embedded: Any, how: str, prompt: str) -> None:
    picture = make(embedded, how, prompt)
    for axis in (0, 1):
        seam, inside = step(picture, axis)
        if axis - 2 in AXES[how]:
            assert seam < 1.5 * inside
        else:
            assert seam > 2 * inside


def test_taken_back_it_makes_the_same_bytes(embedded: Any) -> None:
    before = make(embedded, "")
    tiled = {how: make(embedded, how) for how in ("x", "y", "xy")}
    np.testing.assert_array_equal(make(embedded, ""), before)
    for how in ("y", "xy", "xy", "x"):
        np.testing.assert_array_equal(make(embedded, how), tiled[how])
    np.testing.assert_array_equal(make(embedded, ""), before)
    assert not any("_conv_forward" in part.__dict__ for part in embedded.unet.modules())


def test_padding_takes_the_other_side_and_keeps_a_pixels_channels_together() -> None:
    picture = torch.randn(2, 8, 6, 5).to(memory_format=torch.channels_last)
    wide = tiling.pad(picture, (1, 2, 3, 0), "xy")
    assert wide.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(wide, functional.pad(picture, (1, 2, 3, 0), mode="circular"))
    assert torch.equal(tiling.pad(picture, (1, 2, 3, 0), "x")[..., :3, :], torch.zeros(2, 8, 3, 8))


@torch.inference_mode()
@pytest.mark.parametrize("how", AXES)
def test_every_layer_of_unet_decoder_and_encoder_is_seamless(sd15: Any, seamless: Any, how: str) -> None:
    seamless(how)
    words = torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(2))
    networks = {
        "unet": (lambda x: sd15.unet(x, 500, words).sample, torch.randn(1, 4, 16, 16)),
        "decoder": (lambda z: sd15.vae.decode(z).sample, torch.randn(1, 4, 8, 8)),
        "encoder": (lambda p: sd15.vae.encode(p).latent_dist.mode(), torch.randn(1, 3, 64, 64)),
    }
    for name, (network, picture) in networks.items():
        for axis in (-2, -1):
            wrong = rolls(network, picture, picture.shape[axis] // 2, axis)
            assert (wrong < 1e-4) == (axis in AXES[how]), (name, axis, wrong)


@torch.inference_mode()
def test_convolutions_of_a_lora_are_seamless_too(tmp_path: Path) -> None:
    pipeline = load(families.save("sd15", tmp_path / "model"))
    words, latents = torch.randn(1, 77, 32), torch.randn(1, 4, 16, 16)
    tiling.apply([pipeline.unet], "x")
    pipeline.load_lora_weights(families.save_lora("sd15", tmp_path / "lora", convolutions=True))
    tiling.apply([pipeline.unet], "x")
    assert rolls(lambda x: pipeline.unet(x, 500, words).sample, latents, 8, -1) < 1e-4
    tiling.apply([pipeline.unet], "")
    assert rolls(lambda x: pipeline.unet(x, 500, words).sample, latents, 8, -1) > 1e-3


@torch.inference_mode()
def test_a_controlnet_is_seamless_too(tmp_path: Path) -> None:
    control = ControlNetModel.from_pretrained(families.save_controlnet("sd15", tmp_path), use_safetensors=True)
    words, latents, depth = torch.randn(1, 77, 32), torch.randn(1, 4, 16, 16), torch.randn(1, 3, 128, 128)

    def network(cells: Tensor) -> Tensor:
        shift = 0 if torch.equal(cells, latents) else 64
        return control(cells, 500, words, controlnet_cond=depth.roll(shift, -1)).down_block_res_samples[0]

    assert rolls(network, latents, 8, -1) > 1e-3
    tiling.apply([control], "x")
    assert rolls(network, latents, 8, -1) < 1e-4


@torch.inference_mode()
@pytest.mark.parametrize("how", ["x", "y", "xy"])
def test_a_decoder_that_works_in_pieces_is_seamless_over_the_edge(sd15: Any, seamless: Any, how: str) -> None:
    """Its pieces are blended, so a roll changes a little everywhere; the seam is as smooth as the inside."""
    seamless(how)
    y, x = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    latents = torch.stack([torch.sin(a * 2 * np.pi / 24 + n) for n, a in enumerate((x, y, x + y, x - y))])[None] * 2
    whole = sd15.vae.decode(latents).sample
    sd15.vae.enable_tiling()
    sd15.vae.tile_latent_min_size, sd15.vae.tile_sample_min_size = 16, 128
    pieces = sd15.vae.decode(latents).sample
    assert pieces.shape == whole.shape and not torch.equal(pieces, whole)
    for axis in AXES[how]:
        seam, inside = step(pieces[0].movedim(0, -1).numpy(), axis + 2, cell=8)
        assert seam < 1.5 * inside
    encoded = sd15.vae.encode(whole).latent_dist.mode()
    assert encoded.shape == latents.shape and torch.isfinite(encoded).all()
    sd15.vae.disable_tiling()
    assert torch.equal(sd15.vae.decode(latents).sample, whole)


@torch.inference_mode()
def test_pieces_without_tiling_are_as_ever(sd15: Any, seamless: Any) -> None:
    latents = torch.randn(1, 4, 24, 24)
    sd15.vae.enable_tiling()
    sd15.vae.tile_latent_min_size, sd15.vae.tile_sample_min_size = 16, 128
    before = sd15.vae.decode(latents).sample
    seamless("xy")
    assert not torch.equal(sd15.vae.decode(latents).sample, before)
    seamless("")
    assert torch.equal(sd15.vae.decode(latents).sample, before)


@torch.inference_mode()
def test_a_tiny_decoder_in_pieces_is_cut_to_its_size() -> None:
    vae = AutoencoderTiny()
    vae.enable_tiling()
    latents = torch.randn(1, 4, 72, 16)
    size = vae.decode(latents).sample.shape
    tiling.apply([vae], "xy")
    assert vae.decode(latents).sample.shape == size == (1, 3, 576, 128)
    assert vae.encode(torch.zeros(size)).latents.shape == latents.shape


@pytest.mark.parametrize("size", [(64, 64), (72, 200), (136, 64)])
def test_odd_sizes_are_tiled_too(embedded: Any, size: tuple[int, int]) -> None:
    width, height = size
    picture = make(embedded, "xy", width=width, height=height, num_inference_steps=2)
    assert picture.shape == (height, width, 3) and np.isfinite(picture).all()
