"""What cards and links are made after: what they can share they share, the rest is made anew for each.

Design notes
- A card's pattern is in no scene, so that nobody changes it. Its meshes are shared by all cards.
- Only data is copied. An object has its name from the start: Blender's own copying would name it twice, and to find a name's
  place among thousands takes longer than all the rest.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import bpy

from . import materials

UNIT = 2.0  # metres in a card's width
FRONT = -1.5  # metres: where cards stand in depth, clear of what most scenes have at the origin
DEPTH = 0.08
PICTURE = 1.84
LABEL_HEIGHT = 0.54
CORNER = 0.09
LINK_COLOURS = {"prompt": (0.1, 0.4, 1.0), "image": (1.0, 0.3, 0.04), "blend": (0.55, 0.16, 1.0)}
_TEXTS = {"label": (0.15, 0.22, (0.9, 0.93, 1.0)), "caption": (0.1, 0.535, (0.5, 0.58, 0.72))}
"""Size, how far below the picture, and colour."""
_KINDS = ("card", "picture", *_TEXTS)
_PATTERN = "Alphaloom Pattern"

_card: dict[str, bpy.types.Object] = {}
_links: dict[str, bpy.types.Curve] = {}
"""Both only hold within `kept`."""
_keeps = False


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Within it patterns are looked up once. Nothing that replaces objects may happen in it."""
    global _keeps
    _keeps = True
    try:
        yield
    finally:
        _keeps = False
        _card.clear()
        _links.clear()


def of_card() -> dict[str, bpy.types.Object]:
    """Body, picture, label and caption."""
    if _card:
        return _card
    named = {kind: bpy.data.objects.get(f"{_PATTERN} {kind}") for kind in _KINDS}
    found = {kind: item for kind, item in named.items() if item is not None and item.alphaloom.kind == _PATTERN}
    if len(found) < len(named):
        found = _first_card()
        for kind, item in found.items():
            item.name, item.use_fake_user = f"{_PATTERN} {kind}", True
            item.alphaloom.ident, item.alphaloom.kind = _PATTERN, _PATTERN  # all that is ours has an id
    if _keeps:
        _card.update(found)
    return found


def data(pattern: bpy.types.Object, name: str) -> bpy.types.ID:
    """A new object's mesh or text; a text gets the name."""
    if pattern.type != "FONT":
        return pattern.data
    made = pattern.data.copy()
    made.name = name
    return made


def link(kind: str, name: str) -> bpy.types.Curve:
    """A new link's curve."""
    made = _link(kind).copy()
    made.name, made.use_fake_user = name, False
    return made


def _first_card() -> dict[str, bpy.types.Object]:
    body = bpy.data.objects.new("Alphaloom Card", _rounded_plate(UNIT, UNIT + LABEL_HEIGHT, DEPTH, CORNER))
    body.location.y = FRONT
    body.data.materials.append(materials.shared("Alphaloom Card", (0.05, 0.056, 0.08), 0.4))

    picture = bpy.data.objects.new("Alphaloom Picture", bpy.data.meshes.new("Alphaloom Picture"))
    picture.data.from_pydata([(-0.5, 0, -0.5), (0.5, 0, -0.5), (0.5, 0, 0.5), (-0.5, 0, 0.5)], [], [(0, 1, 2, 3)])
    corners = picture.data.uv_layers.new().data
    for loop, uv in zip(corners, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        loop.uv = uv
    picture.data.materials.append(None)
    picture.location = (0, -0.002, 0)

    made = {"card": body, "picture": picture}
    for kind, (size, drop, colour) in _TEXTS.items():
        name = f"Alphaloom {kind.title()}"
        curve = bpy.data.curves.new(name, "FONT")
        curve.size, curve.align_x, curve.space_line = size, "CENTER", 0.95
        curve.materials.append(materials.shared(name, colour, glow=1.0))
        text = bpy.data.objects.new(name, curve)
        curve.offset_y = -PICTURE / 2 - drop
        text.location = (0, -0.006, 0)  # its origin is the card's: else Blender draws a dashed line from one to the other
        text.rotation_euler.x = math.pi / 2
        made[kind] = text
    return made


def _rounded_plate(width: float, height: float, depth: float, corner: float) -> bpy.types.Mesh:
    """A plate in XZ whose front lies at y = 0; its picture's square is centred on the origin."""
    steps = 6
    right, top, bottom = width / 2 - corner, width / 2 - corner, width / 2 - height + corner
    centres = ((right, top), (-right, top), (-right, bottom), (right, bottom))  # of the corners' arcs
    outline = []
    for n, (x, z) in enumerate(centres):
        for step in range(steps + 1):
            angle = math.pi / 2 * (n + step / steps)
            outline.append((x + corner * math.cos(angle), z + corner * math.sin(angle)))
    count = len(outline)
    points = [(x, y, z) for y in (0.0, depth) for x, z in outline]
    front, back = list(range(count))[::-1], list(range(count, 2 * count))
    sides = [(n, (n + 1) % count, count + (n + 1) % count, count + n) for n in range(count)]
    mesh = bpy.data.meshes.new("Alphaloom Card")
    mesh.from_pydata(points, [], [front, back, *sides])
    mesh.update()
    return mesh


def _link(kind: str) -> bpy.types.Curve:
    """What all links of a kind are copies of."""
    if kind in _links:
        return _links[kind]
    name = f"{_PATTERN} {kind}"
    found = bpy.data.curves.get(name)
    if found is None or not found.get(_PATTERN):
        found = _first_link(kind)
        found.name, found[_PATTERN], found.use_fake_user = name, True, True
    if _keeps:
        _links[kind] = found
    return found


def _first_link(kind: str) -> bpy.types.Curve:
    data = bpy.data.curves.new("Alphaloom Link", "CURVE")
    data.dimensions = "3D"
    data.bevel_depth = 0.028
    data.bevel_resolution = 3
    data.resolution_u = 24
    data.splines.new("BEZIER").bezier_points.add(1)
    data.materials.append(materials.shared(f"Alphaloom {kind} link", LINK_COLOURS[kind], glow=0.9))
    for point, radius in zip(data.splines[0].bezier_points, (0.7, 1.3), strict=True):
        point.handle_left_type = point.handle_right_type = "FREE"
        point.radius = radius
    return data
