"""The extension's one session: connection, mirror and scene, brought together a little at a time.

Design notes
- `tick` is all that ever runs by itself: in a window from a timer, headless from a loop. It stops when its time
  budget is used up and goes on at the next tick, so Blender's own work never waits.
- The broker's map is the truth. What the artist changes in the scene is sent as an edit, shown at once, and taken back
  where the broker refuses it.
- A gesture is one edit: what is dragged or turned is sent when it has come to rest, all of it together.
- Only fields that have changed are put into the scene, so that a card under the artist's hand stays there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import bpy

from . import scene as cards
from .calm import Back, Calm
from .connection import Connection
from .mirror import Mirror
from .shared import MAX_TEXT_BYTES, check, edits, model, wire
from .shared import messages as m

BUDGET_S = 0.004
INTERVAL_S = 1 / 60
OWN, OFF = "OWN", "OFF"
"""What the panel's lists call the scheduler and the tiling that are empty in a node: Blender takes no empty name."""
LOOK_S = 0.2
"""Between two looks at what the artist has changed."""


class Session:
    def __init__(self) -> None:
        self.connection = Connection()
        self.mirror = Mirror()
        self._looked_at = 0.0
        self._seen: dict[str, model.Node] = {}
        """What was under the artist's hand at the last look."""
        self._turned: set[str] = set()
        """Nodes whose values the panel has changed since they were last sent."""
        self._fetched: dict[str, str] = {}
        """Blobs that were asked for, by node."""
        self._calm = Calm()
        self._receiving = False

    def open(self, broker: str) -> None:
        """Raises AlphaloomError `bad_address`."""
        self.connection.open(broker)
        self.mirror = Mirror()
        self._seen, self._turned, self._fetched = {}, set(), {}
        self._calm = Calm()
        for edit in self.connection.outbox.edits():
            self.mirror.begin(edit)

    def close(self) -> None:
        self.connection.close()

    def tick(self, budget: float = BUDGET_S) -> None:
        """Step the connection, then bring the scene up to date for at most about `budget` seconds."""
        end = time.perf_counter() + budget
        self.connection.tick()
        inbox = self.connection.inbox
        while inbox and time.perf_counter() < end:
            self._receive(inbox.popleft())
        for change in self._calm.due(time.monotonic()):
            _put(change)
        if not inbox and self.mirror.loaded and time.monotonic() - self._looked_at > LOOK_S:
            self._looked_at = time.monotonic()
            self._look()

    # -- what the artist asks --

    def put(self, *items: model.Node | model.Link) -> None:
        """Create nodes and links, or change those that are there: one edit, unless it is too large for one."""
        nodes, links = self.mirror.map.nodes, self.mirror.map.links
        changes = []
        for item in items:
            known: model.Node | model.Link | None = (nodes if isinstance(item, model.Node) else links).get(item.id)
            if known is None:
                changes.append(edits.create(item))
                continue
            fields = edits.difference(known, item)
            for name in ("picture", "order"):  # the broker's to set
                fields.pop(name, None)
            if fields:
                changes.append(model.Change("update", edits.kind_of(item), item.id, fields))
        for piece in _pieces(changes):
            self.edit(*piece)

    def edit(self, *changes: model.Change) -> None:
        edit = m.Edit(model.new_id(), changes)
        before = self.mirror.map
        self._show(self.mirror.begin(edit), before)
        self.connection.send(edit)

    def generate(self, node: str) -> str:
        """Ask for a node's picture, as it is now; the new job's id."""
        self._send_drafts(self._drafts())
        job = model.new_id()
        self.connection.send(m.Generate(node, job))
        return job

    def edited(self, item: bpy.types.Object) -> None:
        """The panel changed a card's properties."""
        if not self._receiving:
            self._turned.add(item.alphaloom.ident)

    def undone(self) -> None:
        """Undo and redo have brought back images of another moment: previews of jobs that have ended, old pictures."""
        cards.hide_previews()
        self._fetched = {}
        for node in self.mirror.map.nodes.values():
            if cards.find("card", node.id) is not None:
                self._fetch(node)

    # -- from the scene to the broker --

    def _look(self) -> None:
        drafts = self._drafts()
        if drafts and drafts == self._seen:  # at rest
            self._send_drafts(drafts)
            drafts = {}
        self._seen = drafts

    def _send_drafts(self, drafts: dict[str, model.Node]) -> None:
        self._turned -= drafts.keys()
        self.put(*drafts.values())

    def _drafts(self) -> dict[str, model.Node]:
        """The nodes as the artist has changed them, by dragging their cards or in the panel."""
        drafts: dict[str, model.Node] = {}
        nodes = self.mirror.map.nodes
        if bpy.context.mode == "OBJECT":
            for ident, (x, y) in cards.places().items():
                node = nodes.get(ident)
                if node is not None and max(abs(x - node.x), abs(y - node.y)) > 1e-3:
                    drafts[ident] = replace(node, x=round(x, 4), y=round(y, 4))
        for ident in self._turned & nodes.keys():
            card = cards.find("card", ident)
            node = drafts.get(ident, nodes[ident])
            turned = _as_in_panel(node, card.alphaloom) if card is not None else node
            if turned != node:
                drafts[ident] = turned
        return drafts

    # -- from the broker into the scene --

    def _receive(self, message: object) -> None:
        before = self.mirror.map
        if isinstance(message, m.Snapshot):
            self._fetched = {}  # what was asked for before is not answered any more
        self._show(self.mirror.apply(message), before)
        if isinstance(message, m.Snapshot):
            self._arrive()
        elif isinstance(message, m.Picture):
            node = self.mirror.map.nodes.get(message.node)
            if message.job or (node is not None and node.picture == message.blob):  # fetched, it may be an old one
                self._calm.take(message)
        elif isinstance(message, m.Preview):
            if message.node in self.mirror.map.nodes and self.mirror.runs(message.job):
                self._calm.preview(message)
        elif isinstance(message, m.JobChanged):
            node = message.job.node
            if message.job.state not in ("running", "done") and not self.mirror.is_made(node):
                self._calm.back(node)
            self._caption(node)
        elif isinstance(message, m.Progress | m.Pulling) and message.job in self.mirror.jobs:
            self._caption(self.mirror.jobs[message.job].node)

    def _arrive(self) -> None:
        """The scene may be of another day, or another map: make it this one."""
        self._calm = Calm()
        cards.hide_previews()  # of jobs that may have ended long ago
        known, there = self.mirror.map, cards.idents().keys()
        wanted = known.nodes.keys() | known.links.keys()
        for ident in there - wanted:
            cards.remove(ident)
        self._show(wanted - there, model.Map())
        for node in known.nodes.values():
            self._fetch(node)
            self._caption(node.id)

    def _show(self, ids: set[str], before: model.Map) -> None:
        """Make the scene of the map what has changed since `before`."""
        scene, now = bpy.context.scene, self.mirror.map
        self._receiving = True
        try:
            for ident in ids:
                if ident not in now.nodes and ident not in now.links:
                    cards.remove(ident)
            for ident in ids & now.nodes.keys():
                self._show_node(scene, before.nodes.get(ident), now.nodes[ident])
            for link in now.links.values():
                if not ids.isdisjoint((link.id, link.parent, link.child)):
                    cards.put_link(scene, link)
        finally:
            self._receiving = False

    def _show_node(self, scene: bpy.types.Scene, before: model.Node | None, node: model.Node) -> None:
        is_new = before is None or cards.find("card", node.id) is None
        changed = edits.fields(node) if before is None or is_new else edits.difference(before, node)
        if not changed:
            return
        card = cards.put_card(scene, node, "x" in changed or "y" in changed)
        card.alphaloom.take(node, changed)
        self._caption(node.id)
        if "picture" in changed:
            self._fetch(node)

    def _fetch(self, node: model.Node) -> None:
        if self._calm.keeps(node.id, node.picture or ""):
            return
        if node.picture and node.picture not in (cards.shown_blob(node.id), self._fetched.get(node.id)):
            self._fetched[node.id] = node.picture
            self.connection.send(m.Fetch(node.id))

    def _caption(self, ident: str) -> None:
        node = self.mirror.map.nodes.get(ident)
        if node is not None:
            cards.write_caption(node, self.mirror.state_of(ident))


