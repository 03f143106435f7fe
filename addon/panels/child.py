"""A new child by one key: Tab on a card asks for its prompt, makes it and selects it, so that Tab goes on from there."""

from __future__ import annotations

import bpy

from .. import scene as cards
from ..core.shared import model
from ..properties import LINKS
from ..translations import OURS, tip
from .nodes import add_node
from .sidebar import Online, active_card

_keys: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


def add_child(context: bpy.types.Context, prompt: str, link: str) -> model.Node:
    """Hang a new node from the active card, and make its card the only one that is selected."""
    node = add_node(prompt, link, active_card(context))
    objects = context.view_layer.objects
    for item in list(objects.selected):
        item.select_set(False)
    card = cards.find("card", node.id)
    if card is not None and card.name in objects:  # the map may be in a scene that is not looked at
        card.select_set(True)
        objects.active = card
    return node


class ALPHALOOM_OT_add_child(Online, bpy.types.Operator):
    """Add a child to the active card, and select it"""

    bl_idname = "alphaloom.add_child"
    bl_label = "Add Child Node"
    bl_options = {"UNDO"}

    prompt: bpy.props.StringProperty(
        name="Prompt", description="The new node's prompt", translation_context=OURS, options={"SKIP_SAVE"}
    )
    link: bpy.props.EnumProperty(
        name="Link", description="How the new node hangs from the active one", items=LINKS, translation_context=OURS
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        card = active_card(context)
        if card is None or not card.select_get() or context.mode != "OBJECT":
            cls.poll_message_set(tip("Select a card first"))
            return False
        return super().poll(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.activate_init = True  # one types at once
        self.layout.prop(self, "prompt", text="", icon="GREASEPENCIL", placeholder="Type a Prompt")
        self.layout.activate_init = False
        self.layout.row().prop(self, "link", expand=True)

    def execute(self, context: bpy.types.Context) -> set[str]:
        add_child(context, self.prompt, self.link)
        return {"FINISHED"}


_register, _unregister = bpy.utils.register_classes_factory((ALPHALOOM_OT_add_child,))


def register() -> None:
    _register()
    keys = bpy.context.window_manager.keyconfigs.addon
    if keys is not None:  # there is none without a window
        # Where Blender's own Tab is; an add-on's keys come first there, and where `poll` is false Blender's own goes on.
        keymap = keys.keymaps.new(name="Object Non-modal")
        _keys.append((keymap, keymap.keymap_items.new("alphaloom.add_child", "TAB", "PRESS")))


def unregister() -> None:
    for keymap, item in _keys:
        keymap.keymap_items.remove(item)
    _keys.clear()
    _unregister()
