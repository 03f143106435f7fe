"""Between pictures and the latents that a UNet works on."""

from __future__ import annotations

from typing import Any

import torch

from .device import Device


class Autoencoder:
    """A model's own, whatever it scales and moves its latents by."""

    def __init__(self, vae: Any, device: Device):
        self.vae, self._device = vae, device

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latents (n, 4, h/8, w/8) of pictures (n, 3, h, w) in -1..1; the mean of their distribution, no sample."""
        found = self.vae.encode(pixels.to(self._device.name, self.vae.dtype))
        latents = found.latents if hasattr(found, "latents") else found.latent_dist.mode()
        mean, scale = self._scaling(latents)
        return (latents - mean) * scale

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures (n, 3, h, w), float32, 0..1. What cannot be told is not finite."""
        mean, scale = self._scaling(latents)
        latents = latents / scale + mean
        decoded = self.vae.decode(latents.to(self.vae.dtype), return_dict=False)[0].float()
        if self.vae.dtype != torch.float32 and torch.isfinite(latents).all() and not torch.isfinite(decoded).all():
            half = self.vae.dtype
            self.vae.to(torch.float32)  # it overflows in half precision
            decoded = self.vae.decode(latents.float(), return_dict=False)[0]
            self.vae.to(half)  # the next picture is made as if this had not been
        return (decoded / 2 + 0.5).clamp(0, 1)

    def _scaling(self, latents: torch.Tensor) -> tuple[Any, Any]:
        """The mean, and the factor, that the UNet's latents are apart from the autoencoder's."""
        config = self.vae.config
        mean, deviation = config.get("latents_mean"), config.get("latents_std")
        if mean is None or deviation is None:
            return 0.0, config.scaling_factor
        return _channels(mean, latents), config.scaling_factor / _channels(deviation, latents)


def _channels(values: list[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, -1, 1, 1)
