"""What a picture will be, while it is being made: small JPEGs straight from the latents, without the decoder."""

from __future__ import annotations

import functools
import io
import weakref
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image

from .autoencoder import Autoencoder

LONGEST = 128
"""Pixels of a preview's longer side, at most."""
_QUALITY = 80


class Previewer:
    """A linear map from latents to colours, for one VAE.

    Each latent pixel stands for one colour, near enough linearly that the map can be had by least squares. It is fitted at
    its first use, by encoding six smooth colour fields of 64² pixels.
    """

    def __init__(self, autoencoder: Autoencoder):
        self._autoencoder = autoencoder
        self._map: torch.Tensor | None = None

    @torch.inference_mode()
    def jpeg(self, latents: torch.Tensor) -> bytes:
        """Of (channels, height, width) latents, as the scheduler gives them."""
        if self._map is None or self._map.device != latents.device:
            self._map = self._fitted().to(latents.device)
        height, width = latents.shape[-2:]
        latents = latents[None].float()
        if (longest := max(height, width)) > LONGEST:
            size = [max(1, side * LONGEST // longest) for side in (height, width)]
            latents = F.interpolate(latents, size, mode="area")
        colours = torch.einsum("chw,cr->hwr", latents[0], self._map[:-1]) + self._map[-1]
        # A model that has gone astray gives numbers that are none.
        pixels = colours.nan_to_num(0.5).clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()
        out = io.BytesIO()
        # At this size colours of half the resolution would be seen.
        Image.fromarray(pixels).save(out, "JPEG", quality=_QUALITY, subsampling=0)
        return out.getvalue()

    def _fitted(self) -> torch.Tensor:
        """(channels + 1, 3): colours in 0..1 are latents @ map[:-1] + map[-1]."""
        fields = _smooth_fields()
        latents = self._autoencoder.encode(fields * 2 - 1).float().cpu()
        colours = F.interpolate(fields, latents.shape[-2:], mode="area")
        # At its borders a VAE sees what is not there.
        points, colours = (of[..., 1:-1, 1:-1].movedim(1, -1).flatten(0, 2) for of in (latents, colours))
        known = torch.cat([points, torch.ones(len(points), 1)], dim=1)
        if not known.isfinite().all():  # grey is what can be said then
            return torch.cat([torch.zeros(points.shape[1], 3), torch.full((1, 3), 0.5)])
        # Of several equally good maps the smallest: an untrained VAE may not use all of its channels.
        return torch.linalg.lstsq(known.double(), colours.double(), driver="gelsd").solution.float()


def _smooth_fields() -> torch.Tensor:
    """(6, 3, 64, 64) in 0..1, always the same."""
    corners = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    fields = F.interpolate(corners, (64, 64), mode="bicubic", align_corners=True)
    return ((fields - 0.5) * 1.4 + 0.5).clamp(0, 1)


class Watch:
    """Over a scheduler of one job: what clean picture its last step was on the way to.

    What the scheduler is at itself is mostly noise until shortly before the end; what the model takes the noise to hide shows
    the picture's plan from the first steps on. Nothing is computed until it is asked for, and nothing in the job is changed.
    """

    def __init__(self, scheduler: Any):
        self._last: tuple[torch.Tensor, Any, torch.Tensor, tuple[Any, ...]] | None = None
        # A circle of scheduler, step and watch would keep the job's tensors until somebody collects it.
        own, its_step = weakref.ref(scheduler), type(scheduler).step
        self._scheduler = own

        @functools.wraps(its_step)  # pipelines look at its signature
        def step(model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *more: Any, **named: Any) -> Any:
            made = its_step(own(), model_output, timestep, sample, *more, **named)
            self._last = (model_output, timestep, sample, made if isinstance(made, tuple) else ())
            return made

        scheduler.step = step

    @torch.inference_mode()
    def clean(self) -> torch.Tensor | None:
        """(batch, channels, height, width); None before the first step."""
        scheduler = self._scheduler()
        if self._last is None or scheduler is None:
            return None
        output, timestep, sample, made = self._last
        if float(scheduler.init_noise_sigma) != 1.0:  # the variance-exploding ones (Euler's, Heun's ...) all tell it
            return made[1] if len(made) > 1 else None
        return _without_noise(scheduler, output, timestep, sample)


def _without_noise(scheduler: Any, output: torch.Tensor, timestep: Any, sample: torch.Tensor) -> torch.Tensor:
    """x0 of x = √ᾱ·x0 + √(1-ᾱ)·ε, by what the model predicts (Salimans, Ho: Progressive distillation, appendix D)."""
    kept = scheduler.alphas_cumprod[int(timestep)].item()
    signal, noise = kept**0.5, (1 - kept) ** 0.5
    if scheduler.config.prediction_type == "v_prediction":
        return signal * sample - noise * output
    if scheduler.config.prediction_type == "sample":
        return output
    return (sample - noise * output) / max(signal, 1e-3)
