"""What bends a loaded model without changing its weights: LoRAs, and ControlNets that follow a depth map."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from diffusers import ControlNetModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import safe_open
from torch import nn

from protocol.check import MAX_LORAS
from protocol.errors import AlphaloomError
from protocol.model import Lora

from .device import Device

MAX_CONTROLNETS = 2
"""That are kept loaded; one is half as large as the model's UNet."""
_LORA_FILE = "pytorch_lora_weights.safetensors"
_SHAPE = ("block_out_channels", "layers_per_block", "cross_attention_dim", "addition_embed_type")
"""What a ControlNet's configuration must have in common with the UNet's, whose layers it adds to."""


class Adapters:
    """Of the pipelines of one model, which share its parts. Everything here is done between jobs, by one thread."""

    def __init__(self, pipeline: Any, device: Device):
        self._pipeline, self._device = pipeline, device
        self._names, self._numbers = OrderedDict[str, str](), itertools.count()
        """Of the loaded LoRAs, by id, the last used last: what peft calls them; an id is no fit name for a module."""
        self._set: dict[str, float] = {}
        self._controls = OrderedDict[str, ControlNetModel]()

    def loras(self, wanted: tuple[Lora, ...], folder_of: Callable[[str], Path]) -> None:
        """Let exactly these work from now on, each of their weights added up; those of weight 0 are left out.

        They change the text encoder too: embeddings made before are none of theirs. `folder_of` gives an id's folder or
        file. Raises AlphaloomError `unknown_lora` or `unsupported_lora`; then none works, and the model is as it was.
        """
        weights: dict[str, float] = {}
        for lora in wanted:
            weights[lora.id] = weights.get(lora.id, 0.0) + lora.weight
        weights = {id_: weight for id_, weight in weights.items() if weight}
        if weights == self._set and list(weights) == list(self._set):
            return
        self._disable()
        for id_ in weights:
            if id_ not in self._names:
                self._load(id_, folder_of(id_))
            self._names.move_to_end(id_)
        while len(self._names) > max(MAX_LORAS, len(weights)):
            self._remove(self._names.popitem(last=False)[1])
        if weights:
            self._pipeline.enable_lora()
            self._pipeline.set_adapters([self._names[id_] for id_ in weights], list(weights.values()))
            self._set = weights

    def controlnet(self, id_: str, folder: Path) -> ControlNetModel:
        """The ControlNet of this id; the last few are kept.

        Raises AlphaloomError `unsupported_control` for one that cannot be loaded, or is of another family.
        """
        if id_ not in self._controls:
            self._controls[id_] = self._loaded_control(id_, folder)
        self._controls.move_to_end(id_)
        while len(self._controls) > MAX_CONTROLNETS:
            self._controls.popitem(last=False)
        return self._controls[id_]

    @property
    def has_loras(self) -> bool:
        """Whether any is loaded, working or not."""
        return bool(self._names)

    @property
    def controlnets(self) -> list[ControlNetModel]:
        """Those that are kept."""
        return list(self._controls.values())

    def _disable(self) -> None:
        if self._set:
            self._pipeline.disable_lora()
        self._set = {}

    def _load(self, id_: str, folder: Path) -> None:
        file = _lora_file(id_, folder)
        name = f"lora{next(self._numbers)}"
        try:
            with safe_open(file, "pt") as weights:
                layers = sum(key.endswith(("lora_A.weight", "down.weight")) for key in weights.keys())  # noqa: SIM118
            self._pipeline.load_lora_weights(
                str(file.parent), weight_name=file.name, adapter_name=name, use_safetensors=True, local_files_only=True
            )
            found = sum(name in layer.lora_A or name in layer.lora_embedding_A for layer in self._layers())
            # What is not for this model's layers is passed over by diffusers with no more than a warning.
            if not layers or found < layers / 2:
                raise ValueError(f"of its {layers} layers this model has {found}")
        except Exception as problem:  # diffusers, peft and torch each raise their own kinds
            self._remove(name)
            reason = (str(problem).strip() or type(problem).__name__).splitlines()[0][:200]
            raise AlphaloomError(
                "unsupported_lora",
                f"The LoRA {id_!r} does not fit this model: {reason}. It must be safetensors, and of the model's family.",
                lora=id_,
            ) from None
        for part in self._parts():
            part.to(self._device.dtype)
        self._names[id_] = name
        self._pipeline.disable_lora()

    def _remove(self, name: str) -> None:
        """Also what a loading that failed half-way left."""
        for layer in self._layers():
            layer.delete_adapter(name)
        for part in self._parts():
            getattr(part, "peft_config", {}).pop(name, None)

    def _layers(self) -> Iterator[Any]:
        return (layer for part in self._parts() for layer in part.modules() if isinstance(layer, BaseTunerLayer))

    def _parts(self) -> list[nn.Module]:
        """Those that LoRAs change."""
        parts = (getattr(self._pipeline, name, None) for name in ("unet", "text_encoder", "text_encoder_2"))
        return [part for part in parts if part is not None]

    def _loaded_control(self, id_: str, folder: Path) -> ControlNetModel:
        try:
            control = ControlNetModel.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, dtype=self._device.dtype
            )
            unet = self._pipeline.unet.config
            for key in _SHAPE:
                mine, its = unet.get(key), control.config.get(key)
                if _plain(mine) != _plain(its):
                    raise ValueError(f"its {key} is {its}, the model's {mine}")
        except Exception as problem:  # diffusers and safetensors each raise their own kinds
            reason = (str(problem).strip() or type(problem).__name__).splitlines()[0][:200]
            raise AlphaloomError(
                "unsupported_control",
                f"The ControlNet {id_!r} does not fit this model: {reason}. It must be in diffusers format with safetensors "
                "weights, and of the model's family.",
                control=id_,
            ) from None
        self._device.place(control)
        return control.eval()


def _lora_file(id_: str, folder: Path) -> Path:
    if folder.is_file() and folder.suffix == ".safetensors":
        return folder
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        if len(files) == 1 or file.name == _LORA_FILE:
            return file
    raise AlphaloomError(
        "unknown_lora",
        f"The folder of the LoRA {id_!r} holds {len(files)} .safetensors files. Put its one there.",
        lora=id_,
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
