"""The map as Blender objects: cards that stand in the XZ plane, links as curves, all in our own collections.

Design notes
- Everything that is made here carries its node's or link's id; nothing without one is ever touched.
- Nothing is held between calls: undo and file loading replace objects, so they are found each time, by name and id.
- A card is one selectable body; picture, label and caption are its children and follow it when it is moved.
- Cards are copies of a pattern that is in no scene: copying is cheaper than making, and nobody changes the pattern.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterable, Iterator

import bpy

from . import materials
from .core.shared import model

UNIT = 2.0  # metres in a card's width
FRONT = -1.5  # metres: where cards stand in depth, clear of what most scenes have at the origin
DEPTH = 0.08
PICTURE = 1.84
LABEL_HEIGHT = 0.54
CORNER = 0.09
LINK_COLOURS = {"prompt": (0.1, 0.4, 1.0), "image": (1.0, 0.3, 0.04), "blend": (0.55, 0.16, 1.0)}
PARTS = ("picture", "label", "caption")
_TEXTS = {"label": (0.15, 0.22, (0.9, 0.93, 1.0)), "caption": (0.1, 0.535, (0.5, 0.58, 0.72))}
"""Size, how far below the picture, and colour."""

_PATTERN = "Alphaloom Pattern"

_index: dict[tuple[str, str], bpy.types.Object] | None = None
_patterns: list[bpy.types.Object] = []
_link_patterns: dict[str, bpy.types.Curve] = {}
"""All three only hold within `at_once`."""


def collection(scene: bpy.types.Scene, parts: bool = False) -> bpy.types.Collection:
    """The map's own collection of cards, or the one in it of their parts and the links, wherever it is; made in `scene` when
    it is not there.

    A user's collection of the same name is left alone.
    """
    for found in _collections():
        if found.alphaloom_holds_parts == parts:
            if not found.users:
                (collection(scene) if parts else scene.collection).children.link(found)
            return found
    made = bpy.data.collections.new("Alphaloom Parts" if parts else "Alphaloom")
    made.alphaloom_is_map, made.alphaloom_holds_parts = True, parts
    made.hide_select = parts
    (collection(scene) if parts else scene.collection).children.link(made)
    return made


def _collections() -> list[bpy.types.Collection]:
    return [found for found in bpy.data.collections if found.alphaloom_is_map]


def _objects() -> Iterator[bpy.types.Object]:
    for owner in _collections():
        yield from owner.objects


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Within it objects are looked through once, and not for each that is wanted. Nothing that replaces objects may happen
    in it: no undo, no loading."""
    global _index
    if _index is not None:
        yield
        return
    _index = {(item.alphaloom.kind, item.alphaloom.ident): item for item in _objects()}
    try:
        yield
    finally:
        _index = None
        _patterns.clear()
        _link_patterns.clear()


def find(kind: str, ident: str) -> bpy.types.Object | None:
    """The object of `kind` ('card', 'picture', 'label', 'caption', 'link') that belongs to a node or link."""
    if _index is not None:
        return _index.get((kind, ident))
    named = bpy.data.objects.get(_name(kind, ident))
    if named is not None and _belongs(named, kind, ident) and named.users:
        return named
    return next((item for item in _objects() if _belongs(item, kind, ident)), None)


def _name(kind: str, ident: str) -> str:
    return f"Alphaloom {kind.title()} {ident}"


def _belongs(item: bpy.types.Object, kind: str, ident: str) -> bool:
    return bool(item.alphaloom.ident == ident and item.alphaloom.kind == kind)


# -- cards ------------------------------------------------------------------------------------------------


def put_card(scene: bpy.types.Scene, node: model.Node, move: bool = True, new: bool = False) -> bpy.types.Object:
    """Make a node's card, or bring it up to date; without `move` one that is there stays where it stands. `new`: nothing
    of it is there."""
    card = None if new else find("card", node.id)
    if card is None:
        move = True
    if card is None or any(find(kind, node.id) is None for kind in PARTS):
        card = _make_card(scene, node, card, new)
    label = find("label", node.id)
    place = (node.x * UNIT, card.location.y, node.y * UNIT)
    if move and tuple(round(v, 4) for v in card.location) != tuple(round(v, 4) for v in place):
        card.location = place
    shape_picture(node)
    set_text(label, wrapped(node.prompt or "(inherits its words)"))
    write_caption(node, "")
    return card


def write_caption(node: model.Node, state: str) -> None:
    """The small line under the label: what the node does, or how its job stands."""
    set_text(find("caption", node.id), shortened(state, 40) if state else f"{node.task} · seed {node.settings.seed}")


