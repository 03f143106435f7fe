"""The extension's one session: connection, mirror and scene, brought together a little at a time.

Design notes
- `tick` is all that ever runs by itself: in a window from a timer, headless from a loop. It stops when its time
  budget is used up and goes on at the next tick, so Blender's own work never waits.
- The broker's map is the truth. What the artist changes in the scene is sent as an edit, shown at once, and taken back
  where the broker refuses it.
- Only fields that have changed are put into the scene, so that a card under the artist's hand stays there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import bpy

from . import driving, keeping, overlay, pictures, tone
from . import scene as cards
from .core.calm import Back, Calm
from .core.connection import Answer, Connection
from .core.eeg import Eeg
from .core.mirror import Mirror
from .core.shared import MAX_TEXT_BYTES, check, edits, errors, model, wire
from .core.shared import messages as m
from .hands import Hands
from .translations import say

BUDGET_S = 0.004
INTERVAL_S = 1 / 60
FEW = 8
"""Changes at once that are looked up one by one."""
MOST_SELECTED = 1000
"""Nodes that the broker is told."""
LOOK_S = 0.2
"""Between two looks at what the artist has changed."""


class Session:
    def __init__(self) -> None:
        self.connection = Connection()
        self.mirror = Mirror()
        self._looked_at = 0.0
        self.hands = Hands(self._send)
        self._fetched: dict[str, str] = {}
        """Blobs that were asked for, by node."""
        self._calm = Calm()
        self._receiving = False
        self._is_behind = False
        """Whether things were heard that the scene does not show."""
        self._is_new_file = True
        """Whether the scene is of a file that no broker has been heard with."""
        self._left: set[str] = set()
        """Nodes of other maps whose cards were left to the artist: undo may bring them back as they were."""
        self._has_met = False
        """Whether scene and map have been brought together since the connection or the file was opened."""
        self.chores: list[Callable[[float], bool | None]] = []
        """What other modules do a little of at each tick, until the time that they are given; True: it is done."""
        self.listeners: list[Callable[[object], None]] = []
        """Who else hears what the broker says, while Blender renders, too: they leave its data alone."""
        self.ended: list[Callable[[], None]] = []
        """Called when the connection is closed: what was asked is not answered any more."""
        self.news = 0
        """Grows when something else that panels say has changed."""
        self.eeg = Eeg(self.ask)
        self._selected: tuple[str, ...] = ()
        """What the others were told."""

    def open(self, broker: str, person: str = "blender", token: str = "") -> None:
        """Raises AlphaloomError `bad_address`."""
        self.note()
        self._has_met = False
        self.connection.name, self.connection.token = person, token
        self.connection.open(broker)
        for forget in self.ended:
            forget()
        self.mirror = Mirror()
        self.hands, self._fetched = Hands(self._send), {}
        self._calm = Calm()
        self.eeg = Eeg(self.ask)
        for edit in self.connection.outbox.edits():
            self.mirror.begin(edit)

    def close(self) -> None:
        self.note()
        self.connection.close()
        for forget in self.ended:
            forget()
        driving.hear(None)
        tone.silence()

    def tick(self, budget: float = BUDGET_S) -> None:
        """Step the connection, then bring the scene up to date for at most about `budget` seconds."""
        end = time.perf_counter() + budget
        self.connection.tick()
        inbox = self.connection.inbox
        if _is_rendering():
            self._listen()
            return
        if self._is_behind:
            self._is_behind = False
            self._arrive()
        while inbox and time.perf_counter() < end:
            self._receive(inbox.popleft())
        for change in self._calm.due(time.monotonic()):
            _put(change)
        for chore in tuple(self.chores):
            self.chores.remove(chore)
            if not self._is_done(chore, end):
                self.chores.append(chore)
            if time.perf_counter() > end:
                break  # at the next tick the others come first
        if self.connection.state == "online" and self.mirror.loaded:
            self.eeg.tick(time.monotonic(), self.connection.send)
        elif self.eeg.calibration.runs:
            self.eeg.calibration.lost()
        if self.eeg.calibration.eyes_may_open:
            self.eeg.calibration.eyes_may_open = False
            tone.play()
        if not inbox and self.mirror.loaded and time.monotonic() - self._looked_at > LOOK_S:
            self._looked_at = time.monotonic()
            self.hands.look(self.mirror.map)
            self._tell_selection()
            overlay.look(self.mirror if self.connection.state == "online" else Mirror(), self.connection.client)

    def _tell_selection(self) -> None:
        selected = tuple(ident for ident in cards.selected() if ident in self.mirror.map.nodes)[:MOST_SELECTED]
        if selected != self._selected and self.connection.state == "online":
            self._selected = selected
            self.connection.send(m.Select(selected))

    def _is_done(self, chore: Callable[[float], bool | None], end: float) -> bool | None:
        """Do a little of a chore. One that raises comes again, and keeps nobody else from theirs."""
        try:
            return chore(end)
        except Exception as problem:
            self.connection.problem = f"{type(problem).__name__}: {problem}"
            return None

    def drop(self, chore: Callable[[float], bool | None]) -> None:
        self.chores[:] = [each for each in self.chores if each is not chore]

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
        self._send(changes)

    def _send(self, changes: Iterable[model.Change]) -> None:
        for piece in _pieces(changes):
            self.edit(*piece)

    def edit(self, *changes: model.Change) -> None:
        self.hands.remember(self.mirror.map, changes)
        edit = m.Edit(model.new_id(), changes)
        before = self.mirror.map
        self._show(self.mirror.begin(edit), before)
        self.connection.send(edit)

    def generate(self, node: str) -> str:
        """Ask for a node's picture, as it is now; the new job's id."""
        self.hands.rest(self.mirror.map)
        self.mirror.error = ""
        job = model.new_id()
        self.connection.send(m.Generate(node, job))
        return job

    def cancel(self, job: str) -> None:
        self.connection.send(m.Cancel(job))

    def ask(self, method: str, path: str, then: Callable[[bytes | errors.AlphaloomError], None], body: bytes = b"") -> None:
        """Ask the broker over HTTP; `then` is called with the answer's body, or with what went wrong, within a later tick.
        It must find what it is about anew: nodes and objects may be gone. Not called where the connection is closed before."""
        self.connection.ask(method, path, then, body)

    def edited(self, item: bpy.types.Object) -> None:
        """The panel changed a card's properties."""
        if not self._receiving:
            self.hands.turned(item.alphaloom.ident)

    def undone(self) -> None:
        """Undo and redo have brought back a scene of another moment: what is not the artist's own comes back from the map,
        and so do pictures; previews are of jobs that have ended."""
        pictures.hide_previews()
        self._fetched = {}
        if self._is_bound():
            self.hands.undone(self.mirror.map)
            self._arrive()

    def loaded_file(self) -> None:
        """Another file is open: make its scene the map, if there is one."""
        self._fetched = {}
        self.hands = Hands(self._send)
        self._is_new_file, self._has_met, self._left = True, False, set()
        if self._is_bound():
            self._arrive()

    def note(self) -> None:
        """Before the map is left: note in the scene what the broker has of it, so that they can become one again."""
        if self._is_bound():
            self.hands.rest(self.mirror.map)
            keeping.note(self.mirror.map, self.mirror.truth)

    def _is_bound(self) -> bool:
        """Whether the scene is to be the broker's map. One that was left is not brought into the next file."""
        return self.mirror.loaded and self.connection.state != "offline"

    # -- from the broker into the scene --

    def _listen(self) -> None:
        """Hear what is said, and leave the scene alone: a render reads it from a thread of its own, and what changes under it
        can crash Blender. Pictures are fetched afterwards."""
        inbox = self.connection.inbox
        for _ in range(len(inbox)):
            message = inbox.popleft()
            if isinstance(message, Answer):
                inbox.append(message)
            else:
                self._tell(message)
                self.mirror.apply(message)
                self._is_behind = self.mirror.loaded

    def _receive(self, message: object) -> None:
        if isinstance(message, Answer):
            message.then(message.said)
            return
        if isinstance(message, m.Snapshot) and self.mirror.loaded:
            self.hands.rest(self.mirror.map)  # what is under the artist's hand would be as the broker knows it
        self._tell(message)
        before = self.mirror.map
        changed = self.mirror.apply(message)
        if isinstance(message, m.Snapshot):
            self._selected = ()  # whoever has just come has selected nothing
            self._fetched = {}  # what was asked for before is not answered any more
            self._arrive()
            return
        self._show(changed, before)
        if isinstance(message, m.Picture) and message.node:  # without one it is a listener's
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
        elif isinstance(message, m.Features):
            driving.hear(self.mirror.frame)
        elif isinstance(message, m.Progress | m.Pulling) and message.job in self.mirror.jobs:
            self._caption(self.mirror.jobs[message.job].node)

    def _tell(self, message: object) -> None:
        """Those who only listen, and change no scene."""
        for listener in tuple(self.listeners):
            listener(message)
        self.eeg.hear(message, time.monotonic())

    def _meet(self) -> None:
        """What of the scene the broker has not heard is told, so that nothing is lost; another map's cards are left alone."""
        there = cards.idents()
        self.hands.there = set(there)
        is_file, self._is_new_file = self._is_new_file, False
        nodes, known = {ident for ident, kind in there.items() if kind == "card"}, self.mirror.map.nodes
        changes = keeping.unheard(self.mirror.map, is_file)
        self._send(changes)
        told = {change.id for change in changes}
        if is_file and nodes and nodes.isdisjoint(known.keys() | told):
            self._left = nodes
            self.mirror.error = keeping.set_aside()

    def _arrive(self) -> None:
        """The scene may be of another day, or another map: make it this one."""
        if not self._has_met:
            self._has_met = True
            self._meet()
        elif not self._left.isdisjoint(cards.idents()):
            keeping.set_aside()
        self._calm = Calm()
        pictures.hide_previews()  # of jobs that may have ended long ago
        known = self.mirror.map
        wanted = known.nodes.keys() | known.links.keys()
        with cards.at_once():
            self.hands.there = set(cards.idents())
            self._show(wanted | self.hands.there, model.Map())
            shown = pictures.shown_blobs()
            for node in known.nodes.values():
                self._fetch(node, shown.get(node.id, ""))

    def _show(self, ids: set[str], before: model.Map) -> None:
        """Make the scene of the map what has changed since `before`."""
        scene, now, there = bpy.context.scene, self.mirror.map, self.hands.there
        self._receiving = True
        try:
            with cards.at_once(whole=len(ids) > FEW):
                gone = {ident for ident in ids & there if ident not in now.nodes and ident not in now.links}
                (cards.remove if len(gone) > FEW else cards.lay_aside)(gone)
                there -= gone
                self._make_new(scene, ids - there)
                for ident in ids & now.nodes.keys():
                    self._show_node(scene, before.nodes.get(ident), now.nodes[ident])
                for link in now.links.values():
                    if not ids.isdisjoint((link.id, link.parent, link.child)):
                        cards.put_link(scene, link)
                        there.add(link.id)
        finally:
            self._receiving = False

    def _make_new(self, scene: bpy.types.Scene, ids: set[str]) -> None:
        """All at once: it takes a fraction of the time that one by one does."""
        known = self.mirror.map
        links = [known.links[ident] for ident in ids & known.links.keys()]
        drawn = [link for link in links if link.parent in known.nodes and link.child in known.nodes]
        cards.make(scene, ids & known.nodes.keys(), drawn)

    def _show_node(self, scene: bpy.types.Scene, before: model.Node | None, node: model.Node) -> None:
        is_new = node.id not in self.hands.there
        changed = edits.fields(node) if before is None or is_new else edits.difference(before, node)
        if not changed:
            return
        card = cards.put_card(scene, node, "x" in changed or "y" in changed)
        self.hands.there.add(node.id)
        card.alphaloom.take(node, changed)
        self._caption(node.id)
        if "picture" in changed and not is_new:
            self._fetch(node)

    def _fetch(self, node: model.Node, shown: str | None = None) -> None:
        """Ask for a node's picture, unless it is shown."""
        if not node.picture or node.picture == self._fetched.get(node.id) or self._calm.keeps(node.id, node.picture):
            return
        if node.picture != (pictures.shown_blob(node.id) if shown is None else shown):
            self._fetched[node.id] = node.picture
            self.connection.send(m.Fetch(node.id))

    def _caption(self, ident: str) -> None:
        node = self.mirror.map.nodes.get(ident)
        if node is not None:
            cards.write_caption(node, self.mirror.state_of(ident, say))


def _is_rendering() -> bool:
    return bool(bpy.app.is_job_running("RENDER") or bpy.app.is_job_running("OBJECT_BAKE"))


def _put(change: m.Picture | m.Preview | Back) -> None:
    if isinstance(change, m.Picture):
        pictures.show_picture(change.node, change.blob, change.payload)
    elif isinstance(change, m.Preview):
        pictures.show_preview(change.node, change.payload)
    else:
        pictures.hide_preview(change.node)


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
