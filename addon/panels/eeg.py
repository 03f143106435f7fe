"""EEG in the sidebar: who performs, what comes and how good it is; a recording baked to keyframes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import bpy

from .. import bake, driving, plot
from ..core import curves, recording
from ..core.arrays import Array, np
from ..core.shared import messages as m
from ..core.shared import model
from ..eeg_fields import FEATURES
from ..session import session
from ..translations import mark, say, tell, tip
from .sidebar import Online, Sidebar, paragraph, reported

POOR, FAIR = 0.5, 0.8
"""A channel's quality below which it does not count, and below which it could be better."""
QUIET_S = 1.0
"""A frame whose newest sample is older says that nothing comes."""
UNIT_PX, MARGIN, WIDEST = 20.0, 3.5, 16.0
"""Of the plot: pixels of an icon of scale 1; what the sidebar has beside it, and the largest, in such icons."""


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
            mark("Select an object first"): context.active_object is None,
            mark("Name a recording: the folder that python -m signals record wrote"): not fields.recording,
            mark("Name a property: right-click it, Copy Data Path"): not fields.baked_path,
        }
        for reason, is_missing in missing.items():
            if is_missing:
                cls.poll_message_set(tip(reason))
                return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        scene, fields, item = context.scene, context.scene.alphaloom, context.active_object
        fps = scene.render.fps / scene.render.fps_base
        found = recording.read(Path(bpy.path.abspath(fields.recording)))
        values = found.feature(fields.feature)
        values = as_share(values) if fields.baked_values == "SHARE" else values
        values = recording.at_frames(values, found.rate, fps)
        bake.bake(item, *split_path(fields.baked_path), values, scene.frame_current)
        gaps = int(np.isnan(values).sum())
        words = tell("Keyframes: {count}; frames without a value: {gaps}") if gaps else tell("Keyframes: {count}")
        self.report({"INFO"}, words.format(count=len(values) - gaps, gaps=gaps))
        return {"FINISHED"}


class ALPHALOOM_OT_sham(Online, bpy.types.Operator):
    """Let the recording that the broker was given drive the pictures instead of the live signal, or no longer: does your brain matter?"""  # noqa: E501 - a tooltip

    bl_idname = "alphaloom.sham"
    bl_label = "Sham"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if not session.eeg.recording:
            cls.poll_message_set(tip("The broker was given no recording: start it with --sham FILE"))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.connection.send(m.SetSham(not session.mirror.sham))
        return {"FINISHED"}


def performer(context: bpy.types.Context) -> model.Performer | None:
    """Whose signal is shown: the chosen one's or, where there is none, the first's."""
    found = session.mirror.performers
    chosen = context.window_manager.alphaloom_eeg.performer
    return found[chosen - 1] if chosen <= len(found) else found[0] if found else None


def shown(wanted: Iterable[str], features: Iterable[str]) -> tuple[str, ...]:
    """The features to show, in the order of all, of those that come: `asymmetry` is called after its channels."""
    by_name = {name.partition(".")[0]: name for name in sorted(features, key=lambda name: "." in name, reverse=True)}
    wanted = set(wanted)
    return tuple(by_name[name] for name in FEATURES if name in wanted and name in by_name)[: len(curves.COLOURS)]


def state_of(frame: model.Frame) -> tuple[str, str]:
    """A sentence and an icon."""
    if frame.signal == "good":
        return say("The signal is good"), "CHECKMARK"
    if frame.signal == "held":
        return say("The signal is poor: what it moves is held"), "PAUSE"
    if frame.age > QUIET_S:
        words = say("Nothing has come for {seconds} s: look at the headset and its program")
        return words.format(seconds=round(frame.age)), "CANCEL"
    return say("The signal is lost: all goes back to neutral"), "CANCEL"


def by_quality(frame: model.Frame) -> list[tuple[str, float]]:
    """Channels and their quality, the worst first."""
    return sorted(frame.quality.items(), key=lambda one: one[1])


