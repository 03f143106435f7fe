"""A node's source, mask and depth map: from a file, from any image in Blender, from another card; uploaded, then one edit.

Design notes
- An upload takes a while. What it is for is found anew when it has ended: the node may be gone by then.
- Why something could not be done is kept by node, and said in its panel until the next try.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy

from . import materials
from .core import png
from .core.arrays import Array, np
from .core.shared import errors, model
from .session import session
from .translations import mark, say

SIDE = 4096
"""The most pixels a side that are taken."""
MOST_BYTES = 32 * 1024 * 1024
REFUSED = {
    "source": mark("The source picture was not taken: {reason}"),
    "mask": mark("The mask was not taken: {reason}"),
    "depth": mark("The depth map was not taken: {reason}"),
}

problems: dict[str, str] = {}
"""Why a node's last upload came to nothing, by node."""
_under_way: dict[tuple[str, str], object] = {}
"""What marks the newest upload for a node's field: an older one that ends later is not for it any more."""


def is_under_way(node: str, field: str) -> bool:
    return (node, field) in _under_way


def are_under_way(nodes: Iterable[str]) -> bool:
    """Whether anything goes up for one of these: a picture that is asked for now would be made without it."""
    return not {node for node, _ in _under_way}.isdisjoint(nodes)


def upload(node: str, field: str, data: bytes, more: dict[str, Any] | None = None) -> None:
    """Give a node these bytes as its `field`, and in the same edit `more` fields."""
    problems.pop(node, None)
    mark = _under_way[node, field] = object()
    session.news += 1
    session.ask("POST", "/v1/blobs", functools.partial(_hear, node, field, mark, more or {}), data)


def _hear(node: str, field: str, mark: object, more: dict[str, Any], said: bytes | errors.AlphaloomError) -> None:
    if _under_way.get((node, field)) is not mark:
        return
    del _under_way[node, field]
    session.news += 1
    if isinstance(said, errors.AlphaloomError):
        problems[node] = say(REFUSED[field]).format(reason=said.message)
    elif node in session.mirror.map.nodes:
        put(node, {field: str(json.loads(said)["blob"]), **more})


def put(node: str, fields: dict[str, Any]) -> None:
    """Set fields of a node, as one edit. Raises AlphaloomError `unknown_node`."""
    if node not in session.mirror.map.nodes:
        raise errors.AlphaloomError("unknown_node", "The node is on the map no more.", node=node)
    problems.pop(node, None)
    session.edit(model.Change("update", "node", node, fields))


def goes_before(node: str) -> model.Node | None:
    """The parent whose picture is the source, whatever was uploaded."""
    return next(iter(session.mirror.map.parents(node, "image")), None)


def source_of(node: model.Node) -> str | None:
    """The blob that the node's picture is made from; its own picture where it has no source yet."""
    parent = goes_before(node.id)
    return parent.picture if parent is not None else node.source or node.picture


# -- bytes ------------------------------------------------------------------------------------------------


def read(path: Path) -> bytes:
    """A picture file. Raises AlphaloomError `bad_file` for what is none."""
    try:
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise errors.AlphaloomError(
                "bad_file", f"{path.name} has {path.stat().st_size / 2**20:.0f} MiB; {MOST_BYTES // 2**20} can be taken."
            )
        data = path.read_bytes()
    except OSError as problem:
        raise errors.AlphaloomError("bad_file", f"Cannot read {str(path)!r}: {problem.strerror or problem}.") from None
    if not png.suffix(data):
        raise errors.AlphaloomError("bad_file", f"{path.name} is no PNG, JPEG or WebP. Choose one of these.")
    return data


def encoded(image: bpy.types.Image) -> bytes:
    """An image of Blender's as a picture file: its own bytes where these are one, else what one sees of its pixels.

    Raises AlphaloomError `bad_image`.
    """
    if image.packed_file is not None and image.source == "FILE" and not image.is_dirty:
        data = bytes(image.packed_file.data)
        if png.suffix(data) and len(data) <= MOST_BYTES:
            return data
    width, height = image.size
    if not width or not height or len(image.pixels) != width * height * image.channels:
        raise errors.AlphaloomError(
            "bad_image",
            f"The image {image.name!r} has no pixels here. Is its file there? A render is to be saved first.",
            image=image.name,
        )
    if max(width, height) > SIDE:
        raise errors.AlphaloomError(
            "bad_image",
            f"The image {image.name!r} has {width} × {height} pixels; {SIDE} a side can be taken.",
            image=image.name,
        )
    return png.encode(_bytes(image))


def pixels(image: bpy.types.Image) -> Array:
    """(height, width, channels) as Blender has them, the top row first."""
    width, height = image.size
    found = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(found)
    return found.reshape(height, width, image.channels)[::-1]


def _bytes(image: bpy.types.Image) -> Array:
    """What one sees: floats of a scene are light, and are shown brighter. No more channels than a picture file has."""
    found = pixels(image)
    if found.shape[2] == 2:
        found = found[:, :, :1]
    if image.is_float and not image.colorspace_settings.is_data:
        light = np.clip(found[:, :, :3], 0, 1)
        shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        found = np.concatenate([shown, found[:, :, 3:]], 2)
    return np.rint(255 * np.clip(np.nan_to_num(found), 0, 1)).astype(np.uint8)


def image_of(node: str) -> bpy.types.Image | None:
    """What a card shows as its picture."""
    return materials.image(materials.PICTURE, node)


def _forget() -> None:
    for node, field in _under_way:
        problems[node] = say(REFUSED[field]).format(reason=say("the connection was closed. Set it again."))
    _under_way.clear()


def register() -> None:
    session.ended.append(_forget)


def unregister() -> None:
    session.ended.remove(_forget)
    _under_way.clear()
    problems.clear()
