"""A recorded session's features as keyframes: Blender's own F-curves, editable afterwards."""

from __future__ import annotations

from typing import Any

import bpy

from .core.arrays import Array, np
from .core.shared import errors

_LINEAR = bpy.types.Keyframe.bl_rna.properties["interpolation"].enum_items["LINEAR"].value


def bake(owner: bpy.types.ID, path: str, index: int, values: Array, first: int) -> bpy.types.FCurve:
    """Keyframes for `path` (and `index` of it, -1 where it is one value) of `owner`: `values` (frames,) from frame `first` on.

    What was keyed at these frames before goes; other frames and other curves stay. Frames of NaN have no key. Raises
    AlphaloomError `bad_property`.
    """
    _check(owner, path, index)
    curve = _curve(owner, path, max(index, 0))
    frames = np.arange(first, first + len(values), dtype=float)
    there = ~np.isnan(values)
    points = curve.keyframe_points
    old = np.empty(2 * len(points))
    points.foreach_get("co", old)
    kept = old.reshape(-1, 2)
    kept = kept[(kept[:, 0] < first) | (kept[:, 0] > frames[-1] if len(frames) else True)]
    keys = np.concatenate([kept, np.stack([frames[there], values[there]], 1)])
    keys = keys[np.argsort(keys[:, 0], kind="stable")]
    points.clear()
    points.add(len(keys))
    points.foreach_set("co", keys.ravel())
    # Frames are as dense as the eye goes: between them a straight line is what was measured, and never overshoots.
    points.foreach_set("interpolation", np.full(len(keys), _LINEAR))
    curve.update()
    return curve


def _check(owner: bpy.types.ID, path: str, index: int) -> None:
    try:
        value: Any = owner.path_resolve(path)
        value = value[index] if index >= 0 else value
    except (ValueError, IndexError, TypeError):
        value = None
    if isinstance(value, bool) or not isinstance(value, float | int):
        what = f"{path}[{index}]" if index >= 0 else path
        raise errors.AlphaloomError(
            "bad_property",
            f"{owner.name!r} has no number {what!r}. Right-click a field, Copy Data Path, and paste it.",
            path=what,
        )


def _curve(owner: bpy.types.ID, path: str, index: int) -> bpy.types.FCurve:
    """The F-curve, found or made; in the layered actions that Blender has since 4.4."""
    animation = owner.animation_data or owner.animation_data_create()
    action = animation.action
    if action is None:
        action = animation.action = bpy.data.actions.new(f"{owner.name} EEG")
    if animation.action_slot is None:
        animation.action_slot = next(iter(animation.action_suitable_slots), None) or action.slots.new(owner.id_type, owner.name)
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    bag = strip.channelbag(animation.action_slot, ensure=True)
    return bag.fcurves.find(path, index=index) or bag.fcurves.new(path, index=index)
