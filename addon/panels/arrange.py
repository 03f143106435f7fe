"""The map as a whole in the sidebar: its cards in order, and all of them in view."""

from __future__ import annotations

import bpy

from .. import arranging
from .. import scene as cards
from ..session import session
from ..translations import tell, tip
from .sidebar import Online, Sidebar, reported


class ALPHALOOM_OT_tidy(Online, bpy.types.Operator):
    """Put the selected cards in order, or all when none is selected, so that none overlap and parents are left of children"""

    bl_idname = "alphaloom.tidy"
    bl_label = "Tidy Layout"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if context.mode != "OBJECT":
            cls.poll_message_set(tip("Leave Edit Mode first"))
            return False
        if not session.mirror.map.nodes:
            cls.poll_message_set(tip("The map has no cards yet"))
            return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        moved = arranging.tidy(cards.selected())
        self.report({"INFO"}, tell("Cards moved: {count}").format(count=moved))
        return {"FINISHED"} if moved else {"CANCELLED"}


class ALPHALOOM_OT_frame_all(bpy.types.Operator):
    """Look at the whole map from the front"""

    bl_idname = "alphaloom.frame_all"
    bl_label = "Frame Map"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.space_data is None or context.space_data.type != "VIEW_3D":
            cls.poll_message_set(tip("This works in a 3D view only"))
            return False
        if not cards.bodies():
            cls.poll_message_set(tip("The map has no cards yet"))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        arranging.frame(context.area)
        return {"FINISHED"}


class ALPHALOOM_PT_arrange(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_arrange"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_label = "Layout"

    def draw(self, context: bpy.types.Context) -> None:
        row = self.layout.row(align=True)
        row.operator("alphaloom.tidy", icon="SNAP_GRID")
        row.operator("alphaloom.frame_all", icon="ZOOM_ALL")


_CLASSES = (ALPHALOOM_OT_tidy, ALPHALOOM_OT_frame_all, ALPHALOOM_PT_arrange)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
