"""EEG in the sidebar: what comes, and a recording baked to keyframes."""

from __future__ import annotations

import re
from pathlib import Path

import bpy


from .. import bake, driving
from ..core import recording
from ..core.arrays import Array, np
from ..session import session
from ..core.shared import errors
from .sidebar import Sidebar

SHOWN = ("calm", "engage", "alpha", "beta", "theta", "asymmetry")
"""Features of the panel, of those that there are."""


def split_path(text: str) -> tuple[str, int]:
    """`location[2]` is `location`, 2; `roughness` and `["power"]` are themselves and -1: they have no index."""
    found = re.fullmatch(r"(.+)\[(\d+)\]", text.strip())
    return (found[1], int(found[2])) if found else (text.strip(), -1)


def as_share(values: Array) -> Array:
    """0..1 from the 5th to the 95th percentile, so that one blink does not press all else together. NaN stays."""
    there = values[~np.isnan(values)]
    low, high = np.percentile(there, (5, 95)) if len(there) else (0.0, 1.0)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1) if high > low else np.where(np.isnan(values), np.nan, 0.5))


class ALPHALOOM_OT_bake(bpy.types.Operator):
    """Write a recorded feature as keyframes to a property of the active object, from the current frame on"""

    bl_idname = "alphaloom.bake"
    bl_label = "Bake to Keyframes"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        fields = context.scene.alphaloom
        missing = {
            "Select an object first": context.active_object is None,
            "Name a recording: the folder that python -m signals record wrote": not fields.recording,
            "Name a property: right-click it, Copy Data Path": not fields.baked_path,
        }
        for reason, is_missing in missing.items():
            if is_missing:
                cls.poll_message_set(reason)
                return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene, fields, item = context.scene, context.scene.alphaloom, context.active_object
        fps = scene.render.fps / scene.render.fps_base
        try:
            found = recording.read(Path(bpy.path.abspath(fields.recording)))
            values = found.feature(fields.feature)
            values = as_share(values) if fields.baked_values == "SHARE" else values
            values = recording.at_frames(values, found.rate, fps)
            bake.bake(item, *split_path(fields.baked_path), values, scene.frame_current)
        except errors.AlphaloomError as error:
            self.report({"ERROR"}, error.message)
            return {"CANCELLED"}
        gaps = int(np.isnan(values).sum())
        self.report({"INFO"}, f"{len(values) - gaps} keyframes" + (f"; {gaps} frames have no value" if gaps else ""))
        return {"FINISHED"}


class ALPHALOOM_PT_eeg(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_eeg"
    bl_label = "EEG"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, frame = self.layout, session.mirror.frame
        if frame is None:
            layout.label(text=session.mirror.eeg or "No EEG", icon="RNDCURVE")
        else:
            column = layout.column(align=True)
            column.active = frame.signal == "good"
            for name in (name for name in SHOWN if name in frame.features):
                place = driving.place(frame.features[name])
                if place is None:
                    column.progress(text=f"{name} (no baseline)", factor=driving.NEUTRAL)
                else:
                    column.progress(text=name, factor=place)
        fields = context.scene.alphaloom
        box = layout.box()
        box.label(text="Recording to Keyframes", icon="KEYFRAME_HLT")
        for name, hint in (("recording", "Folder"), ("feature", "calm"), ("baked_path", "location[2]")):
            box.prop(fields, name, placeholder=hint)
        box.prop(fields, "baked_values")
        box.operator("alphaloom.bake")


_CLASSES = (ALPHALOOM_OT_bake, ALPHALOOM_PT_eeg)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
