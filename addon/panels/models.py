"""A node's model in the sidebar: what there is to choose from, and what is said where nobody has it."""

from __future__ import annotations

import bpy

from .. import models
from ..core.catalogue import LOADED, THERE
from ..translations import say
from .sidebar import Online, paragraph


def draw_model(layout: bpy.types.UILayout, context: bpy.types.Context, node: bpy.types.PropertyGroup) -> None:
    row = layout.row(align=True)
    why = models.catalogue.problem(node.model)
    row.alert = bool(why)
    row.prop(node, "model", placeholder="The edge's own")
    row.operator("alphaloom.refresh_models", text="", icon="FILE_REFRESH")
    if why or models.problem:
        paragraph(layout, context, why or models.problem, "ERROR")
    elif node.model:
        note = next((offer.note for offer in models.catalogue.offers if offer.id == node.model), "")
        if note:
            layout.label(
                text=say(note).capitalize(),
                translate=False,
                icon="CHECKMARK" if note in (LOADED, THERE) else "IMPORT",
            )


class ALPHALOOM_OT_refresh_models(Online, bpy.types.Operator):
    """Ask the broker again which models there are"""

    bl_idname = "alphaloom.refresh_models"
    bl_label = "Refresh Models"

    def execute(self, context: bpy.types.Context) -> set[str]:
        models.refresh()
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory((ALPHALOOM_OT_refresh_models,))
