"""The map as a whole: its cards put in order, and looked at from the front."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

import bpy
from mathutils import Quaternion, Vector

from . import scene as cards
from .core import layout
from .session import session

FROM_THE_FRONT = Quaternion((math.sqrt(0.5), math.sqrt(0.5), 0, 0))
AIR = 1.2
"""How much more than the cards is shown."""


def tidy(chosen: Collection[str] = ()) -> int:
    """Put these nodes' cards in order, or all; how many have moved. It is one edit, where so many fit into one."""
    session.hands.rest(session.mirror.map)  # what is under the artist's hand counts as well
    known = session.mirror.map
    moved = [node for node in known.nodes.values() if not chosen or node.id in chosen]
    others = [(node.x, node.y) for node in known.nodes.values() if chosen and node.id not in chosen]
    links = [(link.parent, link.child) for link in known.links.values()]
    places = layout.tidy({node.id: (node.x, node.y) for node in moved}, links, others)
    moved = [node for node in moved if places[node.id] != (node.x, node.y)]
    session.put(*(replace(node, x=places[node.id][0], y=places[node.id][1]) for node in moved))
    return len(moved)


def frame(area: bpy.types.Area) -> None:
    """Show all cards from the front, without perspective, beside the sidebars of a 3D view."""
    space = area.spaces.active
    region = next(region for region in area.regions if region.type == "WINDOW")
    left, right = (_covered(area, kind) for kind in ("TOOLS", "UI"))
    low, high = bounds()
    size, view = high - low, space.region_3d
    scale = layout.scale((size.x * AIR, size.z * AIR), (region.width - left - right, region.height))
    view.view_perspective = "ORTHO"
    view.view_rotation = FROM_THE_FRONT
    view.view_location = (low + high) / 2 - Vector(((left - right) / 2 * scale, 0, 0))
    view.view_distance = layout.distance(scale, (region.width, region.height), space.lens)


def _covered(area: bpy.types.Area, kind: str) -> int:
    """Pixels of the view's width that lie below a sidebar."""
    if not bpy.context.preferences.system.use_region_overlap:
        return 0
    return sum(region.width for region in area.regions if region.type == kind and region.width > 1)


def bounds() -> tuple[Vector, Vector]:
    """The lower left and the upper right corner of all cards; where the first would stand when there is none."""
    places = [item.matrix_world.translation for item in cards.bodies().values()] or [Vector((0, cards.FRONT, 0))]
    half = Vector((cards.UNIT / 2, 0, cards.UNIT / 2))
    low = Vector(min(place[axis] for place in places) for axis in range(3)) - half
    low.z -= cards.LABEL_HEIGHT
    return low, Vector(max(place[axis] for place in places) for axis in range(3)) + half
