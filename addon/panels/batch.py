"""A batch over frames in the sidebar: what it is to make, how far it is, and a way to call it off."""

from __future__ import annotations

import bpy

from .. import batching
from ..translations import mark, tip
from .sidebar import Sidebar, active_card, paragraph, reported
from .tasks import HasCard


def wanted(context: bpy.types.Context) -> batching.Wanted:
    """As the panel says it."""
    scene, fields = context.scene, context.scene.alphaloom_tasks
    frames = (scene.frame_start, scene.frame_end, scene.frame_step)
    if fields.frames == "TYPED":
        frames = (fields.first, fields.last, 1)
    return batching.Wanted(*frames, fields.folder, fields.name, fields.eeg, fields.keyframed, fields.overwrite)


class ALPHALOOM_OT_batch(HasCard, bpy.types.Operator):
    """Make the active card's picture for each frame, as files in a folder; the node stays as it is"""

    bl_idname = "alphaloom.batch"
    bl_label = "Make Frames"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> dict[str, bool]:
        return {mark("A batch is under way: cancel it, or wait for its end"): batching.is_running()}

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        self.report({"INFO"}, batching.begin(active_card(context), wanted(context)))
        return {"FINISHED"}


class ALPHALOOM_OT_cancel_batch(bpy.types.Operator):
    """Call off the frames that are left; files that are written stay"""

    bl_idname = "alphaloom.cancel_batch"
    bl_label = "Cancel Batch"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if batching.is_running():
            return True
        cls.poll_message_set(tip("No batch is under way"))
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        batching.cancel()
        return {"FINISHED"}


class ALPHALOOM_PT_batch(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_batch"
    bl_label = "Batch"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return batching.current is not None or active_card(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout, fields, batch = self.layout, context.scene.alphaloom_tasks, batching.current
        if batch is not None:
            ended = batch.done + len(batch.failed)
            row = layout.row(align=True)
            row.progress(factor=ended / batch.total, text=f"{ended} / {batch.total}")
            if batching.is_running():
                row.operator("alphaloom.cancel_batch", text="", icon="X")
            trouble = bool(batch.failed or batch.problem)
            paragraph(layout, context, batching.line(), "ERROR" if trouble else "INFO")
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.row().prop(fields, "frames", expand=True)
        if fields.frames == "TYPED":
            column = layout.column(align=True)
            column.prop(fields, "first")
            column.prop(fields, "last")
        layout.prop(fields, "folder")
        layout.prop(fields, "name", placeholder="The node's words")
        for name in ("keyframed", "eeg", "overwrite"):
            layout.prop(fields, name)
        layout.operator("alphaloom.batch", icon="RENDER_ANIMATION")


_CLASSES = (ALPHALOOM_OT_batch, ALPHALOOM_OT_cancel_batch, ALPHALOOM_PT_batch)
_register, _unregister = bpy.utils.register_classes_factory(_CLASSES)


def register() -> None:
    _register()


def unregister() -> None:
    batching.forget()
    _unregister()
