"""A node's source and mask in the sidebar: what they are, where else they may come from, and painting the mask."""

from __future__ import annotations

from pathlib import Path

import bpy

from .. import masks, sources
from ..core.shared import errors
from ..session import session
from ..translations import OURS, tip
from .history import picture
from .sidebar import CardSidebar, Online, Sidebar, active_card, paragraph, reported

FIELDS = [
    ("source", "Source", "The picture that is changed"),
    ("mask", "Mask", "White is painted anew, black stays"),
]


class _Given(Online):
    """Operators that give the active card's node a source or a mask."""

    bl_options = {"UNDO"}

    field: bpy.props.EnumProperty(name="For", items=FIELDS, options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if active_card(context) is None:
            cls.poll_message_set(tip("Select a card first"))
            return False
        return super().poll(context)

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        self.give(context, active_card(context).alphaloom.ident)
        return {"FINISHED"}


class ALPHALOOM_OT_source_from_file(_Given, bpy.types.Operator):
    """Use a PNG, JPEG or WebP file"""

    bl_idname = "alphaloom.source_from_file"
    bl_label = "From File"

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def give(self, context: bpy.types.Context, ident: str) -> None:
        sources.upload(ident, self.field, sources.read(Path(bpy.path.abspath(self.filepath))))


class ALPHALOOM_OT_source_from_image(_Given, bpy.types.Operator):
    """Use the image of this file that is named at the left"""

    bl_idname = "alphaloom.source_from_image"
    bl_label = "From Image"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene.alphaloom.source_image not in bpy.data.images:
            cls.poll_message_set(tip("Name an image of this file first"))
            return False
        return super().poll(context)

    def give(self, context: bpy.types.Context, ident: str) -> None:
        image = bpy.data.images[context.scene.alphaloom.source_image]
        sources.upload(ident, self.field, sources.encoded(image))


class ALPHALOOM_OT_source_from_card(_Given, bpy.types.Operator):
    """Use the other selected card's picture, or this card's own where it is selected alone"""

    bl_idname = "alphaloom.source_from_card"
    bl_label = "From Card"

    def give(self, context: bpy.types.Context, ident: str) -> None:
        selected = [item.alphaloom.ident for item in context.selected_objects if item.alphaloom.kind == "card"]
        giver = next((each for each in selected if each != ident), ident)
        node = session.mirror.map.nodes.get(giver)
        if node is None or node.picture is None:
            raise errors.AlphaloomError("no_picture", "That card has no picture yet. Generate one first.", node=giver)
        sources.put(ident, {self.field: node.picture})


class ALPHALOOM_OT_clear_source(_Given, bpy.types.Operator):
    """Take the source or the mask away from the node"""

    bl_idname = "alphaloom.clear_source"
    bl_label = "Clear"

    def give(self, context: bpy.types.Context, ident: str) -> None:
        sources.put(ident, {self.field: None})


class ALPHALOOM_OT_paint_mask(_Given, bpy.types.Operator):
    """Paint what shall be made anew over the picture, with Blender's own brushes"""

    bl_idname = "alphaloom.paint_mask"
    bl_label = "Paint Mask"
    bl_translation_context = OURS

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if context.mode != "OBJECT":
            cls.poll_message_set(tip("Leave this mode first"))
        elif masks.source_image(active_card(context).alphaloom.ident) is None:
            cls.poll_message_set(tip("There is no picture to paint over yet: generate one, or set a source"))
        else:
            return True
        return False

    def give(self, context: bpy.types.Context, ident: str) -> None:
        masks.begin(ident)


class _Painting:
    """Operators for when a mask is painted."""

    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if masks.painted():
            return True
        cls.poll_message_set(tip("No mask is painted just now"))
        return False


class ALPHALOOM_OT_use_mask(_Painting, Online, bpy.types.Operator):
    """Use this mask: what is painted is made anew with the next picture"""

    bl_idname = "alphaloom.use_mask"
    bl_label = "Use Mask"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and Online.poll.__func__(cls, context)

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        masks.use(masks.painted())
        return {"FINISHED"}


class ALPHALOOM_OT_leave_mask(_Painting, bpy.types.Operator):
    """Stop painting; what is painted stays, to be continued later"""

    bl_idname = "alphaloom.leave_mask"
    bl_label = "Leave"

    def execute(self, context: bpy.types.Context) -> set[str]:
        masks.end(masks.painted())
        return {"FINISHED"}


class ALPHALOOM_OT_clear_mask(bpy.types.Operator):
    """Erase the whole mask, and take it away from the node"""

    bl_idname = "alphaloom.clear_mask"
    bl_label = "Clear Mask"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if masks.painted() or active_card(context) is not None:
            return True
        cls.poll_message_set(tip("Select a card first"))
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        masks.clear(masks.painted() or active_card(context).alphaloom.ident)
        return {"FINISHED"}


class ALPHALOOM_PT_source(CardSidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_source"
    bl_label = "Source"
    bl_parent_id = "ALPHALOOM_PT_node"

    def draw(self, context: bpy.types.Context) -> None:
        layout, card = self.layout, active_card(context).alphaloom
        node = session.mirror.map.nodes.get(card.ident)
        if node is None:
            layout.label(text="Connect to see it", icon="INFO")
            return
        masks.fetch_source(node.id)
        parent = sources.goes_before(node.id)
        if card.task != "txt2img":
            if parent is not None:
                paragraph(layout, context, "The picture of the card that the image link comes from is the source", "LINKED")
                picture(layout, parent.picture)
            else:
                _draw_field(layout, context, node.id, "source", node.source)
        if card.task == "inpaint":
            _draw_field(layout, context, node.id, "mask", node.mask)
        row = layout.row(align=True)
        row.operator("alphaloom.paint_mask", icon="BRUSH_DATA")
        row.operator("alphaloom.clear_mask", text="", icon="X")
        if node.id in sources.problems:
            paragraph(layout, context, sources.problems[node.id], "ERROR")


def _draw_field(layout: bpy.types.UILayout, context: bpy.types.Context, ident: str, field: str, blob: str | None) -> None:
    box = layout.box()
    box.label(text="Source" if field == "source" else "Mask")
    if sources.is_under_way(ident, field):
        box.label(text="Uploading…", icon="SORTTIME")
    elif blob:
        picture(box, blob, 5.0)
    else:
        box.label(text="None", icon="IMAGE_DATA")
    row = box.row(align=True)
    row.operator("alphaloom.source_from_file", icon="FILE_FOLDER").field = field
    row.operator("alphaloom.source_from_card", icon="IMAGE_PLANE").field = field
    if blob:
        row.operator("alphaloom.clear_source", text="", icon="X").field = field
    row = box.row(align=True)
    row.prop_search(context.scene.alphaloom, "source_image", bpy.data, "images", text="")
    row.operator("alphaloom.source_from_image", text="", icon="IMPORT").field = field


class ALPHALOOM_PT_mask(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_mask"
    bl_label = "Mask"
    bl_parent_id = "ALPHALOOM_PT_map"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(masks.painted())

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        paragraph(layout, context, "Paint over what shall be made anew; black and the eraser take back", "BRUSH_DATA")
        column = layout.column(align=True)
        column.operator("alphaloom.use_mask", icon="CHECKMARK")
        column.operator("alphaloom.clear_mask", icon="X")
        column.operator("alphaloom.leave_mask", icon="BACK")


_CLASSES = (
    ALPHALOOM_OT_source_from_file,
    ALPHALOOM_OT_source_from_image,
    ALPHALOOM_OT_source_from_card,
    ALPHALOOM_OT_clear_source,
    ALPHALOOM_OT_paint_mask,
    ALPHALOOM_OT_use_mask,
    ALPHALOOM_OT_leave_mask,
    ALPHALOOM_OT_clear_mask,
    ALPHALOOM_PT_source,
    ALPHALOOM_PT_mask,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
