"""What a job brings along, checked and opened before any work on the device."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pydantic
from PIL import Image, ImageOps

from protocol import check as protocol_check
from protocol import wire
from protocol.errors import AlphaloomError
from protocol.model import ResolvedRequest

MAX_PIXELS = 4096 * 4096
"""Of a picture that is brought along, as its header says."""
HELD = 8
"""Pictures that stay decoded."""
_FORMATS = ("PNG", "JPEG", "WEBP")
_REQUEST = pydantic.TypeAdapter(ResolvedRequest)
_NEEDED: dict[str, tuple[str, ...]] = {"txt2img": (), "img2img": ("source",), "inpaint": ("source", "mask")}

# Pillow warns at a limit of its own; ours is checked.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def check(request: ResolvedRequest, tasks: Collection[str]) -> None:
    """Raises AlphaloomError for the first thing in a request that this edge cannot do.

    `tasks` are those that the loaded model can. A value of a wrong kind (2.5 steps, a number for a word) is `bad_value`, as
    is one that is out of bounds or no number.
    """
    if request.task not in tuple(tasks):
        shown = str(request.task)[:80]
        raise AlphaloomError(
            "unknown_task", f"The loaded model cannot do {shown!r}. Use one of {', '.join(tasks)}.", task=shown
        )
    try:
        protocol_check.request(request)
        # Python compares 2.5 with whole bounds without a word; a pipeline would fail on it in the middle.
        _REQUEST.validate_json(json.dumps(wire.plain(request)), strict=True)
    except pydantic.ValidationError as problem:
        first = problem.errors(include_url=False, include_context=False)[0]
        where, shown = ".".join(map(str, first["loc"])), repr(first["input"])[:80]
        raise AlphaloomError("bad_value", f"{where} is {shown}: {first['msg']}.", field=where) from None
    except (TypeError, AttributeError) as problem:
        raise AlphaloomError("bad_value", f"The request has a value of a wrong kind: {problem}.") from None


def needed(request: ResolvedRequest) -> tuple[str, ...]:
    """Which of `source`, `mask` and `depth` a request is made of; it may name others that its task does not look at."""
    return _NEEDED[request.task] + (("depth",) if request.depth is not None else ())


def pictures(
    request: ResolvedRequest, source: bytes | None = None, mask: bytes | None = None, depth: bytes | None = None
) -> dict[str, Image.Image]:
    """What the request's task needs of `source` (RGB), `mask` (L) and `depth` (RGB), each of the size it asks for. They are
    shared: nobody may change one.

    The source is stretched by Lanczos' filter, being a photograph or a painting. Depth is by a linear one: Lanczos'
    overshoots, which puts a halo of wrong distances around every silhouette. A mask is averaged over each pixel's area:
    nothing rings into the black that must stay as it is, and a thin stroke is not lost as it would be by the nearest pixel.

    Raises AlphaloomError `bad_source`, `bad_mask` or `bad_depth` for bytes that are no usable picture, and `mask_size` where
    source and mask do not have one size.
    """
    given = {"source": source, "mask": mask, "depth": depth}
    size = (request.width, request.height)
    found = {name: _prepared(name, given[name] or b"", size) for name in needed(request)}
    if "mask" in found and found["mask"].was != found["source"].was:
        (width, height), (across, down) = found["mask"].was, found["source"].was
        raise AlphaloomError(
            "mask_size",
            f"The mask has {width} × {height} pixels and its source {across} × {down}; draw it in the source's size.",
            mask=[width, height],
            source=[across, down],
        )
    return {name: picture.now for name, picture in found.items()}


class _Picture(NamedTuple):
    was: tuple[int, int]
    """Its size as it came, upright."""
    now: Image.Image


@lru_cache(HELD)
def _prepared(name: str, data: bytes, size: tuple[int, int]) -> _Picture:
    """A live node's source comes with every job, and decoding it takes as long as a step or two."""
    picture = _opened(name, data)
    return _Picture(picture.size, _finished(name, picture, size))


def _opened(name: str, data: bytes) -> Image.Image:
    """Decoded and turned upright. `F` (0..1) where it has 16 bits of grey, else `L` or `RGB`."""
    try:
        if not data:
            raise ValueError("there is none")
        picture = Image.open(io.BytesIO(data), formats=_FORMATS)  # reads no further than the header
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError(f"it has {picture.width} × {picture.height} pixels, and the most is {MAX_PIXELS}")
        picture.load()
        # Where there is nothing: no paint on a source, nothing to be painted anew, nothing near.
        return _opaque(_upright(picture), "white" if name == "source" else "black")
    except Exception as problem:  # bytes from outside make Pillow raise almost anything
        reason = str(problem)[:200] or type(problem).__name__
        raise AlphaloomError(
            f"bad_{name}", f"The {name} is no usable picture: {reason}. Save it anew as PNG, JPEG or WebP."
        ) from None


def _upright(picture: Image.Image) -> Image.Image:
    """As its EXIF says how the camera was held; broken EXIF says nothing."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # its parser raises many kinds
        return picture


def _opaque(picture: Image.Image, ground: str) -> Image.Image:
    if picture.mode.startswith("I"):
        # Pillow would clip 16 bits to the darkest 255 of their 65,536 values.
        return Image.fromarray(np.asarray(picture, np.float32) / 65535)
    if not picture.has_transparency_data:
        return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    seen = picture.convert("RGBA")
    under = Image.new("RGBA", seen.size, ground)
    return Image.alpha_composite(under, seen).convert("RGB")


_FILTERS = {
    "source": Image.Resampling.LANCZOS,
    "mask": Image.Resampling.BOX,
    "depth": Image.Resampling.BILINEAR,
}


def _finished(name: str, picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    if name == "mask" and picture.mode == "RGB":
        picture = picture.convert("L")
    if picture.size != size:
        picture = picture.resize(size, _FILTERS[name])
    if picture.mode == "F":
        # To 8 bits only now, so that a gradient is as smooth as can be; ControlNets are trained on as many.
        picture = Image.fromarray(np.rint(np.asarray(picture).clip(0, 1) * 255).astype(np.uint8))
    return picture.convert("L" if name == "mask" else "RGB")
