"""One model, loaded once: orders in, pictures out.

Design notes
- An order is checked and prepared (`prepare`) before the device does anything for it; what belongs together is made at once
  (`make`).
- What did not change is not computed again: texts' embeddings, noise and sources' latents are held. When only EEG moves,
  the UNet and the decoder run, nothing else.
- Each call of a pipeline has a scheduler of its own: it keeps the state of the run that it is in.
- Out of memory is never the end: a batch is made one by one, a picture on the ladder's next rung, and then it is an error.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from protocol.errors import AlphaloomError
from protocol.model import ResolvedRequest

from . import compiling, inputs, memory, metadata, noise, schedulers, tiling
from .adapters import Adapters
from .autoencoder import Autoencoder
from .conditioning import Conditioner, Conditioning
from .device import Device
from .models.shelf import Model, fingerprint, weights_hash
from .orders import Cancelled, Order, Picture
from .pipelines import Pipelines
from .previews import Previewer, Watch
from .versions import versions

log = logging.getLogger("edge")

TASKS = ("txt2img", "img2img", "inpaint")
MAX_SIDE = 2048
MAX_BATCH = 8
PREVIEW_S, PREVIEW_SHARE = 0.1, 0.01
"""Previews come no oftener, and take no larger part of the time."""
SOURCES = 8
"""Latents that are held."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Prepared:
    """An order whose inputs have been checked, and what the pipeline is called with."""

    order: Order
    request: ResolvedRequest
    """With what was left to the edge filled in."""
    pictures: dict[str, Image.Image]
    conditioning: Conditioning
    guidance: Hashable
    """What must be equal of it in a batch."""

    @property
    def shape(self) -> Hashable:
        """Those of equal shape can be made at once: each keeps its words, seed and guidance."""
        r = self.request
        strength = None if r.task == "txt2img" else r.strength
        control = (r.control, r.control_strength) if r.depth else None
        made = (r.model, r.task, r.width, r.height, r.steps, self.guidance, r.scheduler, r.tiling)
        return (*made, strength, r.loras, control, self.conditioning.length)


class Guidance(float):
    """One scale for each sample. The pipelines ask whether it is above 1, and multiply a tensor (n, 4, h, w) by it."""

    scales: torch.Tensor

    @classmethod
    def of(cls, scales: Sequence[float], device: Device) -> Guidance:
        made = cls(scales[0])
        made.scales = torch.tensor(scales, dtype=torch.float32, device=device.name).view(-1, 1, 1, 1)
        return made

    def __mul__(self, difference: Any) -> Any:
        return (self.scales * difference.float()).to(difference.dtype)