def remove(idents: Collection[str], but: bpy.types.Object | None = None) -> None:
    """Delete everything that was made for these nodes and links, `but` one object."""
    items = []
    for ident in idents:
        items += [item for kind in ("card", "link", "mask", *PARTS) if (item := find(kind, ident)) is not None and item != but]
    data = {item.data for item in items}
    owned = [each for ident in idents for each in materials.of(ident, find("picture", ident))]
    if _index is not None:
        for item in items:
            del _index[item.alphaloom.kind, item.alphaloom.ident]
    bpy.data.batch_remove(items)
    bpy.data.batch_remove([*owned, *(each for each in data if each is not None and each.users == 0)])


def idents() -> dict[str, str]:
    """The ids of all cards and links that are there, with their kind."""
    return {item.alphaloom.ident: item.alphaloom.kind for item in _objects() if item.alphaloom.kind in ("card", "link")}


def standing(wanted: Iterable[str] = ()) -> tuple[dict[str, tuple[float, float]], list[bpy.types.Object]]:
    """Where each card stands, in card widths; and cards that Blender has duplicated, which have another's id.

    Those that are `wanted` are found in other collections, too, where the artist has put them.
    """
    places: dict[str, tuple[float, float]] = {}
    cards: dict[str, bpy.types.Object] = {}
    copies = []
    for owner in _collections():
        if owner.alphaloom_holds_parts:
            continue
        for item in owner.objects:
            if item.alphaloom.kind != "card":
                continue
            ident = item.alphaloom.ident
            if ident in cards:
                if item.name == _name("card", ident):
                    item, cards[ident] = cards[ident], item
                copies.append(item)
            else:
                cards[ident] = item
    for ident in wanted:
        if ident not in cards:
            item = bpy.data.objects.get(_name("card", ident))
            if item is not None and _belongs(item, "card", ident) and item.users:
                cards[ident] = item
    for ident, item in cards.items():
        place = item.location
        places[ident] = (place.x / UNIT, place.z / UNIT)
    return places, copies


def adopt(item: bpy.types.Object, ident: str) -> None:
    """Make a duplicate of a card the card of a node of its own."""
    item.alphaloom.ident = ident
    item.name = _name("card", ident)


def _make_card(scene: bpy.types.Scene, node: model.Node, body: bpy.types.Object | None, new: bool) -> bpy.types.Object:
    """A card, or the parts of one that has a body already: a duplicate's, or what was left of one."""
    if not new:
        remove((node.id,), but=body)
    pattern = _pattern()
    made = [item.copy() for item in (pattern if body is None else pattern[1:])]
    for text in made[-2:]:
        text.data = text.data.copy()
    made = made if body is None else [body, *made]
    for kind, item in zip(("card", *PARTS), made, strict=True):
        if item is body:
            continue
        item.name, item.use_fake_user = _name(kind, node.id), False
        item.alphaloom.ident, item.alphaloom.kind = node.id, kind
        if kind != "card":
            item.parent = made[0]
        collection(scene, kind != "card").objects.link(item)
        if _index is not None:
            _index[kind, node.id] = item
    made[1].material_slots[0].material = materials.without_picture()
    return made[0]


def _pattern() -> list[bpy.types.Object]:
    """Body, picture, label and caption that all cards are copies of; in no scene, so that nobody changes them."""
    if _index is not None and _patterns:
        return _patterns
    named = [bpy.data.objects.get(f"{_PATTERN} {kind}") for kind in ("card", *PARTS)]
    found = [item for item in named if item is not None and item.alphaloom.kind == _PATTERN]
    if len(found) < len(named):
        found = _first_card()
        for kind, item in zip(("card", *PARTS), found, strict=True):
            item.name, item.use_fake_user = f"{_PATTERN} {kind}", True
            item.alphaloom.ident, item.alphaloom.kind = _PATTERN, _PATTERN  # all that is ours has an id
    if _index is not None:
        _patterns.extend(found)
    return found


