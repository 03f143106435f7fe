"""One model, loaded once; three tasks that share its components."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image
from diffusers.utils import logging as diffusers_logging
from PIL import Image
from transformers.utils import logging as transformers_logging

from protocol.errors import AlphaloomError
from protocol.model import ResolvedRequest

from .conditioning import Conditioner
from .models import Model, fingerprint
from .worker import Cancelled, OnStep

MAX_SIDE = 2048
MAX_SOURCE_PIXELS = 4096 * 4096


class Engine:
    """Raises AlphaloomError `unsupported_model` when the model cannot be loaded."""

    max_side = MAX_SIDE

    def __init__(self, model: Model, device: str | None = None):
        diffusers_logging.set_verbosity_error()
        diffusers_logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
        self.model = model
        self.device = device or ("cuda" if torch.cuda.is_available() else "mps" if _mps() else "cpu")
        dtype = torch.float32 if self.device == "cpu" else torch.float16
        try:
            first = AutoPipelineForText2Image.from_pretrained(model.source, dtype=dtype, use_safetensors=True)
            first.to(self.device)
            first.set_progress_bar_config(disable=True)
            self._pipelines = {
                "txt2img": first,
                "img2img": AutoPipelineForImage2Image.from_pipe(first),
                "inpaint": AutoPipelineForInpainting.from_pipe(first),
            }
            for pipeline in self._pipelines.values():
                pipeline.set_progress_bar_config(disable=True)
            self._conditioner = Conditioner(first)
        except Exception as problem:  # diffusers, transformers and the hub each raise their own kinds
            reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
            raise AlphaloomError(
                "unsupported_model",
                f"Cannot load {model.source!r}: {reason}. It must be a Stable Diffusion or SDXL in diffusers format "
                "with safetensors weights.",
            ) from None
        self._scheduler = first.scheduler
        self.tasks = tuple(self._pipelines)
        self.fingerprint = fingerprint(model, self._device_kind())

    def run(
        self,
        request: ResolvedRequest,
        source: bytes | None = None,
        mask: bytes | None = None,
        on_step: OnStep = lambda step, steps: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> tuple[bytes, ResolvedRequest]:
        """The picture as PNG, and the request with what was left to the edge filled in.

        Raises Cancelled, or AlphaloomError `unknown_task`, `wrong_model`, `bad_prompt`, `bad_source` or `out_of_memory`.
        """
        if request.task not in self._pipelines:
            raise AlphaloomError("unknown_task", f"No task is called {request.task!r}. Use {', '.join(self._pipelines)}.")
        if request.model not in ("", self.model.id):
            raise AlphaloomError("wrong_model", f"This edge runs {self.model.id!r}, not {request.model!r}.")
        if cancelled():
            raise Cancelled
        request = replace(request, model=self.model.id, steps=request.steps or self.model.steps)
        pictures = _pictures(request, source, mask)
        pipeline = self._pipelines[request.task]
        # A scheduler keeps the state of the run it is in, so every job has its own.
        pipeline.scheduler = type(self._scheduler).from_config(self._scheduler.config)

        def after_step(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            on_step(step + 1, pipe.num_timesteps)
            if cancelled():
                raise Cancelled
            return tensors

        try:
            picture = pipeline(
                **self._conditioner.encode(request.phrases, request.negative, request.guidance > 1),
                **_arguments(request, pictures),
                num_inference_steps=request.steps,
                guidance_scale=request.guidance,
                generator=torch.Generator("cpu").manual_seed(request.seed),
                callback_on_step_end=after_step,
            ).images[0]
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            raise AlphaloomError(
                "out_of_memory", f"{request.width}x{request.height} does not fit this device; ask for a smaller picture."
            ) from None
        if "mask" in pictures:  # what was not masked keeps its very pixels
            picture = Image.composite(picture, pictures["source"], pictures["mask"])
        out = io.BytesIO()
        picture.save(out, "PNG")
        return out.getvalue(), request

    def _device_kind(self) -> str:
        """Two devices of one kind make the same picture of the same noise."""
        return torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else self.device


def _arguments(request: ResolvedRequest, pictures: dict[str, Image.Image]) -> dict[str, Any]:
    """What the three tasks' pipelines are called with beyond what they share."""
    if request.task == "txt2img":
        return {"width": request.width, "height": request.height}
    assert request.steps is not None
    # Below 1/steps no step would be left to run.
    changing = {"image": pictures["source"], "strength": max(request.strength, 1 / request.steps)}
    if request.task == "img2img":
        return changing
    return changing | {"mask_image": pictures["mask"], "width": request.width, "height": request.height}


def _pictures(request: ResolvedRequest, source: bytes | None, mask: bytes | None) -> dict[str, Image.Image]:
    size = (request.width, request.height)
    wanted = {"txt2img": {}, "img2img": {"source": source}, "inpaint": {"source": source, "mask": mask}}[request.task]
    return {name: _open(name, data).resize(size, Image.Resampling.LANCZOS) for name, data in wanted.items()}


def _open(name: str, data: bytes | None) -> Image.Image:
    try:
        if data is None:
            raise ValueError("there is none")
        picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
        if picture.width * picture.height > MAX_SOURCE_PIXELS:
            raise ValueError(f"it has {picture.width}x{picture.height} pixels")
        return picture.convert("L" if name == "mask" else "RGB")
    except Exception as problem:  # Pillow raises many kinds for a broken picture
        raise AlphaloomError("bad_source", f"The {name} is no usable picture: {problem}.") from None


def _mps() -> bool:
    return torch.backends.mps.is_available()