class Engine:
    """Raises AlphaloomError `unsupported_model` when the model cannot be loaded, `bad_device` when it cannot be compiled.

    `folder_of` finds a LoRA's or ControlNet's folder by its id. `rung` is the ladder's to begin at, or a lower one where the
    model needs it.
    """

    def __init__(self, model: Model, device: Device, folder_of: Callable[[str], Path] | None = None, rung: int = 0):
        self.model, self.device = model, device
        try:
            self._pipelines = Pipelines(model.source, device)
            self._ladder = memory.Ladder(self._pipelines.all(), device)
            self._ladder.start()
        except Exception as problem:
            if not memory.is_out_of_memory(problem):
                raise
            raise AlphaloomError(
                "out_of_memory", f"The model {model.id!r} does not fit {device.name}; use a smaller one.", model=model.id
            ) from None
        self._least = rung
        self._too_much = dict[int, int]()
        """The pixels, by rung, from which on it has been too much for that rung."""
        self._adapters = Adapters(self._pipelines.first, device)
        self._folder_of = folder_of or _nowhere
        self._conditioner = lru_cache(4)(lambda loras: Conditioner(self._pipelines.first))
        self._autoencoder = Autoencoder(self._pipelines.vae, device)
        self._latents_of = lru_cache(SOURCES)(self._encode)
        self._previewer = Previewer(self._autoencoder)
        if device.compile:
            compiling.prepare(self._pipelines.first)
        self._own_scheduler = schedulers.name_of(self._pipelines.scheduler)
        self._most = dict[int, int]()
        """The largest batch, by the pixels from which on a larger one was too much."""
        self.tasks = ("inpaint",) if self._pipelines.only_inpaints else TASKS
        self.fingerprint, self._hash = fingerprint(model, device.kind), weights_hash(model)

    # -- one order --

    def run(self, order: Order) -> Picture:
        """Raises Cancelled or AlphaloomError, as `prepare` and `make` do."""
        made = self.make([self.prepare(order)])[0]
        if isinstance(made, Exception):
            raise made
        return made

    def prepare(self, order: Order) -> Prepared:
        """Raises AlphaloomError for what cannot be made: `bad_value`, `wrong_model`, `bad_prompt`, `bad_source` and others."""
        request = self._filled(order.request)
        inputs.check(request, self.tasks)
        self._scheduler(request)
        if request.depth:
            self._controlnet(request.control)
        pictures = inputs.pictures(request, order.source, order.mask, order.depth)

        def encode() -> Conditioning:
            self._adapters.loras(request.loras, self._folder_of)
            return self._conditioner(request.loras).encode(request.phrases, request.negative, request.guidance > 1)

        # Such a UNet is told the guidance, and the pipelines tell it one for all.
        is_told = self._pipelines.unet.config.time_cond_proj_dim is not None
        guidance = request.guidance if is_told else request.guidance > 1
        return Prepared(order, request, pictures, self._fitting(encode, request), guidance)

    def _filled(self, request: ResolvedRequest) -> ResolvedRequest:
        """What was asked for, and what the model does where nothing was."""
        if request.model not in ("", self.model.id):
            raise AlphaloomError("wrong_model", f"This edge runs {self.model.id!r}, not {request.model!r}.")
        return replace(
            request,
            model=self.model.id,
            steps=self.model.steps if request.steps is None else request.steps,
            scheduler=request.scheduler or self._own_scheduler,
            guidance=request.guidance if self.model.guidance is None else self.model.guidance,
            tiling=request.tiling or self.model.tiling,
        )

    # -- a batch --

    def most(self, one: Prepared) -> int:
        """How many of its shape `make` takes."""
        pixels = one.request.width * one.request.height
        return min([MAX_BATCH, *(most for from_, most in self._most.items() if pixels >= from_)])

    def make(self, batch: Sequence[Prepared]) -> list[Picture | Exception]:
        """What comes of orders of one shape.

        Raises Cancelled where all of them are, AlphaloomError `out_of_memory` for one alone, and whatever the model raises.
        """
        if len(batch) == 1:
            return self._fitting(lambda: self._make(batch), batch[0].request)
        self._climb(batch[0].request)
        try:
            with torch.inference_mode():
                return self._make(batch)
        except Exception as problem:
            if not memory.is_out_of_memory(problem):
                raise
            memory.release(self.device, problem)
        self._most[batch[0].request.width * batch[0].request.height] = len(batch) // 2
        return [self._alone(one) for one in batch]

    def _alone(self, one: Prepared) -> Picture | Exception:
        try:
            return self.make([one])[0]
        except (AlphaloomError, Cancelled) as problem:
            return problem

    def encode(self, picture: Picture, order: Order) -> bytes:
        """PNG, with how it was made. May be called by another thread than the one that makes the next."""
        return metadata.encode(picture.pixels, self.made(picture, order))

    def made(self, picture: Picture, order: Order) -> metadata.Made:
        return metadata.Made(
            request=picture.request,
            model_hash=self._hash,
            device=self.device.kind,
            versions=versions(),
            batch=picture.batch,
            position=picture.position,
            rung=picture.rung,
            modulation=order.modulation,
        )

    def _fitting(self, work: Callable[[], Result], request: ResolvedRequest) -> Result:
        """Try again on the ladder's next rung, once. Raises AlphaloomError `out_of_memory`.

        What is as large goes to that rung at once the next time; what is smaller goes on as before.
        """
        pixels = self._climb(request)
        for _ in range(2):
            try:
                with torch.inference_mode():
                    return work()
            except Exception as problem:
                if not memory.is_out_of_memory(problem):
                    raise
                memory.release(self.device, problem)
            rung = self._ladder.rung
            if not self._ladder.lower():
                break
            self._too_much[rung] = min(pixels, self._too_much.get(rung, pixels))
            log.warning("out of memory at %dx%d; from now on: %s", request.width, request.height, self._ladder.name)
        raise AlphaloomError(
            "out_of_memory", f"{request.width}x{request.height} does not fit {self.device.name}; ask for a smaller picture."
        )

    def _scheduler(self, request: ResolvedRequest) -> Any:
        assert request.steps is not None
        return schedulers.fresh(request.scheduler, self._pipelines.scheduler, request.steps)

    def _climb(self, request: ResolvedRequest) -> int:
        """To the highest rung that is known to do for so many pixels; how many they are."""
        pixels, ladder = request.width * request.height, self._ladder
        ladder.back()
        while (ladder.rung < self._least or pixels >= self._too_much.get(ladder.rung, pixels + 1)) and ladder.lower():
            pass
        return pixels

    def _make(self, batch: Sequence[Prepared]) -> list[Picture | Exception]:
        if all(one.order.cancelled() for one in batch):
            raise Cancelled
        request = batch[0].request
        self._adapters.loras(request.loras, self._folder_of)
        tiling.apply((self._pipelines.unet, self._pipelines.vae), request.tiling)
        pipeline, more = self._pipeline(batch)
        if request.depth:
            tiling.apply((pipeline.controlnet,), request.tiling)
        pipeline.scheduler = self._scheduler(request)
        # A LoRA leaves its layers in the model, also where it does not count.
        is_plain = not (request.tiling or request.depth or self._adapters.has_loras or self._ladder.rung)
        compiling.use(pipeline, is_plain)
        shape = (1, self._pipelines.vae.config.latent_channels, *(side // pipeline.vae_scale_factor for side in _size(request)))
        seeds = [(one.request.seed, one.request.variation_seed, one.request.variation) for one in batch]
        pipeline.noise = self._there(torch.cat([noise.between(*seed, shape) for seed in seeds]))
        if request.task == "txt2img":
            more["latents"] = pipeline.noise
        steps = _Steps(batch, pipeline.scheduler, self._previewer)
        latents = pipeline(
            **_together([one.conditioning.tensors for one in batch], self._there),
            **more,
            num_inference_steps=request.steps,
            guidance_scale=Guidance.of([one.request.guidance for one in batch], self.device),
            generator=[noise.generator(one.request.seed, shape) for one in batch],
            callback_on_step_end=steps,
            output_type="latent",
        ).images
        return self._pictures(batch, self._autoencoder.decode(latents))

    def _pipeline(self, batch: Sequence[Prepared]) -> tuple[Any, dict[str, Any]]:
        """The task's pipeline, and what it is called with beyond what all share."""
        request, more = batch[0].request, dict[str, Any]()
        controlnet = None
        if request.depth:
            controlnet = self._controlnet(request.control)
            depth = _pixels([one.pictures["depth"] for one in batch])
            # What guides is called `image` where there is no source.
            more["image" if request.task == "txt2img" else "control_image"] = self._there((depth + 1) / 2)
            more["controlnet_conditioning_scale"] = request.control_strength
        pipeline = self._pipelines.of(request.task, controlnet)
        self._ladder.take(pipeline)
        if request.task == "txt2img":
            return pipeline, more | {"width": request.width, "height": request.height}
        assert request.steps is not None
        sources = [self._latents(one, one.pictures["source"]) for one in batch]
        more["image"] = pipeline.source = torch.cat(sources)
        # Below 1/steps no step would be left to run; and 49 * (1 / 49) is less than 1.
        more["strength"] = min(1.0, max(request.strength, (1 + 1e-6) / request.steps))
        if request.task == "inpaint":
            more |= {"width": request.width, "height": request.height}
            more["image"] = (_pixels([one.pictures["source"] for one in batch]) + 1) / 2
            more["mask_image"] = [one.pictures["mask"] for one in batch]
            pipeline.masked = torch.cat([self._masked(one) for one in batch])
        return pipeline, more

    def _controlnet(self, id: str) -> Any:
        controlnet = self._adapters.controlnet(id, self._folder_of(id))
        for pipeline in self._pipelines.forget(self._adapters.controlnets):
            self._ladder.forget(pipeline)
        return controlnet

    def _masked(self, one: Prepared) -> torch.Tensor:
        """What an inpainting model sees of the source; to others it is nothing."""
        source, mask = one.pictures["source"], one.pictures["mask"]
        if self._pipelines.only_inpaints:
            grey = Image.new("RGB", source.size, (128, 128, 128))
            source = Image.composite(grey, source, mask.point(lambda value: 255 * (value >= 128)))
        return self._latents(one, source)

    def _latents(self, one: Prepared, picture: Image.Image) -> torch.Tensor:
        return self._latents_of(picture.tobytes(), _size(one.request), one.request.tiling, self._ladder.rung)

    def _encode(self, pixels: bytes, size: tuple[int, int], tiling: str, rung: int) -> torch.Tensor:
        """Latents of an RGB picture (height, width); tiling and rung are as they are now."""
        picture = Image.frombytes("RGB", (size[1], size[0]), pixels)
        return self._autoencoder.encode(_pixels([picture])).to(self.device.dtype)

    def _there(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device.name, self.device.dtype)

    def _pictures(self, batch: Sequence[Prepared], decoded: torch.Tensor) -> list[Picture | Exception]:
        finite = torch.isfinite(decoded).flatten(1).all(1).tolist()
        pixels = (decoded.nan_to_num() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return [self._picture(one, pixels[n], finite[n], len(batch), n) for n, one in enumerate(batch)]

    def _picture(self, one: Prepared, pixels: np.ndarray, is_finite: bool, batch: int, n: int) -> Picture | Exception:
        if not is_finite:
            return AlphaloomError(
                "not_finite",
                f"What came of it is no picture: numbers too large for {self.device.dtype}. Lower the guidance "
                f"({one.request.guidance:g}), or start the edge with --dtype float32.",
            )
        if "mask" in one.pictures:  # what was not masked keeps its very pixels
            kept = Image.composite(Image.fromarray(pixels), one.pictures["source"], one.pictures["mask"])
            pixels = np.asarray(kept)
        return Picture(pixels, one.request, batch, n, self._ladder.rung)


class _Steps:
    """After each step of a batch: whoever wants it is told, and it stops when nobody wants its picture any more."""

    def __init__(self, batch: Sequence[Prepared], scheduler: Any, previewer: Previewer):
        self._orders = [one.order for one in batch]
        self._previewer = previewer
        self._watch = Watch(scheduler) if any(order.on_preview for order in self._orders) else None
        self._due = time.monotonic() + PREVIEW_S

    def __call__(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if all(order.cancelled() for order in self._orders):
            raise Cancelled
        steps = pipeline.num_timesteps
        for order in self._orders:
            order.on_step(step + 1, steps)
        if self._watch and step + 1 < steps and time.monotonic() >= self._due:
            self._preview(self._watch)
        return tensors

    def _preview(self, watch: Watch) -> None:
        began = time.monotonic()
        clean = watch.clean()
        if clean is None:
            return
        for order, latents in zip(self._orders, clean, strict=True):
            if order.on_preview and not order.cancelled():
                order.on_preview(self._previewer.jpeg(latents))
        now = time.monotonic()
        self._due = now + max(PREVIEW_S, (now - began) / PREVIEW_SHARE)


def _together(samples: Sequence[dict[str, torch.Tensor]], there: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, Any]:
    return {name: there(torch.cat([sample[name] for sample in samples])) for name in samples[0]}


def _size(request: ResolvedRequest) -> tuple[int, int]:
    return request.height, request.width


def _pixels(pictures: Sequence[Image.Image]) -> torch.Tensor:
    """(n, 3, h, w), -1..1."""
    stacked = np.stack([np.asarray(picture, np.float32) for picture in pictures])
    return torch.from_numpy(stacked / 127.5 - 1).permute(0, 3, 1, 2)


def _nowhere(id: str) -> Path:
    raise AlphaloomError("unknown_model", f"This edge has no {id!r}; name it in the manifest.", model=id)
