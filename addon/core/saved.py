"""What a saved file says of its map, and what of it the broker has not heard. No `bpy`.

Design notes
- A file keeps each item as the broker had it (`then`); the scene says what it is (`now`). What differs is the artist's own, and
  is sent field by field: what others have done meanwhile stays.
- What the broker has no more was deleted by somebody, unless the broker had never heard of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from .shared import edits, errors, model

Item = model.Node | model.Link
_OF_BROKER = ("picture", "order")
"""Fields that are the broker's to set."""


@dataclass(frozen=True)
class Saved:
    then: Item
    now: Item
    mine: bool
    """The broker had not heard of it."""


def note(item: Item, mine: bool) -> str:
    return json.dumps({"kind": edits.kind_of(item), "id": item.id, "mine": mine, "fields": edits.own_fields(item)})


def read(text: str) -> tuple[Item, bool] | None:
    """What `note` wrote; None for anything else."""
    try:
        said = json.loads(text)
        return edits.item(said["kind"], said["id"], said["fields"]), bool(said["mine"])
    except (ValueError, KeyError, TypeError, AttributeError, errors.AlphaloomError):
        return None


def unheard(known: model.Map, saved: Iterable[Saved]) -> list[model.Change]:
    """What the broker is to be told, so that nothing is lost."""
    nodes = [each for each in saved if isinstance(each.then, model.Node)]
    links = [each for each in saved if isinstance(each.then, model.Link)]
    changes = [edits.create(each.now) for each in nodes if each.mine and each.now.id not in known.nodes]
    there = known.nodes.keys() | {change.id for change in changes}
    for each in nodes:
        node = known.nodes.get(each.now.id)
        if node is not None:
            changes += _turned(node, each)
    for each in links:
        link = each.now
        if each.mine and link.id not in known.links and isinstance(link, model.Link) and {link.parent, link.child} <= there:
            changes.append(edits.create(replace(link, order=0)))
    return changes


def _turned(known: model.Node, saved: Saved) -> list[model.Change]:
    fields = edits.difference(saved.then, saved.now)
    there = edits.fields(known)
    own = {name: value for name, value in fields.items() if name not in _OF_BROKER and there[name] != value}
    return [model.Change("update", "node", known.id, own)] if own else []


def anew(saved: Iterable[Saved]) -> list[Saved]:
    """The whole map, for a broker that has none: without the pictures, which it has not either."""
    return [
        replace(each, mine=True, now=replace(each.now, source=None, mask=None, depth=None, picture=None))
        if isinstance(each.now, model.Node)
        else replace(each, mine=True)
        for each in saved
    ]