def _put(change: m.Picture | m.Preview | Back) -> None:
    if isinstance(change, m.Picture):
        cards.show_picture(change.node, change.blob, change.payload)
    elif isinstance(change, m.Preview):
        cards.show_preview(change.node, change.payload)
    else:
        cards.hide_preview(change.node)


def _as_in_panel(node: model.Node, panel: bpy.types.PropertyGroup) -> model.Node:
    """Blender's numbers are rougher than the broker's: one that is the same but for that stays as it is."""

    def number(name: str) -> float:
        value, known = getattr(panel, name), getattr(node.settings, name)
        return known if math.isclose(value, known, rel_tol=1e-6, abs_tol=1e-6) else round(value, 6)

    settings = replace(
        node.settings,
        width=panel.width,
        height=panel.height,
        steps=panel.steps or None,
        guidance=number("guidance"),
        strength=number("strength"),
        seed=panel.seed,
        blend=number("blend"),
        modulate=panel.modulate,
        model=panel.model,
        scheduler="" if panel.scheduler == OWN else panel.scheduler,
        tiling="" if panel.tiling == OFF else panel.tiling,
        variation=number("variation"),
        variation_seed=panel.variation_seed,
        eeg_in_file=panel.eeg_in_file,
    )
    return replace(node, prompt=panel.prompt, negative=panel.negative, task=panel.task, settings=settings)


def _pieces(changes: Iterable[model.Change]) -> Iterator[list[model.Change]]:
    """Changes in as few edits as may be sent."""
    piece: list[model.Change] = []
    size = 0
    for change in changes:
        more = len(wire.encode(m.Edit("", (change,))))
        if piece and (len(piece) >= check.MAX_CHANGES or size + more > MAX_TEXT_BYTES // 2):
            yield piece
            piece, size = [], 0
        piece.append(change)
        size += more
    if piece:
        yield piece


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
    now = repr(
        (
            connection.state,
            connection.problem,
            mirror.edges,
            mirror.eeg,
            mirror.error,
            open_jobs,
            mirror.progress,
            mirror.pulling,
        )
    )
    if now == _drawn:
        return
    _drawn = now
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


@bpy.app.handlers.persistent
def _before_saving(*_: object) -> None:
    """A file has finished pictures only; the next preview comes in a moment."""
    cards.hide_previews()


@bpy.app.handlers.persistent
def _after_undo(*_: object) -> None:
    session.undone()


_HANDLERS = (("save_pre", _before_saving), ("undo_post", _after_undo), ("redo_post", _after_undo))


def register() -> None:
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    bpy.app.timers.register(_timer, persistent=True)


def unregister() -> None:
    for name, handler in _HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if handler in handlers:
            handlers.remove(handler)
    if bpy.app.timers.is_registered(_timer):
        bpy.app.timers.unregister(_timer)
    session.close()
