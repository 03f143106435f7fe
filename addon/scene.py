"""The map as Blender objects: cards that stand in the XZ plane, links as curves, all in our own collections.

Design notes
- Everything that is made here carries its node's or link's id; nothing without one is ever touched.
- Nothing is held between calls: undo and file loading replace objects, so they are found each time, by name and id.
- A card is one selectable body; picture, label and caption are its children and follow it when it is moved.
- Cards are made after a pattern that is in no scene, so that nobody changes it: what can be shared is shared, the rest copied.
- Blender keeps objects in the order of their names, and compares a new one with hundreds that are before it: to make the last
  first takes half the time.
- To delete an object Blender looks through all that is there. A few are laid aside instead: in no scene, with no id, and gone
  with the next save.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterable, Iterator

import bpy

from . import materials, patterns
from .core.shared import model
from .patterns import DEPTH, FRONT, LABEL_HEIGHT, LINK_COLOURS, PICTURE, UNIT
from .translations import say

__all__ = ["FRONT", "LINK_COLOURS"]  # others ask for them here

PARTS = ("picture", "label", "caption")
LAST_FIRST = ("picture", "link", "label", "card", "caption")
"""All kinds of objects, against the order of their names."""

_index: dict[tuple[str, str], bpy.types.Object] | None = None
_is_whole = False
"""Whether what is not in the index is not there. Both only hold within `at_once`."""


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
    return [found for found in bpy.data.collections if found.alphaloom_is_map and found.library is None]


def _objects() -> Iterator[bpy.types.Object]:
    for owner in _collections():
        yield from owner.objects


@contextlib.contextmanager
def at_once(whole: bool = True) -> Iterator[None]:
    """Within it objects are looked through once, and not for each that is wanted; not `whole`: each that is wanted is looked
    for once. Nothing that replaces objects may happen in it: no undo, no loading."""
    global _index, _is_whole
    if _index is not None:
        yield
        return
    _index = {(item.alphaloom.kind, item.alphaloom.ident): item for item in _objects()} if whole else {}
    _is_whole = whole
    try:
        with patterns.kept():
            yield
    finally:
        _index, _is_whole = None, False


def find(kind: str, ident: str) -> bpy.types.Object | None:
    """The object of `kind` ('card', 'picture', 'label', 'caption', 'link') that belongs to a node or link."""
    if _index is not None and (_is_whole or (kind, ident) in _index):
        return _index.get((kind, ident))
    found = bpy.data.objects.get(_name(kind, ident))
    if found is None or not _belongs(found, kind, ident) or not found.users:
        found = next((item for item in _objects() if _belongs(item, kind, ident)), None)
    if found is not None and _index is not None:
        _index[kind, ident] = found
    return found


def _name(kind: str, ident: str) -> str:
    return materials.named(kind.title(), ident)


def _belongs(item: bpy.types.Object, kind: str, ident: str) -> bool:
    return bool(item.alphaloom.ident == ident and item.alphaloom.kind == kind)


# -- cards ------------------------------------------------------------------------------------------------


def put_card(scene: bpy.types.Scene, node: model.Node, move: bool = True) -> bpy.types.Object:
    """Make a node's card, or bring it up to date; without `move` one that is there stays where it stands."""
    card = find("card", node.id)
    move = move or card is None
    if card is None or any(find(kind, node.id) is None for kind in PARTS):
        remove((node.id,), but=card)  # what was left of one
        make(scene, (node.id,), (), but=() if card is None else ("card",))  # a duplicate has a body already
        card = find("card", node.id)
    label = find("label", node.id)
    place = (node.x * UNIT, card.location.y, node.y * UNIT)
    if move and tuple(round(v, 4) for v in card.location) != tuple(round(v, 4) for v in place):
        card.location = place
    shape_picture(node)
    set_text(label, wrapped(node.prompt or say("(inherits its words)")))
    write_caption(node, "")
    return card


def write_caption(node: model.Node, state: str) -> None:
    """The small line under the label: what the node does, or how its job stands."""
    set_text(
        find("caption", node.id),
        shortened(state, 40) if state else say("{task} · seed {seed}").format(task=node.task, seed=node.settings.seed),
    )


