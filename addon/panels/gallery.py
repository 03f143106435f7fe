"""All pictures of the map in the sidebar: a way to each card, and out into files."""

from __future__ import annotations

from pathlib import Path

import bpy

from .. import gallery
from .. import scene as cards
from ..session import session
from ..translations import say, tell, tip
from .history import columns, picture
from .sidebar import Online, Sidebar, paragraph, reported

PAGE = 24


def look_at(context: bpy.types.Context, ident: str) -> bool:
    """Select a node's card alone and frame it in the view; whether it is there."""
    card = cards.find("card", ident)
    layer = context.view_layer
    if card is None or card.name not in layer.objects:
        return False
    for item in list(context.selected_objects):
        item.select_set(False)
    card.hide_set(False)
    card.select_set(True)
    layer.objects.active = card
    area = context.area
    region = next((each for each in area.regions if each.type == "WINDOW"), None) if area is not None else None
    if area is not None and area.type == "VIEW_3D" and region is not None:
        with context.temp_override(region=region):
            bpy.ops.view3d.view_selected()
    return True


class ALPHALOOM_OT_look_at(bpy.types.Operator):
    bl_idname = "alphaloom.look_at"
    bl_label = "Look at Card"
    bl_options = {"UNDO", "INTERNAL"}

    node: bpy.props.StringProperty(options={"SKIP_SAVE"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        node = session.mirror.map.nodes.get(properties.node)
        words = cards.shortened(node.prompt, 80) if node is not None else ""
        return (
            tip("Select this card and look at it: {words}").format(words=words)
            if words
            else tip("Select this card and look at it")
        )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode == "OBJECT":
            return True
        cls.poll_message_set(tip("Leave this mode first: cards are selected in Object Mode"))
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        if look_at(context, self.node):
            return {"FINISHED"}
        self.report({"ERROR"}, "This card is not in the view layer any more")
        return {"CANCELLED"}


class ALPHALOOM_OT_save_pictures(Online, bpy.types.Operator):
    """Write the full pictures of the selected cards, or of all, as files that say how they were made"""

    bl_idname = "alphaloom.save_pictures"
    bl_label = "Save Pictures…"

    directory: bpy.props.StringProperty(subtype="DIR_PATH")
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    which: bpy.props.EnumProperty(
        name="Which",
        items=[
            ("SELECTED", "Selected Cards", "The selected cards' pictures"),
            ("ALL", "All Cards", "The whole map's pictures"),
        ],
        default="ALL",
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.which = "SELECTED" if self._selected(context) else "ALL"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        idents = set(session.mirror.map.nodes) if self.which == "ALL" else self._selected(context)
        count = gallery.save(Path(bpy.path.abspath(self.directory)), idents)
        self.report({"INFO"}, tell("Pictures being saved: {count}").format(count=count))
        return {"FINISHED"}

    @staticmethod
    def _selected(context: bpy.types.Context) -> set[str]:
        return {item.alphaloom.ident for item in context.selected_objects if item.alphaloom.kind == "card"}


class ALPHALOOM_PT_gallery(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_gallery"
    bl_label = "Gallery"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, fields = self.layout, context.scene.alphaloom
        nodes = gallery.shown(session.mirror.map)
        if not nodes:
            layout.label(text="No card has a picture yet")
            return
        pages = -(-len(nodes) // PAGE)
        page = min(fields.gallery_page, pages)
        grid = layout.grid_flow(row_major=True, columns=columns(context), even_columns=True, even_rows=True, align=True)
        for node in nodes[(page - 1) * PAGE : page * PAGE]:
            cell = grid.column(align=True)
            picture(cell, node.picture)
            cell.operator(
                "alphaloom.look_at", text=cards.shortened(node.prompt or node.task, 18), translate=False
            ).node = node.id
        if pages > 1:
            layout.prop(fields, "gallery_page", text=say("Page of {pages}").format(pages=pages), translate=False)
        layout.operator("alphaloom.save_pictures", icon="FILE_FOLDER")
        report = gallery.report()
        if report:
            paragraph(layout, context, report, "INFO")


_CLASSES = (ALPHALOOM_OT_look_at, ALPHALOOM_OT_save_pictures, ALPHALOOM_PT_gallery)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
