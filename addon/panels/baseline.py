"""Calibrating in the sidebar: eyes open, eyes closed, a baseline of one's own."""

from __future__ import annotations

import time

import bpy

from .. import plot
from ..core.calibration import Report
from ..session import session
from ..translations import mark, say, tip
from .sidebar import Online, Sidebar, paragraph

PHASE_S = 60.0
NEEDED = 0.7
"""Of each phase must be clean."""

_SAID = {
    "waiting": (mark("Sit comfortably, and let the signal settle"), "SORTTIME"),
    "open": (mark("Eyes open: look at one point, sit still, let the jaw hang loose"), "HIDE_OFF"),
    "closed": (mark("Close your eyes now. A soft tone tells when it is over"), "HIDE_ON"),
    "computing": (mark("Done: you may open your eyes. The baseline is being computed"), "SORTTIME"),
}


class ALPHALOOM_OT_calibrate(Online, bpy.types.Operator):
    """Measure what your features are like at rest: a minute with eyes open, a minute with eyes closed. The broker keeps the result for this headset"""  # noqa: E501 - a tooltip

    bl_idname = "alphaloom.calibrate"
    bl_label = "Calibrate"

    seconds: bpy.props.FloatProperty(
        name="Seconds", description="Length of each of the two phases", default=PHASE_S, min=5, max=600, options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if not session.mirror.performers:
            cls.poll_message_set(tip("No EEG is heard: start your headset's LSL program"))
            return False
        if session.eeg.calibration.runs:
            cls.poll_message_set(tip("A calibration runs already"))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.eeg.calibration.begin(context.window_manager.alphaloom_eeg.performer, self.seconds)
        return {"FINISHED"}


class ALPHALOOM_OT_end_calibration(bpy.types.Operator):
    """Call the calibration off; the baseline stays as it was"""

    bl_idname = "alphaloom.end_calibration"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.eeg.calibration.runs:
            return True
        cls.poll_message_set(tip("No calibration runs"))
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.eeg.calibration.end()
        return {"FINISHED"}


class ALPHALOOM_OT_delete_baseline(Online, bpy.types.Operator):
    """Delete the baseline that the broker keeps for this headset"""

    bl_idname = "alphaloom.delete_baseline"
    bl_label = "Delete Baseline"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if session.eeg.calibration.runs or not session.eeg.calibration.report.file:
            cls.poll_message_set(tip("The broker keeps no baseline for this headset"))
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.eeg.calibration.end()
        return {"FINISHED"}


class ALPHALOOM_PT_baseline(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_baseline"
    bl_label = "Baseline"
    bl_parent_id = "ALPHALOOM_PT_eeg"

    def draw(self, context: bpy.types.Context) -> None:
        layout, calibration = self.layout, session.eeg.calibration
        if calibration.runs:
            plot.seen()
            self._draw_step(context)
            layout.operator("alphaloom.end_calibration", icon="CANCEL")
            return
        report = calibration.report
        if report.step == "failed":
            paragraph(layout, context, report.problem, "ERROR")
        if calibration.problem:
            paragraph(layout, context, calibration.problem, "ERROR")
        if report.made:
            _draw_result(layout, context, report)
        elif report.step != "failed":
            paragraph(layout, context, "No baseline: features are compared with what is usual, some with nothing", "INFO")
        row = layout.row(align=True)
        row.operator("alphaloom.calibrate", text="Calibrate Again" if report.made else "Calibrate", icon="HIDE_OFF")
        if report.file:
            row.operator("alphaloom.delete_baseline", text="", icon="TRASH")

    def _draw_step(self, context: bpy.types.Context) -> None:
        calibration = session.eeg.calibration
        report = calibration.report
        words, icon = _SAID.get(report.step, (report.step, "INFO"))
        box = self.layout.box()
        large = box.column(align=True)
        large.scale_y = 1.5
        paragraph(large, context, words, icon)
        if report.step != "computing":
            box.progress(text=f"{calibration.left():.0f} s", factor=calibration.done())
        if report.clean is not None:
            enough = report.clean >= NEEDED
            words = say("Clean: {share}") if enough else say("Clean: {share} of {needed} needed; relax the jaw")
            box.label(
                text=words.format(share=f"{report.clean:.0%}", needed=f"{NEEDED:.0%}"), icon="CHECKMARK" if enough else "ERROR"
            )


def _draw_result(layout: bpy.types.UILayout, context: bpy.types.Context, report: Report) -> None:
    words = (
        say("Baseline of {date}, alpha peak at {peak} Hz")
        if report.alpha_peak
        else say("Baseline of {date}, no clear alpha peak")
    )
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(report.made))
    peak = f"{report.alpha_peak:.1f}" if report.alpha_peak else ""
    paragraph(layout, context, words.format(date=made, peak=peak), "CHECKMARK")
    for warning in report.warnings:
        paragraph(layout, context, warning, "ERROR")
    if report.file:
        paragraph(layout, context, say("Kept by the broker in {file}").format(file=report.file), "FILE")


_CLASSES = (ALPHALOOM_OT_calibrate, ALPHALOOM_OT_end_calibration, ALPHALOOM_OT_delete_baseline, ALPHALOOM_PT_baseline)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