def remove(idents: Collection[str], but: bpy.types.Object | None = None) -> None:
    """Delete everything that was made for these nodes and links, `but` one object."""
    items = [item for ident in idents for item in _all_of(ident) if item != but]
    owned = [each for ident in idents for each in materials.of(ident, find("picture", ident))]
    if _index is not None:
        for item in items:
            _index.pop((item.alphaloom.kind, item.alphaloom.ident), None)
    _delete(items, owned)


def lay_aside(idents: Collection[str]) -> None:
    """The same for a few, in a fraction of the time: out of the scene and found no more, deleted by `purge`."""
    owners = _collections()
    for ident in idents:
        items = _all_of(ident)
        if not any(item.alphaloom.kind == "link" for item in items):
            picture = next((item for item in items if item.alphaloom.kind == "picture"), None)
            materials.lay_aside(materials.of(ident, picture))
        for item in items:
            for owner in owners:
                if item.name in owner.objects:
                    owner.objects.unlink(item)
            for owner in item.users_collection if item.users else ():  # where the artist has put it
                owner.objects.unlink(item)
            if _index is not None:
                _index.pop((item.alphaloom.kind, ident), None)
            item.alphaloom.ident = item.alphaloom.kind = item.name = materials.GONE


def purge() -> None:
    """Delete what was laid aside."""
    _delete([item for item in bpy.data.objects if item.alphaloom.kind == materials.GONE], materials.laid_aside())


def _all_of(ident: str) -> list[bpy.types.Object]:
    """All objects of a node or a link."""
    link = find("link", ident) if _is_whole else bpy.data.objects.get(_name("link", ident))
    if link is not None and _belongs(link, "link", ident):
        return [link]
    mask = bpy.data.objects.get(_name("mask", ident))  # few have one: it is not searched for
    found = [item for kind in ("card", *PARTS) if (item := find(kind, ident)) is not None]
    found += [mask] if mask is not None and _belongs(mask, "mask", ident) else []
    return found or [item for item in (find("link", ident),) if item is not None]


def _delete(items: list[bpy.types.Object], owned: list[bpy.types.ID]) -> None:
    data = {item.data for item in items}
    if items:
        bpy.data.batch_remove(items)
    bpy.data.batch_remove([*owned, *(each for each in data if each is not None and each.users == 0)])


def idents() -> dict[str, str]:
    """The ids of all cards and links that are there, with their kind."""
    return {item.alphaloom.ident: item.alphaloom.kind for item in _objects() if item.alphaloom.kind in ("card", "link")}


def standing(wanted: Iterable[str] = ()) -> tuple[dict[str, tuple[float, float]], list[bpy.types.Object]]:
    """Where each card stands, in card widths; and cards that Blender has duplicated, which have another's id.

    Those that are `wanted` are found in other collections, too, where the artist has put them.
    """
    cards: dict[str, bpy.types.Object] = {}
    copies = []
    for owner in _collections():
        if owner.alphaloom_holds_parts:
            continue
        for item in owner.objects:
            ours = item.alphaloom  # looked up once: there may be thousands
            if ours.kind != "card":
                continue
            ident = ours.ident
            if ident in cards:
                if item.name == _name("card", ident):
                    item, cards[ident] = cards[ident], item
                copies.append(item)
            else:
                cards[ident] = item
    for ident in wanted:
        if ident not in cards:
            item = bpy.data.objects.get(_name("card", ident))
            if item is not None and _belongs(item, "card", ident) and item.users > item.use_fake_user:
                cards[ident] = item
    places = {}
    for ident, item in cards.items():
        x, _, z = item.location
        places[ident] = (x / UNIT, z / UNIT)
    return places, copies


def release_copies() -> None:
    """A copy of the whole map, which comes with a copied scene or from another file, is the artist's: a picture of it, and
    no nodes of anybody's."""
    for parts in (False, True):
        owners = [owner for owner in _collections() if owner.alphaloom_holds_parts == parts]
        if len(owners) < 2:
            continue
        own = max(owners, key=lambda owner: sum(_has_own_name(item) for item in owner.objects))
        for owner in owners:
            if owner != own:
                _release(owner)


