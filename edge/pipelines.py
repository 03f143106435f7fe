"""A model's components, loaded once, and the pipelines over them: three tasks, each with a ControlNet or without.

The stock pipelines draw the noise and encode the source themselves, anew each time. Ours are the same classes with what
prepares latents replaced: it takes those that are held.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    AutoPipelineForText2Image,
    StableDiffusionPipeline,
)
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from protocol.errors import AlphaloomError

from . import memory
from .device import Device
from .models import pixel_autoencoder  # noqa: F401 -- diffusers finds it by name, and only where it is loaded already

KINDS: dict[str, Any] = {
    "txt2img": AutoPipelineForText2Image,
    "img2img": AutoPipelineForImage2Image,
    "inpaint": AutoPipelineForInpainting,
}


class Held:
    """Beside a stock pipeline's class. All are latents, (samples, channels, h, w)."""

    noise: torch.Tensor
    source: torch.Tensor
    masked: torch.Tensor
    """What an inpainting model sees of the source."""
    scheduler: Any


class HeldImg2Img(Held):
    def prepare_latents(self, image: torch.Tensor, timestep: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return self.scheduler.add_noise(self.source, self.noise, timestep)


class HeldInpaint(Held):
    def prepare_latents(
        self,
        *_: Any,
        timestep: torch.Tensor,
        is_strength_max: bool = True,
        return_noise: bool = False,
        return_image_latents: bool = False,
        **__: Any,
    ) -> tuple[torch.Tensor, ...]:
        if is_strength_max:
            latents = self.noise * self.scheduler.init_noise_sigma
        else:
            latents = self.scheduler.add_noise(self.source, self.noise, timestep)
        return (latents, *([self.noise] if return_noise else []), *([self.source] if return_image_latents else []))

    def prepare_mask_latents(self, mask: torch.Tensor, *more: Any) -> tuple[torch.Tensor, torch.Tensor]:
        is_guided = more[-1]
        small = torch.nn.functional.interpolate(mask, size=self.noise.shape[-2:]).to(self.noise)
        return (torch.cat([small, small]), torch.cat([self.masked, self.masked])) if is_guided else (small, self.masked)


class Pipelines:
    """In the CPU's memory, where they were loaded; what puts them elsewhere is `memory`.

    Raises AlphaloomError `unsupported_model` when the model cannot be loaded, and whatever says that it is too large.
    """

    def __init__(self, source: str, device: Device):
        diffusers_logging.set_verbosity_error()
        diffusers_logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
        try:
            self.first = _kind(source).from_pretrained(
                source, dtype=device.dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False
            )
            self._made = {("txt2img", None): self.first}
            for task in KINDS:
                self.of(task)
        except Exception as problem:  # diffusers, transformers and the hub each raise their own kinds
            if memory.is_out_of_memory(problem):
                raise
            reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
            raise AlphaloomError(
                "unsupported_model",
                f"Cannot load {_name(source)!r}: {reason}. It must be a Stable Diffusion or SDXL in diffusers format "
                "with safetensors weights.",
            ) from None
        self.first.set_progress_bar_config(disable=True)
        self.unet, self.vae, self.scheduler = self.first.unet, self.first.vae, self.first.scheduler
        if device.dtype == torch.float16 and self.vae.config.get("force_upcast"):
            self.vae.to(torch.float32)  # such an autoencoder overflows: black pictures
        self.only_inpaints = self.unet.config.in_channels == 9

    def of(self, task: str, controlnet: Any = None) -> Any:
        """The pipeline of a task, over the components that are there."""
        key = (task, controlnet)
        if key not in self._made:
            more = {} if controlnet is None else {"controlnet": controlnet}
            pipeline = KINDS[task].from_pipe(self.first, **more)
            if held := {"img2img": HeldImg2Img, "inpaint": HeldInpaint}.get(task):
                # `from_pipe` of a class of our own would cast every component to its own dtype.
                pipeline.__class__ = type(f"Held{type(pipeline).__name__}", (held, type(pipeline)), {})
            pipeline.set_progress_bar_config(disable=True)
            self._made[key] = pipeline
        return self._made[key]

    def forget(self, kept: Collection[Any]) -> list[Any]:
        """Drop the pipelines of ControlNets that are not kept any longer; those."""
        gone = [key for key in self._made if key[1] is not None and not any(key[1] is one for one in kept)]
        return [self._made.pop(key) for key in gone]

    def all(self) -> list[Any]:
        return list(self._made.values())


def _name(source: str) -> str:
    """What people call a model's folder. Where it is stays here: brokers hear this."""
    return Path(source).name.replace("@", "/")  # as edge.models.pull.folder_name


def _kind(source: str) -> Any:
    """What loads a model's folder. An LCM's own pipeline has no other tasks; its parts are a Stable Diffusion's."""
    index = json.loads((Path(source) / "model_index.json").read_text(encoding="utf-8"))
    return StableDiffusionPipeline if index.get("_class_name") == "LatentConsistencyModelPipeline" else KINDS["txt2img"]
