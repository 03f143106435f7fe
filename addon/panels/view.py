"""What the view sees as guidance, in the sidebar: depth map, source, ControlNet."""

from __future__ import annotations

from dataclasses import replace

import bpy
from bpy.props import EnumProperty

from .. import guidance, sources
from ..core.shared import errors, model
from ..session import session
from ..translations import mark
from .sidebar import CardSidebar, active_card, paragraph, reported
from .tasks import HasCard

PICTURES = [
    ("depth", "Depth Map", "What a ControlNet guides by"),
    ("source", "Source", "What the picture is changed from"),
]


def node_of(context: bpy.types.Context) -> model.Node:
    """The active card's node, as the panel shows it. Raises AlphaloomError `unknown_node`."""
    session.hands.rest(session.mirror.map)
    card = active_card(context)
    node = session.mirror.map.nodes.get(card.alphaloom.ident)
    if node is None:
        raise errors.AlphaloomError("unknown_node", "The card's node is not on the broker's map.")
    return node


class ALPHALOOM_OT_take_depth(HasCard, bpy.types.Operator):
    """Make what the camera or the view sees the active card's depth map; the map's own objects are not in it"""

    bl_idname = "alphaloom.take_depth"
    bl_label = "Take Depth"
    bl_options = {"UNDO"}

    @classmethod
    def missing(cls, context: bpy.types.Context) -> dict[str, bool]:
        return {mark("A depth map is being made: wait for its end"): guidance.current is not None}

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        guidance.begin_depth(context, node_of(context), context.scene.alphaloom_tasks.seen_from)
        return {"FINISHED"}


class ALPHALOOM_OT_take_view(HasCard, bpy.types.Operator):
    """Make what the camera or the view sees, as it is drawn, the active card's source"""

    bl_idname = "alphaloom.take_view"
    bl_label = "Take View"
    bl_options = {"UNDO"}

    @classmethod
    def missing(cls, context: bpy.types.Context) -> dict[str, bool]:
        return {mark("This needs a window and a graphics card"): bpy.app.background}

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        guidance.take_view(context, node_of(context), context.scene.alphaloom_tasks.seen_from)
        return {"FINISHED"}


class ALPHALOOM_OT_clear_guidance(HasCard, bpy.types.Operator):
    """Take the depth map or the source away from the active card's node"""

    bl_idname = "alphaloom.clear_guidance"
    bl_label = "Clear"
    bl_options = {"UNDO"}

    picture: EnumProperty(name="Picture", items=PICTURES, options={"SKIP_SAVE"})

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        session.put(replace(node_of(context), **{self.picture: None}))
        return {"FINISHED"}


class ALPHALOOM_PT_view(CardSidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_view"
    bl_label = "View"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, fields, card = self.layout, context.scene.alphaloom_tasks, active_card(context)
        node = session.mirror.map.nodes.get(card.alphaloom.ident)
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.row().prop(fields, "seen_from", expand=True)
        row = layout.row(align=True)
        row.operator("alphaloom.take_depth", icon="MOD_DISPLACE")
        row.operator("alphaloom.take_view", icon="IMAGE_BACKGROUND")
        if guidance.current is not None:
            layout.progress(factor=guidance.current.progress, text="Depth")
        if guidance.said:
            paragraph(layout, context, guidance.said, "INFO")
        if node is not None and node.id in sources.problems:
            paragraph(layout, context, sources.problems[node.id], "ERROR")
        for name, label, _ in PICTURES:
            if node is not None and getattr(node, name) is not None:
                row = layout.row()
                row.label(text=label, icon="CHECKMARK")
                row.operator("alphaloom.clear_guidance", text="", icon="X", emboss=False).picture = name
        if node is not None and node.depth is not None and not card.alphaloom.control:
            paragraph(layout, context, "Name a ControlNet for the depth map to guide", "INFO")
        layout.prop(card.alphaloom, "control", placeholder="None")
        if card.alphaloom.control:
            layout.prop(card.alphaloom, "control_strength")


_CLASSES = (ALPHALOOM_OT_take_depth, ALPHALOOM_OT_take_view, ALPHALOOM_OT_clear_guidance, ALPHALOOM_PT_view)
_register, _unregister = bpy.utils.register_classes_factory(_CLASSES)


def register() -> None:
    _register()


def unregister() -> None:
    guidance.forget()
    _unregister()