def release_map(name: str) -> None:
    """Leave all cards and links that are there to the artist."""
    for owner in _collections():
        if not owner.alphaloom_holds_parts:
            owner.name = name
        _release(owner)


def _has_own_name(item: bpy.types.Object) -> bool:
    return bool(item.name == _name(item.alphaloom.kind, item.alphaloom.ident))


def _release(owner: bpy.types.Collection) -> None:
    owner.alphaloom_is_map = owner.alphaloom_holds_parts = owner.hide_select = False
    for item in owner.objects:
        item.alphaloom.ident = item.alphaloom.kind = ""


def bodies() -> dict[str, bpy.types.Object]:
    """The cards that are in our collection, by node: for many it is faster than to find each."""
    owners = [owner for owner in _collections() if not owner.alphaloom_holds_parts]
    return {item.alphaloom.ident: item for owner in owners for item in owner.objects if item.alphaloom.kind == "card"}


def selected() -> tuple[str, ...]:
    """The nodes whose cards are selected."""
    items = bpy.context.view_layer.objects.selected
    return tuple(sorted({item.alphaloom.ident for item in items if item.alphaloom.kind == "card"}))


def adopt(item: bpy.types.Object, ident: str) -> None:
    """Make a duplicate of a card the card of a node of its own."""
    item.alphaloom.ident = ident
    item.name = _name("card", ident)


def make(scene: bpy.types.Scene, nodes: Collection[str], links: Collection[model.Link], but: Collection[str] = ()) -> None:
    """Make cards and links that are not there, all at the origin; of cards no objects of the kinds in `but`."""
    of_card = patterns.of_card() if nodes else {}
    by_id = {link.id: link for link in links}
    keys = [
        (kind, ident)
        for kind in LAST_FIRST
        if kind not in but
        for ident in sorted(by_id if kind == "link" else nodes, reverse=True)
    ]
    # First all data, then all objects, and nothing else between: side by side in memory they are walked through faster.
    data = [
        patterns.data(of_card[kind], _name(kind, ident))
        if kind in of_card
        else patterns.link(by_id[ident].kind, _name(kind, ident))
        for kind, ident in keys
    ]
    made = {key: bpy.data.objects.new(_name(*key), each) for key, each in zip(keys, data, strict=True)}
    for (kind, ident), item in made.items():
        item.alphaloom.ident, item.alphaloom.kind = ident, kind
        collection(scene, kind != "card").objects.link(item)
        if kind in of_card:
            item.location, item.rotation_euler = of_card[kind].location, of_card[kind].rotation_euler
        if kind in PARTS:
            item.parent = made.get(("card", ident)) or find("card", ident)
        if kind == "picture":
            slot = item.material_slots[0]
            slot.link, slot.material = "OBJECT", materials.without_picture()  # cards share the mesh
    if _index is not None:
        _index.update(made)


def shape_picture(node: model.Node) -> None:
    """Fit the picture's plane into its square, in the node's proportions."""
    picture = find("picture", node.id)
    if picture is not None:
        longest = max(node.settings.width, node.settings.height)
        picture.scale = (PICTURE * node.settings.width / longest, 1, PICTURE * node.settings.height / longest)


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


def put_link(scene: bpy.types.Scene, link: model.Link) -> None:
    """Draw a link between its two cards, from edge to edge, or bring it up to date."""
    parent, child = find("card", link.parent), find("card", link.child)
    if parent is None or child is None:
        return
    curve = find("link", link.id)
    if curve is None:
        make(scene, (), (link,))
        curve = find("link", link.id)
    start, out = _port(parent, child)
    end, into = _port(child, parent)
    reach = 0.45 * math.dist(start, end)
    first, last = curve.data.splines[0].bezier_points
    for point, place, aim in ((first, start, out), (last, end, into)):
        point.co = place
        handle = tuple(p + reach * a for p, a in zip(place, aim, strict=True))
        point.handle_right = handle if point is first else place
        point.handle_left = place if point is first else handle


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
