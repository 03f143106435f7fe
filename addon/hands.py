"""What the artist does to cards with Blender's own tools (drag, delete, duplicate, undo, the panel), as edits of the map.

Design notes
- A gesture is one edit: what is dragged, turned or duplicated is sent when it has come to rest, all of it together.
- Undo brings back a scene of another moment, and in it also what others have done since. An artist's undo takes back that
  artist's own work and nobody else's: a value goes back where both it and the one that it goes back to were this artist's;
  a node goes where this artist has made it, and comes back where this artist has deleted it. All else is shown again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import bpy

from . import scene as cards
from .core.shared import edits, model

OWN, OFF = "OWN", "OFF"
"""What the panel's lists call the scheduler and the tiling that are empty in a node: Blender takes no empty name."""
MOST_VALUES = 100
"""Of a field that are remembered as this artist's."""


class Hands:
    def __init__(self, send: Callable[[Iterable[model.Change]], None]):
        """`send` sends changes as one edit, or as few as may be."""
        self._send = send
        self.there: set[str] = set()
        """Nodes and links that the scene has; a node that it has no more was deleted by the artist."""
        self._seen: dict[str, object] = {}
        """What was under the artist's hand at the last look."""
        self._turned: set[str] = set()
        """Nodes whose values the panel has changed since they were last sent."""
        self._made: set[str] = set()
        self._deleted: dict[str, model.Node] = {}
        self._values: dict[tuple[str, str], list[Any]] = {}
        """Values that the artist has set or replaced, by node and field."""

    def turned(self, ident: str) -> None:
        """The panel changed a node."""
        self._turned.add(ident)

    def remember(self, known: model.Map, changes: Iterable[model.Change]) -> None:
        """What the artist is about to change, so that undo can tell it from what others do."""
        for change in changes:
            if change.kind != "node":
                continue
            if change.verb == "create":
                self._made.add(change.id)
            elif change.verb == "update" and change.id in known.nodes:
                old = edits.fields(known.nodes[change.id])
                for name, value in change.fields.items():
                    values = self._values.setdefault((change.id, name), [])
                    values += [each for each in (old[name], value) if each not in values]
                    del values[:-MOST_VALUES]

    # -- looking --

    def look(self, known: model.Map) -> None:
        """Send what has come to rest since the last look."""
        places, copies = self._standing(known)
        drafts = self._drafts(known, places)
        hands: dict[str, object] = {**drafts, **{item.name: tuple(item.location) for item in copies}}
        if hands and hands == self._seen:
            self.rest(known, drafts)
            for item in copies:
                self._adopt(known, item)
            hands = {}
        self._seen = hands

    def rest(self, known: model.Map, drafts: dict[str, model.Node] | None = None) -> None:
        """Send what the artist has changed, at rest or not."""
        if drafts is None:
            drafts = self._drafts(known, self._standing(known)[0])
        self._turned -= drafts.keys()
        changes = [edits.update(known.nodes[ident], node) for ident, node in drafts.items()]
        self._send([change for change in changes if change.fields])

    def _drafts(self, known: model.Map, places: dict[str, tuple[float, float]]) -> dict[str, model.Node]:
        """The nodes as the artist has changed them, by dragging their cards or in the panel."""
        drafts: dict[str, model.Node] = {}
        nodes = known.nodes
        for ident, (x, y) in places.items():
            node = nodes.get(ident)
            if node is not None and max(abs(x - node.x), abs(y - node.y)) > 1e-3:
                drafts[ident] = replace(node, x=round(x, 4), y=round(y, 4))
        for ident in self._turned & nodes.keys():
            card = cards.find("card", ident)
            node = drafts.get(ident, nodes[ident])
            turned = as_in_panel(node, card.alphaloom) if card is not None else node
            if turned != node:
                drafts[ident] = turned
        return drafts

    def _standing(self, known: model.Map) -> tuple[dict[str, tuple[float, float]], list[bpy.types.Object]]:
        """Where cards stand, and duplicates; what stands no more is deleted. Nothing of it counts while a mesh is edited."""
        if bpy.context.mode != "OBJECT":
            return {}, []
        cards.release_copies()
        places, copies = cards.standing(self.there & known.nodes.keys())
        gone = [ident for ident in self.there & known.nodes.keys() if ident not in places]
        for ident in gone:
            self._deleted[ident] = known.nodes[ident]
        self._send([model.Change("delete", "node", ident) for ident in gone])
        return places, copies

    def _adopt(self, known: model.Map, item: bpy.types.Object) -> None:
        """A duplicate of a card becomes a node of its own, with its model's parents."""
        model_of = known.nodes.get(item.alphaloom.ident)
        if model_of is None:
            return
        x, y = item.location.x / cards.UNIT, item.location.z / cards.UNIT
        node = replace(model_of, id=model.new_id(), x=round(x, 4), y=round(y, 4), picture=None)
        links = [
            model.Link(model.new_id(), link.parent, node.id, link.kind)
            for link in known.links.values()
            if link.child == model_of.id
        ]
        cards.adopt(item, node.id)
        self.there.add(node.id)
        self._send([edits.create(each) for each in (node, *links)])

    # -- undo --

    def undone(self, known: model.Map) -> None:
        """Blender's undo or redo has brought back a scene of another moment."""
        there = cards.idents()
        self.there = set(there)
        changes = [model.Change("delete", "node", ident) for ident in known.nodes.keys() - there.keys() if ident in self._made]
        for change in changes:
            self._deleted[change.id] = known.nodes[change.id]
        for ident in (i for i, kind in there.items() if kind == "card"):
            if ident in known.nodes:
                changes += self._taken_back(known.nodes[ident])
            elif ident in self._deleted:
                changes.append(edits.create(replace(self._deleted.pop(ident), picture=None)))
        self._turned.clear()
        self._seen = {}
        self._send(changes)

    def _taken_back(self, node: model.Node) -> list[model.Change]:
        card = cards.find("card", node.id)
        if card is None:
            return []
        then = replace(
            as_in_panel(node, card.alphaloom),
            x=round(card.location.x / cards.UNIT, 4),
            y=round(card.location.z / cards.UNIT, 4),
            picture=card.alphaloom.picture or None,
            source=card.alphaloom.source or None,
            mask=card.alphaloom.mask or None,
            depth=card.alphaloom.depth or None,
        )
        now = edits.fields(node)
        mine = {
            name: value
            for name, value in edits.difference(node, then).items()
            if all(any(_same(each, known) for known in self._values.get((node.id, name), ())) for each in (value, now[name]))
        }
        return [model.Change("update", "node", node.id, mine)] if mine else []


def _same(one: Any, other: Any) -> bool:
    """Places go through Blender's single precision."""
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-3)
    return bool(one == other)


def as_in_panel(node: model.Node, panel: bpy.types.PropertyGroup) -> model.Node:
    """Blender's numbers are rougher than the broker's: one that is the same but for that stays as it is."""

    def number(name: str) -> float:
        value, known = getattr(panel, name), getattr(node.settings, name)
        return known if math.isclose(value, known, rel_tol=1e-6, abs_tol=1e-6) else round(value, 6)

    settings = replace(
        node.settings,
        width=panel.width,
        height=panel.height,
        steps=panel.steps or None,
        guidance=number("guidance"),
        strength=number("strength"),
        seed=panel.seed,
        blend=number("blend"),
        modulate=panel.modulate,
        model=panel.model,
        scheduler="" if panel.scheduler == OWN else panel.scheduler,
        tiling="" if panel.tiling == OFF else panel.tiling,
        variation=number("variation"),
        variation_seed=panel.variation_seed,
        eeg_in_file=panel.eeg_in_file,
        control=panel.control,
        control_strength=number("control_strength"),
    )
    return replace(node, prompt=panel.prompt, negative=panel.negative, task=panel.task, live=panel.live, settings=settings)
