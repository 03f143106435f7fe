"""Whether what lies in a folder may be loaded at all: weights without code, and no library but those that make pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protocol.errors import AlphaloomError

PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"}
INDEX = "model_index.json"
_OWN = "edge.models.pixel_autoencoder"
_LIBRARIES = {"diffusers", "transformers", "stable_diffusion", "stable_diffusion_xl", "latent_consistency_models", _OWN}
"""The `stable…` and `latent…` are parts of diffusers, as it names them itself."""


def check(place: Path, kind: str = "model") -> Path:
    """The folder, or a LoRA's file, as it is. Raises AlphaloomError `no_model` or `unsafe_model`."""
    if kind == "lora" and place.is_file():
        if place.suffix != ".safetensors":
            raise _unsafe(place, place.name)
        return place
    if kind == "model":
        try:
            index = json.loads((place / INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise AlphaloomError(
                "no_model",
                f"{str(place)!r} is no diffusers model: it has no {INDEX}. Check the folder's path.",
            ) from None
        components(index, str(place))
    elif not place.is_dir():
        raise AlphaloomError("no_model", f"There is no {kind} at {str(place)!r}. Check its path.")
    pickles = sorted(str(f.relative_to(place)) for f in place.rglob("*") if f.suffix in PICKLES)
    if pickles:
        raise _unsafe(place, *pickles)
    return place


def components(index: Any, name: str) -> list[str]:
    """The parts that a pipeline has, by its model_index.json.

    Raises AlphaloomError `unsafe_model` where one is of a library that diffusers would import and that is none of its own.
    """
    if not isinstance(index, Mapping):
        raise AlphaloomError("no_model", f"{name!r} is no diffusers model: its {INDEX} is no table.")
    parts = {key: value for key, value in index.items() if isinstance(value, list) and not key.startswith("_")}
    foreign = sorted(str(value[0]) for value in parts.values() if value and value[0] and value[0] not in _LIBRARIES)
    if foreign or not isinstance(index.get("_class_name", ""), str):
        what = f"a part of {foreign[0][:80]!r}" if foreign else "a pipeline that is not diffusers' own"
        raise AlphaloomError("unsafe_model", f"{name!r} asks for {what}: code that comes with a model is never run.")
    return [key for key, value in parts.items() if value and value[0]]


def _unsafe(place: Path, *files: str) -> AlphaloomError:
    return AlphaloomError(
        "unsafe_model",
        f"{str(place)!r} holds {files[0]!r}: pickles can run any code and are never loaded. Convert it to "
        "safetensors (save_pretrained with safe_serialization=True), or delete the file if a .safetensors is beside it.",
        files=list(files),
    )