def _first_card() -> list[bpy.types.Object]:
    body = bpy.data.objects.new("Alphaloom Card", _rounded_plate(UNIT, UNIT + LABEL_HEIGHT, DEPTH, CORNER))
    body.location.y = FRONT
    body.data.materials.append(materials.shared("Alphaloom Card", (0.05, 0.056, 0.08), 0.4))

    picture = bpy.data.objects.new("Alphaloom Picture", bpy.data.meshes.new("Alphaloom Picture"))
    picture.data.from_pydata([(-0.5, 0, -0.5), (0.5, 0, -0.5), (0.5, 0, 0.5), (-0.5, 0, 0.5)], [], [(0, 1, 2, 3)])
    corners = picture.data.uv_layers.new().data
    for loop, uv in zip(corners, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        loop.uv = uv
    picture.data.materials.append(None)
    picture.material_slots[0].link = "OBJECT"  # cards share the mesh
    picture.location = (0, -0.002, 0)

    made = [body, picture]
    for kind, (size, drop, colour) in _TEXTS.items():
        curve = bpy.data.curves.new(f"Alphaloom {kind.title()}", "FONT")
        curve.size, curve.align_x = size, "CENTER"
        curve.space_line = 0.95
        curve.materials.append(materials.shared(f"Alphaloom {kind.title()}", colour, glow=1.0))
        text = bpy.data.objects.new(f"Alphaloom {kind.title()}", curve)
        text.location = (0, -0.006, 0)  # its origin is the card's: else Blender draws a dashed line from one to the other
        curve.offset_y = -PICTURE / 2 - drop
        text.rotation_euler.x = math.pi / 2
        made.append(text)
    return made


def shape_picture(node: model.Node) -> None:
    """Fit the picture's plane into its square, in the node's proportions."""
    picture = find("picture", node.id)
    if picture is not None:
        longest = max(node.settings.width, node.settings.height)
        picture.scale = (PICTURE * node.settings.width / longest, 1, PICTURE * node.settings.height / longest)


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


# -- words ------------------------------------------------------------------------------------------------


def set_text(text: bpy.types.Object | None, body: str) -> None:
    if text is not None and text.data.body != body:
        text.data.body = body


def wrapped(prompt: str, width: int = 25, lines: int = 2) -> str:
    """A prompt as a label: at most `lines` of `width` characters, cut with an ellipsis."""
    rows = [""]
    for word in prompt.split():
        longer = f"{rows[-1]} {word}".strip()
        if len(longer) <= width:
            rows[-1] = longer
        else:
            rows.append(word)
    rows = [r for r in rows if r]
    if len(rows) > lines:
        rows = [*rows[: lines - 1], shortened(" ".join(rows[lines - 1 :]), width)]
    return "\n".join(shortened(row, width) for row in rows)


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip(" ,") + "…"


# -- links ------------------------------------------------------------------------------------------------


def put_link(scene: bpy.types.Scene, link: model.Link, new: bool = False) -> None:
    """Draw a link between its two cards, from edge to edge, or bring it up to date. `new`: it is not there."""
    parent, child = find("card", link.parent), find("card", link.child)
    if parent is None or child is None:
        return
    curve = None if new else find("link", link.id)
    if curve is None:
        owner = collection(scene, parts=True)
        data = _link_pattern(link.kind).copy()
        data.use_fake_user = False
        curve = bpy.data.objects.new(_name("link", link.id), data)
        curve.alphaloom.ident, curve.alphaloom.kind = link.id, "link"
        owner.objects.link(curve)
        if _index is not None:
            _index["link", link.id] = curve
    start, out = _port(parent, child)
    end, into = _port(child, parent)
    reach = 0.45 * math.dist(start, end)
    first, last = curve.data.splines[0].bezier_points
    for point, place, aim in ((first, start, out), (last, end, into)):
        point.co = place
        handle = tuple(p + reach * a for p, a in zip(place, aim, strict=True))
        point.handle_right = handle if point is first else place
        point.handle_left = place if point is first else handle


def _link_pattern(kind: str) -> bpy.types.Curve:
    """What all links of a kind are copies of."""
    if _index is not None and kind in _link_patterns:
        return _link_patterns[kind]
    name = f"{_PATTERN} {kind}"
    found = bpy.data.curves.get(name)
    if found is None or not found.get(_PATTERN):
        found = _first_link(kind)
        found.name, found[_PATTERN], found.use_fake_user = name, True, True
    if _index is not None:
        _link_patterns[kind] = found
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


Place = tuple[float, float, float]


def _port(card: bpy.types.Object, other: bpy.types.Object) -> tuple[Place, Place]:
    """The middle of the side of `card` that faces `other`, behind the front, and the way out of it."""
    x, y, z = card.location
    dx, dz = other.location.x - x, other.location.z - z
    y += DEPTH / 2
    if abs(dx) >= 0.8 * abs(dz):
        side = math.copysign(1, dx)
        return (x + side * UNIT / 2, y, z - LABEL_HEIGHT / 2), (side, 0, 0)
    if dz > 0:
        return (x, y, z + UNIT / 2), (0, 0, 1)
    return (x, y, z - UNIT / 2 - LABEL_HEIGHT), (0, 0, -1)
