"""The broker in the sidebar: where it is, whether it answers, and what it says."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import bpy

from .. import pictures
from ..core.shared import address, errors
from ..session import session
from ..translations import say
from . import preferences
from .sidebar import Sidebar, paragraph, reported


class ALPHALOOM_OT_connect(bpy.types.Operator):
    """Connect to the broker"""

    bl_idname = "alphaloom.connect"
    bl_label = "Connect"

    @reported
    def execute(self, context: bpy.types.Context) -> set[str]:
        broker = context.scene.alphaloom.broker
        if not _is_loopback(broker) and not bpy.app.online_access:
            raise errors.AlphaloomError(
                "offline", "Allow Online Access (Preferences, System) to reach a broker beyond this machine"
            )
        session.open(broker, preferences.person(), preferences.token())
        return {"FINISHED"}


class ALPHALOOM_OT_disconnect(bpy.types.Operator):
    """Disconnect from the broker; cards and pictures stay"""

    bl_idname = "alphaloom.disconnect"
    bl_label = "Disconnect"

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.close()
        pictures.hide_previews()
        return {"FINISHED"}


class ALPHALOOM_OT_show_pictures(bpy.types.Operator):
    """Show textures in Solid mode in this view, and with them the pictures on the cards; flat light, no outlines"""

    bl_idname = "alphaloom.show_pictures"
    bl_label = "Show Pictures in This View"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return hides_pictures(context.space_data)

    def execute(self, context: bpy.types.Context) -> set[str]:
        shading = context.space_data.shading
        shading.color_type, shading.light, shading.show_object_outline = "TEXTURE", "FLAT", False
        return {"FINISHED"}


def hides_pictures(space: bpy.types.Space | None) -> bool:
    """Whether a 3D view in Solid mode shows no textures."""
    shading = getattr(space, "shading", None)
    return shading is not None and shading.type == "SOLID" and shading.color_type != "TEXTURE"


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
            paragraph(layout, context, connection.problem, "ERROR")
        if connection.state == "online":
            words = say("Online, edges: {count}") if mirror.edges else say("Online, no edge: start python -m edge")
            layout.label(text=words.format(count=mirror.edges), icon="CHECKMARK")
            words = say("EEG: {state} (sham: a recording drives)") if mirror.sham else say("EEG: {state}")
            paragraph(layout, context, words.format(state=mirror.eeg), "RNDCURVE")
        if mirror.map.nodes and hides_pictures(context.space_data):
            layout.operator("alphaloom.show_pictures", icon="TEXTURE")
        if mirror.error:
            paragraph(layout, context, mirror.error, "ERROR")


def _is_loopback(broker: str) -> bool:
    host = urlsplit(address.parse(broker).ws).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_CLASSES = (ALPHALOOM_OT_connect, ALPHALOOM_OT_disconnect, ALPHALOOM_OT_show_pictures, ALPHALOOM_PT_map)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
