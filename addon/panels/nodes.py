"""Nodes in the sidebar: new ones, the selected one's fields, and its picture."""

from __future__ import annotations

import random

import bpy

from .. import sources
from ..core.shared import model
from ..session import session
from ..translations import say, tip
from .models import draw_model
from .sidebar import CardSidebar, Online, Sidebar, active_card, card_is_selected, paragraph

SPACING = 1.35  # card widths between a node and its new child
ROW = 1.4  # and between two children
MOST_SEEDS = 2**31


def add_node(prompt: str, link: str, parent: bpy.types.Object | None) -> model.Node:
    """Put a new node on the map: right of `parent`, at the first free place down, and linked to it; or beside everything."""
    known = session.mirror.map
    task: model.Task = "img2img" if parent is not None and link == "image" else "txt2img"
    x = max((n.x for n in known.nodes.values()), default=-SPACING) + SPACING
    y = 0.0
    if parent is not None and parent.alphaloom.ident in known.nodes:
        above = known.nodes[parent.alphaloom.ident]
        x, y = above.x + SPACING, above.y
        while any(abs(n.x - x) < SPACING - 0.1 and abs(n.y - y) < ROW - 0.1 for n in known.nodes.values()):
            y -= ROW
    node = model.Node(model.new_id(), prompt=prompt, task=task, x=x, y=y)
    links = [] if parent is None else [model.Link(model.new_id(), parent.alphaloom.ident, node.id, link)]
    session.put(node, *links)
    return node


class ALPHALOOM_OT_add_node(Online, bpy.types.Operator):
    """Add a node; with a card selected, as its child"""

    bl_idname = "alphaloom.add_node"
    bl_label = "Add Node"
    bl_options = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        fields = context.scene.alphaloom
        parent = active_card(context)
        add_node(fields.prompt, fields.link, parent if parent is not None and parent.select_get() else None)
        return {"FINISHED"}


class ALPHALOOM_OT_generate(Online, bpy.types.Operator):
    """Make the pictures of the selected cards"""

    bl_idname = "alphaloom.generate"
    bl_label = "Generate"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if sources.are_under_way(item.alphaloom.ident for item in context.selected_objects):
            cls.poll_message_set(tip("A source or mask is being uploaded"))
            return False
        return super().poll(context) and card_is_selected(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        for item in context.selected_objects:
            if item.alphaloom.kind == "card":
                session.generate(item.alphaloom.ident)
        return {"FINISHED"}


class ALPHALOOM_OT_dice(bpy.types.Operator):
    """Give each selected card another seed"""

    bl_idname = "alphaloom.dice"
    bl_label = "New Seed"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return card_is_selected(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        for item in context.selected_objects:
            if item.alphaloom.kind == "card":
                item.alphaloom.seed = random.randrange(MOST_SEEDS)
        return {"FINISHED"}


class ALPHALOOM_PT_add(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_add"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_label = "New Node"

    def draw(self, context: bpy.types.Context) -> None:
        layout, fields = self.layout, context.scene.alphaloom
        layout.prop(fields, "prompt", text="", icon="GREASEPENCIL", placeholder="Type a Prompt")
        if active_card(context):
            layout.row().prop(fields, "link", expand=True)
        layout.operator("alphaloom.add_node", icon="ADD")


class ALPHALOOM_PT_node(CardSidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_node"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_label = "Node"

    def draw(self, context: bpy.types.Context) -> None:
        layout, card = self.layout, active_card(context)
        layout.use_property_split = True
        layout.use_property_decorate = False
        node = card.alphaloom
        for name in ("prompt", "negative", "task"):
            layout.prop(node, name)
        if node.task != "txt2img":
            layout.prop(node, "strength")
        if session.mirror.map.parents(node.ident, "blend"):
            layout.prop(node, "blend")
        row = layout.row(align=True)
        row.prop(node, "seed")
        row.operator("alphaloom.dice", text="", icon="FILE_REFRESH")
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.use_property_split = False
        row.operator("alphaloom.generate", icon="RENDER_STILL")
        row.prop(node, "live", toggle=True, icon="PLAY")
        state = session.mirror.state_of(node.ident, say)
        if state:
            paragraph(layout, context, state, "INFO")


class ALPHALOOM_PT_settings(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_settings"
    bl_parent_id = "ALPHALOOM_PT_node"
    bl_label = "Settings"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, node = self.layout, active_card(context).alphaloom
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        for name in ("width", "height"):
            column.prop(node, name)
        draw_model(layout, context, node)
        column = layout.column(align=True)
        for name in ("steps", "guidance", "scheduler"):
            column.prop(node, name)
        layout.prop(node, "tiling")
        column = layout.column(align=True)
        column.prop(node, "variation")
        if node.variation or node.modulate:
            column.prop(node, "variation_seed", text="Seed")
        column = layout.column(align=True, heading="EEG")
        column.prop(node, "modulate", text="Moves This Node")
        if node.modulate:
            column.prop(node, "eeg_in_file", text="Is Written to Its Files")


_CLASSES = (
    ALPHALOOM_OT_add_node,
    ALPHALOOM_OT_generate,
    ALPHALOOM_OT_dice,
    ALPHALOOM_PT_add,
    ALPHALOOM_PT_node,
    ALPHALOOM_PT_settings,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
