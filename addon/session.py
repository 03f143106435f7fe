"""The extension's one session: connection, mirror and scene, brought together a little at a time.

Design notes
- `tick` is all that ever runs by itself: in a window from a timer, headless from a loop. It stops when its time
  budget is used up and goes on at the next tick, so Blender's own work never waits.
- The broker's map is the truth. The scene is made to match it; what the artist changes in the scene is sent as an
  edit and comes back like anybody's.
"""

from __future__ import annotations

import time
from dataclasses import replace

import bpy

from . import scene as cards
from .connection import Connection
from .mirror import Mirror
from .shared import messages as m
from .shared import model

BUDGET_S = 0.004
INTERVAL_S = 1 / 60


class Session:
    def __init__(self) -> None:
        self.connection = Connection()
        self.mirror = Mirror()
        self._moved_at = 0.0
        self._receiving = False

    def open(self, broker: str) -> None:
        """Raises AlphaloomError `bad_address`."""
        self.mirror = Mirror()
        self.connection.open(broker)

    def close(self) -> None:
        self.connection.close()

    def tick(self, budget: float = BUDGET_S) -> None:
        """Step the connection, then bring the scene up to date for at most about `budget` seconds."""
        end = time.perf_counter() + budget
        self.connection.tick()
        inbox = self.connection.inbox
        while inbox and time.perf_counter() < end:
            self._receive(inbox.popleft())
        if not inbox and self.mirror.loaded and time.monotonic() - self._moved_at > 0.25:
            self._moved_at = time.monotonic()
            self._send_moves()

    # -- what the artist asks --

    def put_node(self, node: model.Node) -> None:
        self.connection.send(m.PutNode(node))

    def put_link(self, link: model.Link) -> None:
        self.connection.send(m.PutLink(link))

    def generate(self, node: str) -> str:
        """Ask for a node's picture; the new job's id."""
        job = model.new_id()
        self.connection.send(m.Generate(node, job))
        return job

    def edited(self, item: bpy.types.Object) -> None:
        """The panel changed a card's properties: tell the broker."""
        node = self.mirror.map.nodes.get(item.alphaloom.ident)
        if node is None or self._receiving:
            return
        p = item.alphaloom
        settings = replace(
            node.settings,
            width=p.width,
            height=p.height,
            steps=p.steps or None,
            guidance=p.guidance,
            strength=p.strength,
            seed=p.seed,
            blend=p.blend,
            modulate=p.modulate,
        )
        self.put_node(replace(node, prompt=p.prompt, negative=p.negative, task=p.task, settings=settings))

    # -- from the broker into the scene --

    def _receive(self, message: object) -> None:
        self.mirror.apply(message)
        scene = bpy.context.scene
        self._receiving = True
        try:
            if isinstance(message, m.Snapshot):
                self._rebuild(scene)
            elif isinstance(message, m.PutNode):
                self._put_node(scene, message.node)
            elif isinstance(message, m.DeleteNode):
                cards.remove(message.node)
            elif isinstance(message, m.PutLink):
                cards.put_link(scene, message.link)
            elif isinstance(message, m.DeleteLink):
                cards.remove(message.link)
            elif isinstance(message, m.Picture):
                cards.show_picture(message.node, message.blob, message.payload)
            elif isinstance(message, m.JobChanged):
                self._caption(message.job.node)
            elif isinstance(message, m.Progress) and message.job in self.mirror.jobs:
                self._caption(self.mirror.jobs[message.job].node)
        finally:
            self._receiving = False

    def _rebuild(self, scene: bpy.types.Scene) -> None:
        known = self.mirror.map
        for ident in cards.idents():
            if ident not in known.nodes and ident not in known.links:
                cards.remove(ident)
        for node in known.nodes.values():
            self._put_node(scene, node)
        for link in known.links.values():
            cards.put_link(scene, link)

    def _put_node(self, scene: bpy.types.Scene, node: model.Node) -> None:
        card = cards.put_card(scene, node)
        card.alphaloom.take(node)
        for link in self.mirror.map.links.values():
            if node.id in (link.parent, link.child):
                cards.put_link(scene, link)
        if node.picture and cards.shown_blob(node.id) != node.picture:
            self.connection.send(m.Fetch(node.id))

    def _caption(self, ident: str) -> None:
        node = self.mirror.map.nodes.get(ident)
        if node is not None:
            cards.write_caption(node, self.mirror.state_of(ident))

    def _send_moves(self) -> None:
        """Cards that were dragged since the last look."""
        if bpy.context.mode != "OBJECT":
            return
        for ident, (x, y) in cards.places().items():
            node = self.mirror.map.nodes.get(ident)
            if node is None:
                continue
            if abs(x - node.x) > 1e-3 or abs(y - node.y) > 1e-3:
                moved = replace(node, x=round(x, 4), y=round(y, 4))
                self.mirror.apply(m.PutNode(moved))  # so that it is sent once
                self.put_node(moved)


session = Session()


def _timer() -> float:
    try:
        session.tick()
    except Exception as problem:  # a timer that raises is dropped by Blender, and the session with it
        session.connection.problem = f"{type(problem).__name__}: {problem}"
    _redraw_panels()
    return INTERVAL_S


_drawn = ""


def _redraw_panels() -> None:
    """Redraw the sidebar when what it says has changed."""
    global _drawn
    mirror, connection = session.mirror, session.connection
    open_jobs = sum(job.state not in model.ENDED for job in mirror.jobs.values())
    now = repr((connection.state, connection.problem, mirror.edges, mirror.eeg, mirror.error, open_jobs, mirror.progress))
    if now == _drawn:
        return
    _drawn = now
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def register() -> None:
    bpy.app.timers.register(_timer, persistent=True)


def unregister() -> None:
    if bpy.app.timers.is_registered(_timer):
        bpy.app.timers.unregister(_timer)
    session.close()
