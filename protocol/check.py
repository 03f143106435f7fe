"""What a map may hold. Pure: each function raises AlphaloomError for the first thing that is wrong."""

from __future__ import annotations

import math
import re

from .errors import AlphaloomError
from .model import LINK_KINDS, TASKS, Link, Map, Node

SIDE = (64, 2048)
STEPS = (1, 150)
GUIDANCE = (0.0, 30.0)
SEED = (0, 2**31 - 1)  # what an integer property of Blender holds
MAX_PROMPT = 4000
MAX_NODES = 10_000
PLACE = (-1e6, 1e6)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BLOB = re.compile(r"[0-9a-f]{64}")


def identifier(text: str) -> None:
    if not _ID.fullmatch(text):
        raise AlphaloomError("bad_id", f"{text[:80]!r} is no id: use up to 64 letters, digits, '-' and '_'.", id=text[:80])


def node(value: Node) -> None:
    identifier(value.id)
    if value.task not in TASKS:
        raise AlphaloomError("unknown_task", f"No task is called {value.task!r}. Use one of {', '.join(TASKS)}.")
    for name in ("prompt", "negative"):
        if len(getattr(value, name)) > MAX_PROMPT:
            raise AlphaloomError(
                "bad_value", f"{name} has {len(getattr(value, name))} characters; the most is {MAX_PROMPT}.", field=name
            )
    settings = value.settings
    for name in ("width", "height"):
        side = getattr(settings, name)
        _within(name, side, SIDE)
        if side % 8:
            raise AlphaloomError("bad_value", f"{name} is {side}; it must be a multiple of 8.", field=name, value=side)
    if settings.steps is not None:
        _within("steps", settings.steps, STEPS)
    _within("guidance", settings.guidance, GUIDANCE)
    _within("strength", settings.strength, (0.0, 1.0))
    _within("blend", settings.blend, (0.0, 1.0))
    _within("seed", settings.seed, SEED)
    _within("x", value.x, PLACE)
    _within("y", value.y, PLACE)
    for name in ("source", "mask"):
        blob = getattr(value, name)
        if blob is not None and not _BLOB.fullmatch(blob):
            raise AlphaloomError("bad_value", f"{name} is {blob[:80]!r}, not a blob's SHA-256.", field=name)


def link(value: Link, map: Map) -> None:
    identifier(value.id)
    if value.kind not in LINK_KINDS:
        raise AlphaloomError("bad_value", f"No link is of kind {value.kind!r}. Use one of {', '.join(LINK_KINDS)}.")
    for end in (value.parent, value.child):
        if end not in map.nodes:
            raise AlphaloomError("unknown_node", f"The link needs node {end[:80]!r}, which is not on the map.", node=end[:80])
    if reaches(map, value.child, value.parent):
        raise AlphaloomError("cycle", "This link would make a node its own ancestor.", parent=value.parent, child=value.child)
    others = [e for e in map.links.values() if e.child == value.child and e.kind == value.kind and e.id != value.id]
    most = {"image": 1, "blend": 2}.get(value.kind)
    if most is not None and len(others) >= most:
        raise AlphaloomError(
            "too_many_parents", f"A node takes {most} parent(s) by {value.kind!r} links; delete one first.", child=value.child
        )


def reaches(map: Map, start: str, goal: str) -> bool:
    """Whether `goal` is `start` or a descendant of it."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        at = todo.pop()
        if at == goal:
            return True
        if at not in seen:
            seen.add(at)
            todo += [e.child for e in map.links.values() if e.parent == at]
    return False


def _within(name: str, value: float, bounds: tuple[float, float]) -> None:
    low, high = bounds
    if not (math.isfinite(value) and low <= value <= high):
        raise AlphaloomError(
            "bad_value", f"{name} is {value:g}; it must be from {low:g} to {high:g}.", field=name, value=str(value)
        )