class ALPHALOOM_PT_eeg(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_eeg"
    bl_label = "EEG"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, mirror, fields = self.layout, session.mirror, context.window_manager.alphaloom_eeg
        who = performer(context)
        if who is None or session.connection.state != "online":
            is_online = session.connection.state == "online"
            words = say("No EEG: {state}").format(state=mirror.eeg) if is_online else say("Connect to a broker first")
            paragraph(layout, context, words, "RNDCURVE")
            return
        if len(mirror.performers) > 1:
            layout.prop(fields, "performer")
        layout.label(text=f"{who.stream}, {who.rate:.0f} Hz", icon="USER")
        if session.eeg.recording:
            words = say("Sham: {recording}").format(recording=session.eeg.recording)
            layout.operator("alphaloom.sham", text=words, icon="FILE_MOVIE", depress=mirror.sham)
        frame = mirror.frames.get(who.stream)
        if frame is None:
            layout.label(text="The first window takes its time", icon="SORTTIME")
            return
        words, icon = state_of(frame)
        column = layout.column()
        column.alert = frame.signal == "lost"
        paragraph(column, context, words, icon)
        if not session.eeg.calibration.runs:  # who sees the curves tries to move them, and that is no rest
            self._draw_plot(context, frame)

    def _draw_plot(self, context: bpy.types.Context, frame: model.Frame) -> None:
        layout, fields = self.layout, context.window_manager.alphaloom_eeg
        history = session.eeg.histories.get(frame.stream)
        names = shown(fields.shown, history.names() if history else ())
        wide = context.region.width / (UNIT_PX * context.preferences.system.ui_scale) - MARGIN
        layout.template_icon(plot.icon(frame.stream, names), scale=min(max(wide, 5.0), WIDEST))
        column = layout.column(align=True)
        column.active = frame.signal == "good"
        for number, name in enumerate(names):
            row = column.row(align=True)
            row.label(text="", icon_value=plot.swatch(number))
            place = driving.place(frame.features[name]) if name in frame.features else None
            words = (
                "{name}" if place is not None else say("{name} (no baseline)" if name in frame.features else "{name} (not now)")
            )
            row.progress(text=words.format(name=name), factor=driving.NEUTRAL if place is None else place)
        row = layout.row()
        row.label(text="The last 30 s; dotted: as usual")
        row.popover("ALPHALOOM_PT_shown", text="", icon="DOWNARROW_HLT")


class ALPHALOOM_PT_shown(bpy.types.Panel):
    """Which features the plot shows"""

    bl_idname = "ALPHALOOM_PT_shown"
    bl_label = "Features"
    bl_space_type = "VIEW_3D"
    bl_region_type = "HEADER"
    bl_options = {"INSTANCED"}

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.label(text="Features")
        self.layout.column(align=True).prop(context.window_manager.alphaloom_eeg, "shown")


class ALPHALOOM_PT_channels(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_channels"
    bl_label = "Channels"
    bl_parent_id = "ALPHALOOM_PT_eeg"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        who = performer(context)
        return who is not None and who.stream in session.mirror.frames

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        """Beside the name, so that it is seen while the panel is closed."""
        found = by_quality(session.mirror.frames[performer(context).stream])
        poor = [name for name, quality in found if quality < POOR]
        if poor:
            self.layout.label(text=", ".join(poor[:2]) + ("…" if len(poor) > 2 else ""), icon="ERROR")

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        for name, quality in by_quality(session.mirror.frames[performer(context).stream]):
            words = say("Poor" if quality < POOR else "Fair" if quality < FAIR else "Good")
            column.progress(text=f"{name}: {words}", factor=quality)


class ALPHALOOM_PT_missing(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_missing"
    bl_label = "Not Available"
    bl_parent_id = "ALPHALOOM_PT_eeg"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        who = performer(context)
        return who is not None and bool(who.missing)

    def draw(self, context: bpy.types.Context) -> None:
        for name, reason in performer(context).missing.items():
            paragraph(self.layout, context, f"{name}: {reason}", "DOT")


class ALPHALOOM_PT_bake(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_bake"
    bl_label = "Recording to Keyframes"
    bl_parent_id = "ALPHALOOM_PT_eeg"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 10

    def draw(self, context: bpy.types.Context) -> None:
        layout, fields = self.layout, context.scene.alphaloom
        for name, hint in (("recording", mark("Folder")), ("feature", "calm"), ("baked_path", "location[2]")):
            layout.prop(fields, name, placeholder=hint)
        layout.prop(fields, "baked_values")
        layout.operator("alphaloom.bake", icon="KEYFRAME_HLT")


_CLASSES = (
    ALPHALOOM_OT_bake,
    ALPHALOOM_OT_sham,
    ALPHALOOM_PT_shown,
    ALPHALOOM_PT_eeg,
    ALPHALOOM_PT_channels,
    ALPHALOOM_PT_missing,
    ALPHALOOM_PT_bake,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
