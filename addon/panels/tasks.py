"""The fields of what is done with a card's picture: materials, the view as guidance, batches."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, PointerProperty, StringProperty

from ..session import session
from ..translations import mark, tip
from .sidebar import active_card

GOALS = [
    ("MATERIAL", "New Material", "A new material in each object's active slot"),
    ("TEXTURE", "Image Texture", "The active Image Texture node of each object's active material"),
    ("IMAGE", "Image", "An image of this file, whatever uses it"),
]
PROJECTORS = [
    ("CAMERA", "Camera", "The scene's camera"),
    ("VIEW", "View", "The 3D view as it is now, fitted to the picture's proportions"),
]
FRAMES = [
    ("SCENE", "Scene Range", "The scene's frame range"),
    ("TYPED", "Custom Range", "A frame range of your own"),
]


class AlphaloomTasks(bpy.types.PropertyGroup):
    goal: EnumProperty(name="To", items=GOALS)
    image: StringProperty(name="Image", description="The image that is to have the picture")
    follow: BoolProperty(
        name="Follow the Node",
        description="Show each new picture of the node, live ones too; otherwise a packed copy of the picture as it is now",
        default=True,
    )
    seamless: BoolProperty(
        name="Seamless", description="Set the node's tiling to both axes and make its picture anew, where it is not so yet"
    )
    projector: EnumProperty(name="From", items=PROJECTORS)
    all_faces: BoolProperty(
        name="All Faces", description="Also faces that are turned away or hidden behind others", default=False
    )
    seen_from: EnumProperty(name="From", items=PROJECTORS, default="VIEW")
    frames: EnumProperty(name="Frames", items=FRAMES)
    first: IntProperty(name="Start", default=1, min=0)
    last: IntProperty(name="End", default=24, min=0)
    folder: StringProperty(
        name="Folder",
        description="Where the pictures are written",
        default="//alphaloom/",
        subtype="DIR_PATH",
        options={"ANIMATABLE", "PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    name: StringProperty(name="Name", description="What files are called before the frame's number; empty: the node's words")
    eeg: BoolProperty(name="With EEG", description="Make each frame with what the EEG says then, one after another")
    keyframed: BoolProperty(
        name="Keyframed Parameters",
        description="Take seed, guidance, strength, blend, variation and others from the card's F-curves at each frame",
        default=True,
    )
    overwrite: BoolProperty(
        name="Overwrite", description="Make frames anew whose files are there; otherwise they are left out", default=False
    )


class HasCard:
    """Operators that are about the active card."""

    needs_broker = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = {
            mark("Make a card the active object: click it last"): active_card(context) is None,
            mark("Connect to a broker first"): cls.needs_broker and session.connection.state != "online",
        } | cls.missing(context)
        for reason, is_missing in missing.items():
            if is_missing:
                cls.poll_message_set(tip(reason))
                return False
        return True

    @classmethod
    def missing(cls, context: bpy.types.Context) -> dict[str, bool]:
        """What else may be missing, and whether it is."""
        return {}


def register() -> None:
    bpy.utils.register_class(AlphaloomTasks)
    bpy.types.Scene.alphaloom_tasks = PointerProperty(type=AlphaloomTasks)


def unregister() -> None:
    del bpy.types.Scene.alphaloom_tasks
    bpy.utils.unregister_class(AlphaloomTasks)
