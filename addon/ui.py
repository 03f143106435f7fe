"""Operators and the sidebar. Operators only call plain functions, so that everything can be tested without a window."""

from __future__ import annotations

import ipaddress
import random
from urllib.parse import urlsplit

import bpy

from . import pictures
from .session import session
from .shared import address, errors, model

SPACING = 1.35  # card widths between a node and its new child
ROW = 1.4  # and between two children
MOST_SEEDS = 2**31


def active_card(context: bpy.types.Context) -> bpy.types.Object | None:
    item = context.active_object
    return item if item is not None and item.alphaloom.kind == "card" else None


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


class _Online:
    """Operators that need the broker."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.connection.state == "online":
            return True
        cls.poll_message_set("Connect to a broker first")
        return False


class ALPHALOOM_OT_connect(bpy.types.Operator):
    """Connect to the broker"""

    bl_idname = "alphaloom.connect"
    bl_label = "Connect"

    def execute(self, context: bpy.types.Context) -> set[str]:
        broker = context.scene.alphaloom.broker
        try:
            if not _is_loopback(broker) and not bpy.app.online_access:
                raise errors.AlphaloomError(
                    "offline", "Allow Online Access (Preferences, System) to reach a broker beyond this machine"
                )
            session.open(broker)
        except errors.AlphaloomError as error:
            self.report({"ERROR"}, error.message)
            return {"CANCELLED"}
        return {"FINISHED"}


class ALPHALOOM_OT_disconnect(bpy.types.Operator):
    """Disconnect from the broker; cards and pictures stay"""

    bl_idname = "alphaloom.disconnect"
    bl_label = "Disconnect"

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.close()
        pictures.hide_previews()
        return {"FINISHED"}


class ALPHALOOM_OT_add_node(_Online, bpy.types.Operator):
    """Add a node; with a card selected, as its child"""

    bl_idname = "alphaloom.add_node"
    bl_label = "Add Node"
    bl_options = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        fields = context.scene.alphaloom
        parent = active_card(context)
        add_node(fields.prompt, fields.link, parent if parent is not None and parent.select_get() else None)
        return {"FINISHED"}


class ALPHALOOM_OT_generate(_Online, bpy.types.Operator):
    """Make the pictures of the selected cards"""

    bl_idname = "alphaloom.generate"
    bl_label = "Generate"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and _card_is_selected(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        for item in context.selected_objects:
            if item.alphaloom.kind == "card":
                session.generate(item.alphaloom.ident)
        return {"FINISHED"}


class ALPHALOOM_OT_dice(bpy.types.Operator):
    """Another seed for each selected card"""

    bl_idname = "alphaloom.dice"
    bl_label = "New Seed"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _card_is_selected(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        for item in context.selected_objects:
            if item.alphaloom.kind == "card":
                item.alphaloom.seed = random.randrange(MOST_SEEDS)
        return {"FINISHED"}


def _card_is_selected(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    if any(item.alphaloom.kind == "card" for item in context.selected_objects):
        return True
    cls.poll_message_set("Select a card first")
    return False


class Sidebar:
    """Where panels are: in the sidebar of the 3D view, in our tab."""

    bl_category = "Alphaloom"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class ALPHALOOM_PT_map(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_map"
    bl_label = "Alphaloom"

    def draw(self, context: bpy.types.Context) -> None:
        layout, fields = self.layout, context.scene.alphaloom
        connection, mirror = session.connection, session.mirror
        layout.prop(fields, "broker", text="", icon="URL")
        if connection.state == "offline":
            layout.operator("alphaloom.connect", icon="LINKED")
        else:
            layout.operator("alphaloom.disconnect", icon="UNLINKED")
        if connection.state == "connecting":
            layout.label(text="Connecting…", icon="SORTTIME")
        if connection.problem:
            _paragraph(layout, context, connection.problem, "ERROR")
        if connection.state == "online":
            edges = f"{mirror.edges} edge" + "s" * (mirror.edges != 1)
            layout.label(text=f"Online, {edges}" if mirror.edges else "Online, no edge: start python -m edge", icon="CHECKMARK")
            _paragraph(
                layout, context, f"EEG: {mirror.eeg}" + (" (sham: a recording drives)" if mirror.sham else ""), "RNDCURVE"
            )
        if mirror.error:
            _paragraph(layout, context, mirror.error, "ERROR")


class ALPHALOOM_PT_add(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_add"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_label = "New Node"

    def draw(self, context: bpy.types.Context) -> None:
        layout, fields = self.layout, context.scene.alphaloom
        layout.prop(fields, "prompt", text="", icon="GREASEPENCIL", placeholder="Prompt")
        if active_card(context):
            layout.row().prop(fields, "link", expand=True)
        layout.operator("alphaloom.add_node", icon="ADD")


class ALPHALOOM_PT_node(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_node"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_label = "Node"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return active_card(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout, card = self.layout, active_card(context)
        layout.use_property_split = True
        layout.use_property_decorate = False
        node = card.alphaloom
        for name in ("prompt", "negative", "task"):
            layout.prop(node, name)
        row = layout.row(align=True)
        row.prop(node, "seed")
        row.operator("alphaloom.dice", text="", icon="FILE_REFRESH")
        layout.prop(node, "variation")
        if node.variation or node.modulate:
            layout.prop(node, "variation_seed")
        column = layout.column(align=True)
        for name in ("width", "height"):
            column.prop(node, name)
        layout.prop(node, "model", placeholder="The edge's own")
        column = layout.column(align=True)
        for name in ("steps", "guidance", "scheduler"):
            column.prop(node, name)
        layout.prop(node, "tiling")
        if node.task != "txt2img":
            layout.prop(node, "strength")
        if session.mirror.map.parents(node.ident, "blend"):
            layout.prop(node, "blend")
        layout.prop(node, "modulate")
        if node.modulate:
            layout.prop(node, "eeg_in_file")
        row = layout.row(align=True)
        row.operator("alphaloom.generate", icon="RENDER_STILL")
        row.prop(node, "live", toggle=True, icon="PLAY")
        state = session.mirror.state_of(node.ident)
        if state:
            _paragraph(layout, context, state, "INFO")


def _paragraph(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str) -> None:
    """A text of any length, broken to the sidebar's width."""
    most = max(16, int(context.region.width / (7.5 * context.preferences.system.ui_scale)) - 6)
    column = layout.column(align=True)
    row = ""
    for word in text.split():
        if row and len(row) + len(word) >= most:
            column.label(text=row, icon=icon)
            row, icon = "", "BLANK1"
        row = f"{row} {word}".strip()
    column.label(text=row, icon=icon)


def _is_loopback(broker: str) -> bool:
    host = urlsplit(address.parse(broker).ws).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_CLASSES = (
    ALPHALOOM_OT_connect,
    ALPHALOOM_OT_disconnect,
    ALPHALOOM_OT_add_node,
    ALPHALOOM_OT_generate,
    ALPHALOOM_OT_dice,
    ALPHALOOM_PT_map,
    ALPHALOOM_PT_add,
    ALPHALOOM_PT_node,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
