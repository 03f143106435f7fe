"""Changes to a map, the same on every side: what they are and what comes of them. Pure.

An item's fields are flat: a node's settings are `settings.steps` and so on. So the last to write a field wins, and two
people who turn two knobs of one node both have their way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from . import wire
from .model import Change, Link, Map, Node, Operation, Settings

_SETTINGS = "settings."
_NODE = tuple(f.name for f in dataclasses.fields(Node) if f.name not in ("id", "settings"))
_LINK = tuple(f.name for f in dataclasses.fields(Link) if f.name != "id")
_SETTING = tuple((_SETTINGS + f.name, f.name) for f in dataclasses.fields(Settings))


def fields(item: Node | Link) -> dict[str, Any]:
    """All fields of an item but its id, flat."""
    if isinstance(item, Link):
        return {name: getattr(item, name) for name in _LINK}
    flat = {name: getattr(item, name) for name in _NODE}
    settings = item.settings
    for name, setting in _SETTING:
        flat[name] = getattr(settings, setting)
    return flat


def own_fields(item: Node | Link) -> dict[str, Any]:
    """The fields that differ from the default."""
    return difference_of(_NEW_NODE if isinstance(item, Node) else _NEW_LINK, fields(item))


def difference_of(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in new.items() if old[name] != value}


def difference(old: Node | Link, new: Node | Link) -> dict[str, Any]:
    """What an update sets that makes `new` of `old`."""
    return difference_of(fields(old), fields(new))


def create(item: Node | Link) -> Change:
    return Change("create", kind_of(item), item.id, own_fields(item))


def update(old: Node | Link, new: Node | Link) -> Change:
    return Change("update", kind_of(new), new.id, difference(old, new))


def kind_of(item: Node | Link) -> Any:
    return "node" if isinstance(item, Node) else "link"


def nested(kind: str, id: str, flat: dict[str, Any]) -> dict[str, Any]:
    """Flat fields as the nested ones of a Node or Link."""
    made: dict[str, Any] = {"id": id}
    for name, value in flat.items():
        if kind == "node" and name.startswith(_SETTINGS):
            made.setdefault("settings", {})[name.removeprefix(_SETTINGS)] = value
        else:
            made[name] = value
    return made


def item(kind: str, id: str, flat: dict[str, Any]) -> Any:
    """The Node or Link of these fields, the others at their defaults. Raises TypeError for one that cannot be."""
    return wire.build(Node if kind == "node" else Link, nested(kind, id, flat))


def apply(map: Map, operation: Operation) -> Map:
    """The map after an operation, as the broker says it; one that is known already changes nothing.

    What has not been heard of is left out: an update of a deleted item counts when it is restored, with all its fields.
    """
    if operation.revision <= map.revision:
        return map
    nodes, links = dict(map.nodes), dict(map.links)
    for change in operation.changes:
        items: dict[str, Any] = nodes if change.kind == "node" else links
        if change.verb == "delete":
            items.pop(change.id, None)
        elif change.verb in ("create", "restore"):
            items[change.id] = item(change.kind, change.id, change.fields)
        elif change.id in items:
            items[change.id] = item(change.kind, change.id, fields(items[change.id]) | change.fields)
    return Map(nodes, links, operation.revision)


def apply_all(map: Map, operations: Iterable[Operation]) -> Map:
    for operation in operations:
        map = apply(map, operation)
    return map


_NEW_NODE, _NEW_LINK = fields(Node("")), fields(Link("", "", ""))
