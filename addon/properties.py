"""What the extension keeps on objects and scenes."""

from collections.abc import Container
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from .session import session
from .shared import address, check, model

TASKS = [
    ("txt2img", "Text to Image", "A picture from words alone"),
    ("img2img", "Image to Image", "The source picture, changed towards the words"),
    ("inpaint", "Inpaint", "The masked part of the source picture, painted anew"),
]
LINKS = [
    ("prompt", "Prompt", "The new node inherits the words of this one"),
    ("image", "Image", "This node's picture is the new one's source"),
    ("blend", "Blend", "The new node stands between its two parents"),
]


def _edited(self: Any, context: bpy.types.Context) -> None:
    session.edited(self.id_data)


class AlphaloomObject(bpy.types.PropertyGroup):
    """A card's node, as the panel edits it; other objects of the map have only `ident` and `kind`."""

    ident: StringProperty()
    kind: StringProperty()
    prompt: StringProperty(name="Prompt", description="What the picture shows", update=_edited)
    negative: StringProperty(name="Negative", description="What the picture must not show", update=_edited)
    task: EnumProperty(name="Task", items=TASKS, update=_edited)
    width: IntProperty(name="Width", default=256, min=check.SIDE[0], max=check.SIDE[1], step=8, subtype="PIXEL", update=_edited)
    height: IntProperty(
        name="Height", default=256, min=check.SIDE[0], max=check.SIDE[1], step=8, subtype="PIXEL", update=_edited
    )
    steps: IntProperty(name="Steps", description="0 leaves it to the model", min=0, max=check.STEPS[1], update=_edited)
    guidance: FloatProperty(name="Guidance", default=4.0, min=check.GUIDANCE[0], max=check.GUIDANCE[1], update=_edited)
    strength: FloatProperty(
        name="Strength",
        description="How far the source is changed",
        default=0.6,
        min=0,
        max=1,
        subtype="FACTOR",
        update=_edited,
    )
    seed: IntProperty(name="Seed", min=0, update=_edited)
    blend: FloatProperty(
        name="Blend",
        description="0 is the first parent, 1 the second",
        default=0.5,
        min=0,
        max=1,
        subtype="FACTOR",
        update=_edited,
    )
    modulate: BoolProperty(name="EEG", description="Let the EEG move this node's parameters", default=True, update=_edited)

    def take(self, node: model.Node, changed: Container[str]) -> None:
        """Show those of a node's values that have changed. The session sees to it that this does not count as an edit."""
        settings = node.settings
        values = {"prompt": node.prompt, "negative": node.negative, "task": node.task, "settings.steps": settings.steps or 0}
        for name in ("width", "height", "guidance", "strength", "seed", "blend", "modulate"):
            values[f"settings.{name}"] = getattr(settings, name)
        for field, value in values.items():
            name = field.removeprefix("settings.")
            if field in changed and getattr(self, name) != value:
                setattr(self, name, value)


class AlphaloomScene(bpy.types.PropertyGroup):
    """The sidebar's own fields."""

    broker: StringProperty(name="Broker", description="The broker's address", default=address.DEFAULT)
    prompt: StringProperty(name="Prompt", description="The new node's prompt")
    link: EnumProperty(name="Link", description="How the new node hangs from the selected one", items=LINKS)


_CLASSES = (AlphaloomObject, AlphaloomScene)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Object.alphaloom = PointerProperty(type=AlphaloomObject)
    bpy.types.Scene.alphaloom = PointerProperty(type=AlphaloomScene)
    bpy.types.Collection.alphaloom_is_map = BoolProperty()


def unregister() -> None:
    del bpy.types.Collection.alphaloom_is_map
    del bpy.types.Scene.alphaloom
    del bpy.types.Object.alphaloom
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
