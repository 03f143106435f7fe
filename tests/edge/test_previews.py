"""Small pictures straight from the latents."""

import gc
import inspect
import io
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoPipelineForText2Image,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)
from PIL import Image

from edge.autoencoder import Autoencoder
from edge.device import choose
from edge.models import pixel_autoencoder, shelf  # noqa: F401 -- diffusers finds it by name, and only where it is loaded already
from edge.previews import LONGEST, Previewer, Watch

CPU = choose("cpu", "float32")
SCHEDULERS = (
    DDIMScheduler,
    DDPMScheduler,
    PNDMScheduler,
    EulerDiscreteScheduler,
    EulerAncestralDiscreteScheduler,
    HeunDiscreteScheduler,
    DPMSolverMultistepScheduler,
    UniPCMultistepScheduler,
    LCMScheduler,
    TCDScheduler,
)


def colours(height: int = 192, width: int = 192) -> torch.Tensor:
    """(1, 3, height, width) in 0..1: orange to blue, darker towards the bottom."""
    across, down = torch.linspace(0, 1, width)[None, :], torch.linspace(1, 0.4, height)[:, None]
    return torch.stack([(0.9 - 0.7 * across) * down, (0.5 + 0 * across) * down, (0.1 + 0.8 * across) * down])[None]


def embedded() -> Any:
    return AutoPipelineForText2Image.from_pretrained(shelf.find(shelf.EMBEDDED).source, use_safetensors=True).vae


def untrained(**more: Any) -> Any:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(8, 16, 16),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        **more,
    ).eval()


def encoded(vae: Any, pictures: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        found = vae.encode(pictures * 2 - 1)
    latents = found.latents if hasattr(found, "latents") else found.latent_dist.mode()
    return latents[0] * vae.config.scaling_factor


def shown(jpeg: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(jpeg))
    assert picture.format == "JPEG"
    return np.asarray(picture, float)


def test_a_preview_has_the_colours_of_the_picture() -> None:
    vae = embedded()
    previewer = Previewer(Autoencoder(vae, CPU))
    latents = encoded(vae, colours())
    preview = shown(previewer.jpeg(latents))
    assert preview.shape[:2] == latents.shape[1:]
    truth = torch.nn.functional.interpolate(colours(), latents.shape[1:], mode="area")[0].movedim(0, -1).numpy() * 255
    assert np.abs(preview - truth)[2:-2, 2:-2].mean() < 12


def test_a_vae_whose_latents_are_normalised_is_understood() -> None:
    vae = untrained()
    plain = shown(Previewer(Autoencoder(vae, CPU)).jpeg(encoded(vae, colours())))
    normal = untrained(latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[0.5, 2.0, 1.0, 1.0])
    mean, std = (torch.tensor(of).view(4, 1, 1) for of in (normal.config.latents_mean, normal.config.latents_std))
    scaling = normal.config.scaling_factor
    latents = (encoded(vae, colours()) - mean * scaling) / std
    assert np.abs(shown(Previewer(Autoencoder(normal, CPU)).jpeg(latents)) - plain).mean() < 2


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (256, 256), (256, 32), (30, 200)])
def test_it_is_small_and_keeps_its_proportions(size: tuple[int, int]) -> None:
    vae = untrained()
    height, width = shown(Previewer(Autoencoder(vae, CPU)).jpeg(torch.zeros(4, *size))).shape[:2]
    assert max(height, width) == min(LONGEST, max(size))
    assert height / width == pytest.approx(size[0] / size[1], rel=0.05)


def test_latents_that_are_no_numbers_are_a_preview_too() -> None:
    assert shown(Previewer(Autoencoder(untrained(), CPU)).jpeg(torch.full((4, 8, 8), torch.nan))).shape == (8, 8, 3)


def test_a_vae_that_gives_no_numbers_gives_grey() -> None:
    vae = untrained()
    torch.nn.init.constant_(vae.quant_conv.weight, torch.nan)
    assert np.abs(shown(Previewer(Autoencoder(vae, CPU)).jpeg(torch.zeros(4, 8, 8))) - 127.5).max() <= 2


def test_half_precision_is_understood() -> None:
    vae = embedded()
    latents = encoded(vae, colours())
    exact = shown(Previewer(Autoencoder(vae, CPU)).jpeg(latents))
    half = shown(Previewer(Autoencoder(vae.to(torch.bfloat16), CPU)).jpeg(latents.bfloat16()))
    assert np.abs(exact - half).mean() < 4 and vae.dtype == torch.bfloat16


def test_the_fit_disturbs_nobodys_random_numbers() -> None:
    previewer = Previewer(Autoencoder(untrained(), CPU))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    previewer.jpeg(torch.zeros(4, 8, 8))
    torch.testing.assert_close(torch.rand(3), expected)


# -- what a job is on the way to --


def predicted(scheduler: Any, picture: torch.Tensor, sample: torch.Tensor, timestep: Any) -> torch.Tensor:
    """What a model would say that knows the picture."""
    kept = float(scheduler.alphas_cumprod[int(timestep)])
    if float(scheduler.init_noise_sigma) != 1.0:
        level = float(scheduler.sigmas[scheduler.step_index or 0])
        noise = (sample - picture) / max(level, 1e-6)
        signal, share = (1 / (1 + level**2)) ** 0.5, level / (1 + level**2) ** 0.5
    else:
        noise = (sample - kept**0.5 * picture) / (1 - kept) ** 0.5
        signal, share = kept**0.5, (1 - kept) ** 0.5
    if scheduler.config.prediction_type == "v_prediction":
        return signal * noise - share * picture
    return noise


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("kind", SCHEDULERS)
def test_every_scheduler_is_seen_to_be_on_the_way_to_the_picture(kind: Any, prediction: str) -> None:
    picture = torch.randn(2, 4, 8, 8).clamp(-1, 1)
    more = {"clip_sample": False} if kind in (DDIMScheduler, DDPMScheduler, LCMScheduler) else {}
    scheduler = kind(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction, **more)
    watch = Watch(scheduler)
    assert watch.clean() is None
    scheduler.set_timesteps(8)
    sample = torch.randn(2, 4, 8, 8) * float(scheduler.init_noise_sigma)
    for timestep in scheduler.timesteps:
        scheduler.scale_model_input(sample, timestep)
        sample = scheduler.step(predicted(scheduler, picture, sample, timestep), timestep, sample, return_dict=False)[0]
        found = watch.clean()
        assert found is not None and (found - picture).abs().mean() < 0.05


def test_watching_changes_nothing() -> None:
    def run(watched: bool) -> torch.Tensor:
        scheduler = EulerAncestralDiscreteScheduler()
        if watched:
            Watch(scheduler)
        assert "generator" in inspect.signature(scheduler.step).parameters  # pipelines ask
        scheduler.set_timesteps(4)
        sample, generator = torch.ones(1, 4, 8, 8), torch.Generator().manual_seed(1)
        for timestep in scheduler.timesteps:
            sample = scheduler.step(sample * 0.1, timestep, sample, generator=generator, return_dict=False)[0]
        return sample

    torch.testing.assert_close(run(True), run(False), rtol=0, atol=0)


def test_a_scheduler_that_was_watched_is_let_go_of() -> None:
    gc.disable()
    try:
        scheduler = DDIMScheduler()
        watch, gone = Watch(scheduler), weakref.ref(scheduler)
        scheduler.set_timesteps(2)
        scheduler.step(torch.ones(1, 4, 8, 8), scheduler.timesteps[0], torch.ones(1, 4, 8, 8))
        del scheduler
        assert gone() is None and watch.clean() is None
    finally:
        gc.enable()
