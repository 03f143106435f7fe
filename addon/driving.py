"""`eeg("calm")` in any driver: a feature as 0..1, live.

Design notes
- A driver reads what came last and uses nothing up: frames may be drawn in any order, as often as one likes.
- Blender evaluates a driver again when its object changes, or time does. So what has a driver that calls `eeg` is told to
  Blender as changed with each frame of EEG; which these are is looked up now and then, by name, and nothing is held.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import bpy

from .core.shared import model

LOOK_S = 1.0
"""Between two searches for drivers."""
NEUTRAL = 0.5
_OWNERS = (
    "objects", "materials", "worlds", "lights", "cameras", "meshes", "curves", "scenes", "node_groups", "shape_keys",
    "grease_pencils", "lightprobes", "speakers", "volumes",
)  # fmt: skip
_TREES = ("materials", "worlds", "lights", "scenes")
"""What may have a node tree of its own, whose drivers are the tree's."""

_frame: model.Frame | None = None
_driven: list[tuple[str, str, bool]] = []
"""Where drivers call `eeg`: kind, name, and whether it is the tree's."""
_looked_at = -math.inf


def eeg(feature: str, neutral: float = NEUTRAL) -> float:
    """For drivers: where a feature stands against its baseline, 0..1 as the logistic of its z, so 0.5 is usual and 0.88 two
    deviations above. `neutral` while there is no EEG, or none that can be trusted."""
    known = _frame.features.get(feature) if _frame is not None and _frame.signal == "good" else None
    found = place(known) if known is not None else None
    return neutral if found is None else found


def place(feature: model.Feature) -> float | None:
    """Where a feature stands, 0..1; None where nothing is known to compare it with."""
    if feature.z is None or not math.isfinite(feature.z):
        return None
    return 0.5 + 0.5 * math.tanh(feature.z / 2)


def hear(frame: model.Frame | None) -> None:
    """A frame of EEG came; None: there is none any more."""
    global _frame, _looked_at
    _frame = frame
    if bpy.app.is_job_running("RENDER"):  # a render is not to change while it is made
        return
    now = time.monotonic()
    if now - _looked_at > LOOK_S:
        _looked_at = now
        _driven[:] = _callers()
    for kind, name, is_tree in _driven:
        owner = getattr(bpy.data, kind).get(name)
        owner = owner.node_tree if owner is not None and is_tree else owner
        if owner is not None:
            owner.update_tag()


def _callers() -> Iterator[tuple[str, str, bool]]:
    for kind in _OWNERS:
        for owner in getattr(bpy.data, kind, ()):
            if _calls(owner):
                yield kind, owner.name, False
            if kind in _TREES and _calls(getattr(owner, "node_tree", None)):
                yield kind, owner.name, True


def _calls(owner: bpy.types.ID | None) -> bool:
    animation = owner.animation_data if owner is not None else None
    return animation is not None and any("eeg(" in curve.driver.expression for curve in animation.drivers)


@bpy.app.handlers.persistent
def _offer(*_: object) -> None:
    """A file that is loaded empties the namespace."""
    bpy.app.driver_namespace["eeg"] = eeg


def register() -> None:
    _offer()
    bpy.app.handlers.load_post.append(_offer)


def unregister() -> None:
    global _frame
    _frame = None
    if _offer in bpy.app.handlers.load_post:
        bpy.app.handlers.load_post.remove(_offer)
    bpy.app.driver_namespace.pop("eeg", None)
