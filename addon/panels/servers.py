"""A broker and an edge of one's own, by a button."""

from __future__ import annotations

import bpy

from ..core import servers
from ..core.shared import errors
from ..heartbeat import redraw
from ..session import session
from ..translations import mark, tip
from . import preferences
from .sidebar import Sidebar, paragraph

local = servers.Servers()
SAYS = {
    "broker starts": mark("The broker starts…"),
    "edge starts": mark("The edge loads its model…"),
    "running": mark("Broker and edge are running"),
    "stopping": mark("Broker and edge are stopping…"),
}


class ALPHALOOM_OT_start_servers(bpy.types.Operator):
    """Start a broker and an edge on this machine, and connect to them"""

    bl_idname = "alphaloom.start_servers"
    bl_label = "Start Broker and Edge"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.connection.state == "online":
            cls.poll_message_set(tip("A broker answers already"))
            return False
        if local.state not in ("off", "failed"):
            cls.poll_message_set(tip("Broker and edge have been started already"))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            start(context.scene.alphaloom.broker)
        except (errors.AlphaloomError, OSError) as problem:
            self.report({"ERROR"}, getattr(problem, "message", str(problem)))
            return {"CANCELLED"}
        return {"FINISHED"}


class ALPHALOOM_OT_stop_servers(bpy.types.Operator):
    """End the broker and the edge that were started here; the map is kept, and there again at the next start"""

    bl_idname = "alphaloom.stop_servers"
    bl_label = "Stop Broker and Edge"

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.close()
        local.stop()
        return {"FINISHED"}


def start(broker: str, *options: str) -> None:
    """Raises AlphaloomError `no_programs`, `not_here` or `bad_address`, and OSError where they cannot be started."""
    local.start(servers.find(preferences.programs()), broker, *options)


class ALPHALOOM_PT_servers(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_servers"
    bl_label = "On This Machine"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        if local.state in ("off", "failed"):
            layout.operator("alphaloom.start_servers", icon="PLAY")
        else:
            layout.operator("alphaloom.stop_servers", icon="CANCEL")
            layout.label(text=SAYS[local.state], icon="CHECKMARK" if local.state == "running" else "SORTTIME")
        for line in local.problem:
            paragraph(layout, context, line, "ERROR" if line == local.problem[0] else "BLANK1")


def _look() -> float:
    """Connect when the broker listens."""
    known, state = local.address, local.state
    try:
        local.tick()
        if local.address and not known and session.connection.state == "offline":
            session.open(local.address, preferences.person(), preferences.token())
    except (errors.AlphaloomError, OSError) as problem:  # a timer that raises is dropped by Blender
        local.stop()
        local.state, local.problem = "failed", [getattr(problem, "message", str(problem))]
    if local.state != state:
        redraw()
    return servers.LOOK_S


_register, _unregister = bpy.utils.register_classes_factory(
    (ALPHALOOM_OT_start_servers, ALPHALOOM_OT_stop_servers, ALPHALOOM_PT_servers)
)


def register() -> None:
    _register()
    bpy.app.timers.register(_look, persistent=True)


def unregister() -> None:
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
    local.close()
    _unregister()
