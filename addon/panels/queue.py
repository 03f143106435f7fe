"""Jobs in the sidebar: which wait, which run, and a way to call them off."""

from __future__ import annotations

import bpy

from .. import scene as cards
from ..core.shared import model
from ..session import session
from ..translations import say, tip
from .sidebar import Sidebar

MOST = 12
"""Jobs that are listed; the others are counted."""


def open_jobs() -> list[model.Job]:
    """Those that run, then those that wait in their order; what live nodes do by themselves is no queue."""
    places = session.mirror.places
    found = [job for job in session.mirror.jobs.values() if job.state not in model.ENDED and job.node and not job.live]
    last = max((place.position for place in places.values()), default=0) + 1
    return sorted(found, key=lambda job: (job.state != "running", places[job.id].position if job.id in places else last))


def line(job: model.Job) -> str:
    """A job in a line: what of it is known."""
    node = session.mirror.map.nodes.get(job.node)
    words = cards.shortened(node.prompt or node.task, 24) if node is not None else say("deleted")
    if job.state == "running":
        return f"{words}: {session.mirror.state_of(job.node, say)}"
    place = session.mirror.places.get(job.id)
    if place is None:
        return say("{words}: waits").format(words=words)
    if place.seconds is None:
        return say("{words}: number {number}").format(words=words, number=place.position)
    line = say("{words}: number {number}, about {seconds} s")
    return line.format(words=words, number=place.position, seconds=round(place.seconds))


class ALPHALOOM_OT_cancel(bpy.types.Operator):
    """Cancel this job, or all jobs of the selected cards"""

    bl_idname = "alphaloom.cancel"
    bl_label = "Cancel"

    job: bpy.props.StringProperty(options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.connection.state != "online":
            cls.poll_message_set(tip("Connect to a broker first"))
            return False
        if not open_jobs():
            cls.poll_message_set(tip("No job waits or runs"))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        selected = {item.alphaloom.ident for item in context.selected_objects if item.alphaloom.kind == "card"}
        for job in open_jobs():
            if job.id == self.job or (not self.job and job.node in selected):
                session.cancel(job.id)
        return {"FINISHED"}


class ALPHALOOM_PT_queue(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_queue"
    bl_label = "Queue"
    bl_parent_id = "ALPHALOOM_PT_map"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        column, jobs = self.layout.column(align=True), open_jobs()
        for job in jobs[:MOST]:
            row = column.row()
            row.label(text=line(job), translate=False, icon="PLAY" if job.state == "running" else "SORTTIME")
            row.operator("alphaloom.cancel", text="", icon="X", emboss=False).job = job.id
        if len(jobs) > MOST:
            column.label(text=say("and {count} more").format(count=len(jobs) - MOST), icon="BLANK1")
        if not jobs:
            column.label(text="No job waits or runs")


_CLASSES = (ALPHALOOM_OT_cancel, ALPHALOOM_PT_queue)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
