"""Lines of sight into a scene. The map's own objects are not seen: they stand in the middle of many scenes."""

from __future__ import annotations

import bpy
from mathutils import Vector

from .core.arrays import Array

_STEP = 1e-4
"""Beyond a card, where the sight goes on, as a part of the way."""
_MOST_CARDS = 64
"""That one line of sight goes through."""


def look(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, origin: Array, way: Array) -> Vector | None:
    """The first point of the scene that a line of sight meets."""
    start, direction = Vector(origin), Vector(way)
    for _ in range(_MOST_CARDS):
        hit, place, _, _, item, _ = scene.ray_cast(depsgraph, start, direction)
        if not hit:
            return None
        if not item.alphaloom.kind:
            return place
        start = place + direction * max(_STEP, _STEP * (place - start).length)
    return None
