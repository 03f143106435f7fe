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

from . import models
from .core.shared import address, check, model, samplers
from .hands import OFF, OWN
from .session import session
from .translations import OURS

TASKS = [
    ("txt2img", "Text to Image", "A picture from words alone"),
    ("img2img", "Image to Image", "The source picture, changed towards the words"),
    ("inpaint", "Inpaint", "The masked part of the source picture, painted anew"),
]
SCHEDULERS = [
    (OWN, "Model's Own", "What the model was made for"),
    *((name, samplers.SAMPLERS[name], "How noise is taken away step by step") for name in model.SCHEDULERS),
]
TILINGS = [
    (OFF, "None", "The picture has edges"),
    ("x", "Sideways", "The right edge goes on at the left"),
    ("y", "Up and Down", "The bottom goes on at the top"),
    ("xy", "Both", "The picture tiles on both axes"),
]
LINKS = [
    ("prompt", "Prompt", "The new node inherits the words of this one"),
    ("image", "Image", "This node's picture is the new one's source"),
    ("blend", "Blend", "The new node stands between its two parents"),
]
VALUES = [
    ("SHARE", "0 to 1", "From the recording's low values (5 %) to its high ones (95 %)"),
    ("OWN", "As Recorded", "In the feature's own unit"),
]
_SAME = (
    "width", "height", "guidance", "strength", "seed", "blend", "modulate", "variation", "variation_seed", "eeg_in_file",
    "model", "control", "control_strength",
)  # fmt: skip
"""Settings that the panel has as they are."""


def _edited(self: Any, context: bpy.types.Context) -> None:
    session.edited(self.id_data)


class AlphaloomObject(bpy.types.PropertyGroup):
    """A card's node, as the panel edits it; other objects of the map have only `ident` and `kind`."""

    ident: StringProperty()
    kind: StringProperty()
    noted: StringProperty()
    picture: StringProperty()
    source: StringProperty()
    mask: StringProperty()
    depth: StringProperty()
    prompt: StringProperty(name="Prompt", description="What the picture shows", translation_context=OURS, update=_edited)
    negative: StringProperty(name="Negative", description="What the picture must not show", update=_edited)
    task: EnumProperty(name="Task", items=TASKS, translation_context=OURS, update=_edited)
    width: IntProperty(name="Width", default=256, min=check.SIDE[0], max=check.SIDE[1], step=8, subtype="PIXEL", update=_edited)
    height: IntProperty(
        name="Height", default=256, min=check.SIDE[0], max=check.SIDE[1], step=8, subtype="PIXEL", update=_edited
    )
    model: StringProperty(
        name="Model",
        description="The id of the model that makes the picture; empty: the edge's own",
        search=models.search,
        search_options={"SUGGESTION"},
        update=_edited,
    )
    steps: IntProperty(
        name="Steps",
        description="Number of denoising steps; 0 leaves it to the model",
        min=0,
        max=check.STEPS[1],
        translation_context=OURS,
        update=_edited,
    )
    guidance: FloatProperty(
        name="Guidance",
        description="How closely the picture follows the prompt",
        default=4.0,
        min=check.GUIDANCE[0],
        max=check.GUIDANCE[1],
        update=_edited,
    )
    strength: FloatProperty(
        name="Strength",
        description="How far the source is changed",
        default=0.6,
        min=0,
        max=1,
        subtype="FACTOR",
        update=_edited,
    )
    seed: IntProperty(
        name="Seed", description="Where the noise begins: the same seed makes the same picture", min=0, update=_edited
    )
    blend: FloatProperty(
        name="Blend",
        translation_context=OURS,
        description="0 is the first parent, 1 the second",
        default=0.5,
        min=0,
        max=1,
        subtype="FACTOR",
        update=_edited,
    )
    scheduler: EnumProperty(name="Scheduler", items=SCHEDULERS, update=_edited)
    tiling: EnumProperty(name="Tiling", items=TILINGS, update=_edited)
    control: StringProperty(
        name="ControlNet", description="The id of the ControlNet that the depth map guides by; empty: none", update=_edited
    )
    control_strength: FloatProperty(
        name="Control Strength",
        description="How strongly the depth map guides",
        default=1.0,
        min=check.CONTROL_STRENGTH[0],
        max=check.CONTROL_STRENGTH[1],
        update=_edited,
    )
    variation: FloatProperty(
        name="Variation",
        description="How far the noise goes from that of the seed to that of the variation seed",
        min=0,
        max=1,
        subtype="FACTOR",
        update=_edited,
    )
    variation_seed: IntProperty(name="Variation Seed", default=1, min=0, update=_edited)
    eeg_in_file: BoolProperty(
        name="EEG in File", description="Write the EEG's values into this node's picture files", update=_edited
    )
    live: BoolProperty(
        name="Live", description="Make it anew by itself whenever its words, its sources or the EEG change", update=_edited
    )
    modulate: BoolProperty(name="EEG", description="Let the EEG move this node's parameters", default=True, update=_edited)

    def take(self, node: model.Node, changed: Container[str]) -> None:
        """Show those of a node's values that have changed. The session sees to it that this does not count as an edit."""
        settings = node.settings
        values = {
            "prompt": node.prompt,
            "negative": node.negative,
            "task": node.task,
            "live": node.live,
            "settings.steps": settings.steps or 0,
            "picture": node.picture or "",
            "source": node.source or "",
            "mask": node.mask or "",
            "depth": node.depth or "",
        }
        for name in _SAME:
            values[f"settings.{name}"] = getattr(settings, name)
        values |= {"settings.scheduler": settings.scheduler or OWN, "settings.tiling": settings.tiling or OFF}
        for field, value in values.items():
            name = field.removeprefix("settings.")
            if field in changed and getattr(self, name) != value:
                setattr(self, name, value)


class AlphaloomScene(bpy.types.PropertyGroup):
    """The sidebar's own fields."""

    broker: StringProperty(name="Broker", description="The broker's address", default=address.DEFAULT)
    prompt: StringProperty(name="Prompt", description="The new node's prompt", translation_context=OURS)
    link: EnumProperty(
        name="Link", description="How the new node hangs from the selected one", items=LINKS, translation_context=OURS
    )
    recording: StringProperty(
        name="Recording", description="A folder that python -m signals record wrote, or its features.vhdr", subtype="FILE_PATH"
    )
    feature: StringProperty(name="Feature", description="The recorded feature", default="calm")
    baked_path: StringProperty(
        name="Property", description="A property of the active object, as Copy Data Path gives it, such as location[2]"
    )
    baked_values: EnumProperty(name="Values", items=VALUES)
    source_image: StringProperty(name="Image", description="Any image of this file")
    gallery_page: IntProperty(name="Page", description="The page of the gallery that is shown", default=1, min=1)
    with_settings: BoolProperty(
        name="With Its Settings", description="Bring back seed, words and settings, too, not only the picture"
    )


_CLASSES = (AlphaloomObject, AlphaloomScene)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Object.alphaloom = PointerProperty(type=AlphaloomObject)
    bpy.types.Scene.alphaloom = PointerProperty(type=AlphaloomScene)
    bpy.types.Collection.alphaloom_is_map = BoolProperty()
    bpy.types.Collection.alphaloom_holds_parts = BoolProperty()


def unregister() -> None:
    del bpy.types.Collection.alphaloom_holds_parts
    del bpy.types.Collection.alphaloom_is_map
    del bpy.types.Scene.alphaloom
    del bpy.types.Object.alphaloom
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
