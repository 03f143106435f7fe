"""A card's picture on the artist's objects, in the sidebar: as a material, or projected from the camera."""

from __future__ import annotations

import bpy

from .. import giving, projecting, viewpoint
from ..core.shared import errors
from ..session import session
from ..translations import mark, tell
from .sidebar import CardSidebar, active_card, reported
from .tasks import HasCard

NO_PICTURE = mark("The card has no picture yet: press Generate first")


def make_seamless(card: bpy.types.Object) -> str:
    """Have the node's picture tile, made anew where it does not yet; what is to be said of it."""
    if card.alphaloom.tiling == "xy":
        return ""
    if session.connection.state != "online":
        return tell("it is not seamless: connect to a broker first")
    card.alphaloom.tiling = "xy"
    session.generate(card.alphaloom.ident)
    return tell("the seamless picture is being made")


def apply(context: bpy.types.Context) -> str:
    """Give the active card's picture to the other selected objects; a line about it. Raises AlphaloomError."""
    fields, card = context.scene.alphaloom_tasks, active_card(context)
    ident, words = card.alphaloom.ident, card.alphaloom.prompt
    if fields.goal == "IMAGE":
        goal = bpy.data.images.get(fields.image)
        if goal is None:
            raise errors.AlphaloomError("unknown_image", f"There is no image {fields.image!r}: choose one.")
        giving.give_image(giving.image_of(ident, words, True), goal)
        return tell("{name} has the picture").format(name=goal.name)
    items = giving.takers(context.selected_objects)
    if not items:
        raise errors.AlphaloomError(
            "no_objects", "Select objects that take a material beside the card, such as meshes; the card last."
        )
    if fields.goal == "TEXTURE":
        textures = giving.textures_of(items)
        image = giving.image_of(ident, words, fields.follow)
        for texture in textures:
            texture.image = image
        said = [tell("Image Texture nodes with the picture: {count}").format(count=len(textures))]
    else:
        giving.give_material(giving.image_of(ident, words, fields.follow), words, items)
        said = [tell("Objects with the picture: {count}").format(count=len(items))]
    if fields.seamless:
        said.append(make_seamless(card))
    return "; ".join(filter(None, said))


class ALPHALOOM_OT_apply_material(HasCard, bpy.types.Operator):
    """Give the active card's picture to the other selected objects"""

    bl_idname = "alphaloom.apply_material"
    bl_label = "Apply Picture"
    bl_options = {"REGISTER", "UNDO"}
    needs_broker = False

    @classmethod
    def missing(cls, context: bpy.types.Context) -> dict[str, bool]:
        card, goal = active_card(context), context.scene.alphaloom_tasks.goal
        return {
            NO_PICTURE: card is None or giving.picture_of(card.alphaloom.ident) is None,
            mark("Select objects that take a material beside the card"): goal != "IMAGE"
            and not giving.takers(context.selected_objects),
        }

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        self.report({"INFO"}, apply(context))
        return {"FINISHED"}


def project(context: bpy.types.Context) -> str:
    """Throw the active card's picture onto the other selected meshes; a line about it. Raises AlphaloomError."""
    fields, card = context.scene.alphaloom_tasks, active_card(context)
    node = card.alphaloom
    own = giving.image_of(node.ident, node.prompt, True)
    depsgraph = context.evaluated_depsgraph_get()
    seen = viewpoint.here(context, fields.projector, *own.size)
    lit, said = [], []
    for item in meshes(context):
        try:
            found = projecting.aim(context.scene, depsgraph, item, seen, fields.all_faces)
            lit += [found] * bool(found.chosen.any())
        except errors.AlphaloomError as error:
            said.append(error.message)
    if not lit:
        said.append("No face gets the picture: none of them is in front, in the frame, turned this way and unhidden.")
        raise errors.AlphaloomError("no_faces", " ".join(said))
    image = own if fields.follow else giving.image_of(node.ident, node.prompt, False)
    for found in lit:
        projecting.put(found, image, node.prompt)
    count = sum(int(found.chosen.sum()) for found in lit)
    return " ".join([tell("Faces with the picture: {count}.").format(count=count), *said])


def meshes(context: bpy.types.Context) -> list[bpy.types.Object]:
    return [item for item in context.selected_objects if item.type == "MESH" and not item.alphaloom.kind]


class ALPHALOOM_OT_project(HasCard, bpy.types.Operator):
    """Project the active card's picture from the camera or the view onto the other selected meshes"""

    bl_idname = "alphaloom.project"
    bl_label = "Project Picture"
    bl_options = {"REGISTER", "UNDO"}
    needs_broker = False

    @classmethod
    def missing(cls, context: bpy.types.Context) -> dict[str, bool]:
        card = active_card(context)
        return {
            NO_PICTURE: card is None or giving.picture_of(card.alphaloom.ident) is None,
            mark("Select meshes beside the card"): not meshes(context),
            mark("Leave Edit Mode first"): context.mode != "OBJECT",
        }

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        self.report({"INFO"}, project(context))
        return {"FINISHED"}


class ALPHALOOM_PT_material(CardSidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_material"
    bl_label = "Material"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, fields = self.layout, context.scene.alphaloom_tasks
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(fields, "goal")
        if fields.goal == "IMAGE":
            layout.prop_search(fields, "image", bpy.data, "images")
        else:
            layout.prop(fields, "follow")
            layout.prop(fields, "seamless")
        layout.operator("alphaloom.apply_material", icon="MATERIAL")
        layout.separator()
        layout.row().prop(fields, "projector", expand=True)
        layout.prop(fields, "all_faces")
        layout.operator("alphaloom.project", icon="MOD_UVPROJECT")


_CLASSES = (ALPHALOOM_OT_apply_material, ALPHALOOM_OT_project, ALPHALOOM_PT_material)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
