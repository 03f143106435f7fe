"""The active card's pictures of before, to go back to."""

from __future__ import annotations

import time

import bpy

from .. import history, thumbnails
from ..core.past import line
from ..session import session
from ..translations import say, tip
from .sidebar import Sidebar, active_card, paragraph, reported

TILE = 80
"""Pixels of a picture, before Blender scales them."""
MARGIN = 50


def columns(context: bpy.types.Context) -> int:
    return max(2, int((context.region.width / context.preferences.system.ui_scale - MARGIN) / TILE))


def picture(layout: bpy.types.UILayout, blob: str | None, scale: float = 4.0) -> None:
    """A thumbnail, or what stands there until it comes."""
    icon = thumbnails.icon(blob)
    if icon:
        layout.template_icon(icon, scale=scale)
    else:
        column = layout.column()
        column.scale_y = scale
        column.label(text="", icon="ERROR" if blob and thumbnails.is_failed(blob) else "IMAGE_DATA")


class ALPHALOOM_OT_go_back(bpy.types.Operator):
    bl_idname = "alphaloom.go_back"
    bl_label = "Use Picture"
    bl_options = {"UNDO", "INTERNAL"}

    job: bpy.props.StringProperty(options={"SKIP_SAVE"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        card = active_card(context)
        jobs = history.look(card.alphaloom.ident).jobs if card is not None else []
        job = next((job for job in jobs if job.id == properties.job), None)
        if job is None:
            return tip("Make this the node's picture again")
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.ended or job.created))
        return tip("Make this the node's picture again: {picture}, {when}").format(picture=line(job, tip), when=when)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.mirror.loaded and active_card(context) is not None:
            return True
        cls.poll_message_set(tip("Connect to a broker and select a card first"))
        return False

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        history.go_back(active_card(context).alphaloom.ident, self.job, context.scene.alphaloom.with_settings)
        return {"FINISHED"}


class ALPHALOOM_OT_more_history(bpy.types.Operator):
    """List older pictures"""

    bl_idname = "alphaloom.more_history"
    bl_label = "More"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if history.is_asked():
            cls.poll_message_set(tip("The history is being fetched"))
            return False
        return session.connection.state == "online"

    def execute(self, context: bpy.types.Context) -> set[str]:
        history.more()
        return {"FINISHED"}


class ALPHALOOM_PT_history(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_history"
    bl_label = "History"
    bl_parent_id = "ALPHALOOM_PT_node"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, node = self.layout, active_card(context).alphaloom
        if session.connection.state != "online":
            layout.label(text="Connect to see it", icon="INFO")
            return
        past = history.look(node.ident)
        if past.problem:
            paragraph(layout, context, past.problem, "ERROR")
            layout.operator("alphaloom.more_history", text="Try Again", icon="FILE_REFRESH")
        elif not past.jobs:
            layout.label(text="No pictures yet" if past.is_whole else "Fetching…")
        if not past.jobs:
            return
        layout.prop(context.scene.alphaloom, "with_settings")
        grid = layout.grid_flow(row_major=True, columns=columns(context), even_columns=True, even_rows=True, align=True)
        known = session.mirror.map.nodes.get(node.ident)
        for job in past.jobs:
            cell = grid.column(align=True)
            picture(cell, job.picture)
            is_it = known is not None and known.picture == job.picture
            text = str(job.resolved.seed) if job.resolved is not None else say("Use")
            cell.operator("alphaloom.go_back", text=text, icon="CHECKMARK" if is_it else "NONE", depress=is_it).job = job.id
        if not past.is_whole:
            layout.operator("alphaloom.more_history", icon="TRIA_DOWN")


_CLASSES = (ALPHALOOM_OT_go_back, ALPHALOOM_OT_more_history, ALPHALOOM_PT_history)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
