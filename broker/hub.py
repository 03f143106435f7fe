"""The one place where maps, people, work and EEG come together.

Design notes
- Everything runs on the event loop, and a change is made without a pause, so nothing comes between.
- Memory changes first; the journal writes; what is told is told then, in the same order. A crash loses nothing that was told.
- Who joins is told of the map as it is when all of it is on disk, and of every change after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

from protocol import check, wire
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import MAIN_ROOM, Job, Place, Presence
from signals import patch_files

from . import watchdog
from .arrivals import Arrivals
from .asking import Limits
from .gallery import Gallery, may_see
from .journal import Journal
from .live import Live
from .metrics import Metrics
from .outbox import Letter
from .people import Client
from .rooms import Done, Room
from .stage import Stage
from .store import Store, writes
from .who import Who
from .work import Work

log = logging.getLogger("broker")

MAX_ROOMS = 1000
MAX_TITLE = 200
TICK_S = 1.0
PLACES_S, PLACES_AGE_S = 0.5, 0.25
"""How often places are told, and how old they may be for who asks."""
CLOSE_S = 5.0
LIVE_MAX_HZ = 8.0


class Hub:
    def __init__(self, store: Store, limits: Limits | None = None, live_max_hz: float = LIVE_MAX_HZ):
        self.store = store
        self.rooms: dict[str, Room] = {}
        self.journal = Journal(lambda batch: store.run(store.write, batch))
        self.clients: set[Client] = set()
        self.stage = Stage(self.journal, self.clients, lambda message: self.tell(None, message), self._tell_status)
        self.player = self.stage.player
        self.work = Work(self.rooms, self.player, store, self.journal, limits or Limits())
        self.gallery = Gallery(self.rooms, self.clients, self.work.open, store, self.journal, self._keep)
        self.work.ledger.told = lambda job: self.gallery.tell_of(job, m.JobChanged(job))
        self.work.made, self.work.heard = self.gallery.made, self.gallery.tell_of
        self.work.heard_preview, self.work.edges_changed = self.gallery.previews.hear, self._tell_status
        self.live = Live(self, live_max_hz)
        self.metrics = Metrics(self, watchdog.of())
        self.stage.heard = self.metrics.frame
        self.work.ledger.changed = self._follow
        self._arrivals = Arrivals()
        self._places: dict[str, dict[str, Place]] = {}
        self._placed_at = -math.inf

    async def load(self) -> None:
        """Take up where the last broker stopped."""
        loaded = await self.store.run(self.store.load)
        for kept in loaded.rooms:
            room = self.rooms[kept.row.id] = Room(kept.row.id, kept.row.title, kept.row.created)
            room.load(kept.row.revision, (*kept.nodes, *kept.links), kept.log)
        if MAIN_ROOM not in self.rooms:
            self._put_room(Room(MAIN_ROOM, "", time.time()))
        rules = loaded.facts.get("patch")
        if rules is not None:
            try:
                self.player.set_patch(patch_files.named(rules))
            except AlphaloomError as error:
                log.warning("the stored patch cannot be played, the default takes its place: %s", error.message)
        self.work.load(loaded)
        await self.journal.flush()

    async def run(self) -> None:
        """Write, and let time pass, until cancelled; see `close`."""
        async with asyncio.TaskGroup() as tasks:
            for each in (self.journal.run(), self._tick(), self._tell_places(), self.live.run()):
                tasks.create_task(each)

    async def close(self) -> None:
        """Write what waits."""
        self.gallery.screens.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.work.close()
                await self.journal.flush()

    async def settled(self) -> None:
        """Until all that was done so far is on disk."""
        await self.journal.settled()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            with _going_on("looking after the jobs"):
                self.work.tick()

    async def _tell_places(self) -> None:
        told: dict[str, dict[str, Place]] = {}
        while True:
            await asyncio.sleep(PLACES_S)
            with _going_on("telling who waits"):
                places = self.places()
                for client in self.clients:
                    mine = places.get(client.who.person, {})
                    if mine != told.get(client.id, {}):
                        client.put(m.Waiting(mine))
                told = {client.id: places.get(client.who.person, {}) for client in self.clients}

    def places(self) -> dict[str, dict[str, Place]]:
        """Where all waiting jobs stand, by person; at most `PLACES_AGE_S` old."""
        now = time.monotonic()
        if now - self._placed_at > PLACES_AGE_S:
            self._placed_at, self._places = now, self.work.places()
        return self._places

    # -- people --

    def join(self, client: Client, hello: m.Hello | None = None) -> None:
        """Everything, or for who comes back what was missed. Raises AlphaloomError `unknown_room`."""
        room = self.room(client.room)
        missed = room.missed(hello.revision, hello.operation) if hello and hello.revision else None
        snapshot = m.Snapshot(
            map=room.map if missed is None else None,
            patch=self.player.rules,
            jobs=tuple(job for job in self.work.open.values() if may_see(client, job)),
            edges=len(self.work.edges),
            eeg=self.stage.eeg,
            performers=self.player.heard(),
            sham=self.player.sham,
            room=room.id,
            missed=missed or (),
            operation=room.last_operation,
            people=tuple(other.presence for other in self.clients if other.room == room.id),
        )
        letter = self._arrivals.letter(room, snapshot)

        def enter() -> None:
            if client.left:
                return
            if self.rooms.get(room.id) is not room:
                client.put(_gone(room.id))
                return
            client.outbox.post(letter)
            self.clients.add(client)
            self._tell_presence(client, client.presence)

        self.journal.then(enter, enter)

    def leave(self, client: Client) -> None:
        client.left = True
        if client in self.clients:
            self.clients.discard(client)
            self._tell_presence(client, Presence(client.id, client.who.person, here=False))

    def _tell_presence(self, client: Client, presence: Presence) -> None:
        self.tell(client.room, m.Present(presence), but=client)

    async def handle_client(self, client: Client, message: Any) -> None:
        """Do what a client asks. Raises AlphaloomError, which the session answers with."""
        who, room = client.who, client.room
        match message:
            case m.Edit():
                self._answer(client, self.edit(who, room, message))
            case m.Undo():
                self._answer(client, self.undo(who, room, message.id))
            case m.Redo():
                self._answer(client, self.redo(who, room, message.id))
            case m.Generate():
                who.need("editor")
                job, again = await self.work.submit(who, self.room(room), message)
                if again:  # it is told again, but to nobody else
                    self.journal.then(lambda: client.put(m.JobChanged(job)))
            case m.Cancel():
                self.cancel(who, message.job)
            case m.Select():
                client.select(message.nodes, self.room(room).map.nodes)
                self._tell_presence(client, client.presence)
            case m.Subscribe():
                client.subscribe(message.frames_hz)
            case m.Fetch():
                await self._fetch(client, message)
            case m.SetPatch():
                who.need("editor")
                for warning in self.stage.set_patch(patch_files.named(message.rules)):
                    client.put(m.Error("idle_rule", warning))
            case m.SetSham():
                who.need("editor")
                self.stage.set_sham(message.on)
            case _:
                raise AlphaloomError("unexpected_message", f"A client does not send {type(message).__name__} now.")

    def _answer(self, client: Client, done: Done) -> None:
        """Everybody is told of what was done; of what had been done before, only who asked again."""
        if done.again:
            self.journal.then(lambda: client.put(m.Edited(done.operation)))

    def tell(self, room: str | None, message: Any, but: Client | None = None) -> None:
        """Say something to everybody in a room, or everywhere."""
        letter = Letter(message)
        for client in self.clients:
            if client is not but and room in (None, client.room):
                client.outbox.post(letter)

    # -- maps --

    def room(self, id: str) -> Room:
        """Raises AlphaloomError `unknown_room`."""
        if id not in self.rooms:
            raise AlphaloomError(
                "unknown_room",
                f"No map is called {id[:80]!r}. Make it with POST /v1/rooms, or take {MAIN_ROOM!r}.",
                room=id[:80],
            )
        return self.rooms[id]

    def create_room(self, who: Who, id: str, title: str = "") -> Room:
        """Raises AlphaloomError `room_exists`, `too_many_rooms`, `bad_id` or `forbidden`."""
        who.need("editor")
        check.identifier(id)
        if id in self.rooms:
            raise AlphaloomError("room_exists", f"A map is called {id!r} already.", room=id)
        if len(self.rooms) >= MAX_ROOMS:
            raise AlphaloomError("too_many_rooms", f"There are {MAX_ROOMS} maps, the most there may be; delete one.")
        return self._put_room(Room(id, _title(title), time.time()))

    def rename_room(self, who: Who, id: str, title: str) -> Room:
        who.need("editor")
        room = self.room(id)
        room.title = _title(title)
        return self._put_room(room)

    def drop_room(self, who: Who, id: str) -> None:
        """Delete a map with its history; whoever is in it is shown out. Raises AlphaloomError."""
        who.need("admin")
        self.room(id)
        if id == MAIN_ROOM:
            raise AlphaloomError("main_room", f"The map {MAIN_ROOM!r} stays; delete its nodes.", room=id)
        self.journal.need()
        self.work.room_dropped(id)
        del self.rooms[id]
        self.journal.write(writes.DropRoom(id))
        for client in [client for client in self.clients if client.room == id]:
            client.put(_gone(id))
            self.leave(client)

    def _put_room(self, room: Room) -> Room:
        self.journal.need()
        self.rooms[room.id] = room
        self.journal.write(writes.PutRoom(_row(room)))
        return room

    def edit(self, who: Who, room: str, edit: m.Edit) -> Done:
        """Raises AlphaloomError for a change that cannot be; then none of them is made."""
        who.need("editor")
        said = (change.fields.get(name) for change in edit.changes for name in ("source", "mask", "depth", "picture"))
        for blob in {blob for blob in said if isinstance(blob, str)}:  # what else it may be is refused with its field
            self.store.blobs.need(blob)
        return self._change(who, self.room(room), lambda at, now: at.edit(who.person, edit.id, edit.changes, now))

    def undo(self, who: Who, room: str, id: str) -> Done:
        """Raises AlphaloomError `nothing_to_undo`."""
        who.need("editor")
        return self._change(who, self.room(room), lambda at, now: at.undo(who.person, id, now))

    def redo(self, who: Who, room: str, id: str) -> Done:
        """Raises AlphaloomError `nothing_to_redo`."""
        who.need("editor")
        return self._change(who, self.room(room), lambda at, now: at.redo(who.person, id, now))

    def purge(self, who: Who, room: str, node: str) -> None:
        """Forget a deleted node with its history, for good. Raises AlphaloomError `not_deleted`."""
        who.need("editor")
        self.journal.need()
        nodes, links = self.room(room).purge(node)
        self.journal.write(writes.PurgeItems(room, nodes, links))

    def _change(self, who: Who, room: Room, change: Any) -> Done:
        self.journal.need()
        done: Done = change(room, time.time())
        if not done.again:
            self._keep(room, done)
            for one in done.operation.changes:
                if one.verb == "delete" and one.kind == "node":
                    self.work.node_deleted(who, room.id, one.id)
                elif one.kind == "node" and one.fields.get("picture"):
                    self.gallery.chosen(room.id, one.id, one.fields["picture"])
        return done

    def _keep(self, room: Room, done: Done) -> None:
        self.metrics.operation()
        self.journal.write(
            *(writes.PutItem(room.id, one.item, one.deleted, one.deleted_in) for one in done.touched),
            writes.AddOperation(room.id, done.operation, done.before),
            writes.PutRoom(_row(room)),
        )
        self.journal.then(lambda: self.tell(room.id, m.Edited(done.operation)))

    async def _fetch(self, client: Client, message: m.Fetch) -> None:
        node = self.room(client.room).map.nodes.get(message.node)
        if node is None or node.picture is None:
            raise AlphaloomError("no_picture", f"Node {message.node[:80]!r} has no picture yet.", node=message.node[:80])
        blobs, picture = self.store.blobs, node.picture
        data = await blobs.run(blobs.get, picture)
        now = self.room(client.room).map.nodes.get(node.id)
        if now is None or now.picture == picture:
            client.put(m.Picture(node.id, "", picture, blobs.media_type(data), data, live=node.live))
        else:  # it has changed meanwhile, and the newest wins
            await self._fetch(client, message)

    # -- jobs --

    async def generate(self, who: Who, room: str, asked: m.Generate, live: bool = False) -> Job:
        """Take on a job; the job that has its id already, if one has. Raises AlphaloomError, `queue_full` among others."""
        who.need("editor")
        job, _ = await self.work.submit(who, self.room(room), asked, live)
        return job

    def cancel(self, who: Who, job: str) -> Job:
        """Raises AlphaloomError `unknown_job` or `not_yours`."""
        who.need("editor")
        return self.work.cancel(who, job)

    async def ended(self, job: str) -> Job:
        return await self.work.ledger.end_of(job)

    def _follow(self, job: Job) -> None:
        self.live.follow(job)
        self.gallery.previews.follow(job)
        self.metrics.follow(job)

    def report(self, error: AlphaloomError) -> None:
        """Something went wrong that nobody who is connected has asked for."""
        log.warning("%s", error.message)
        self.tell(None, m.Error(error.code, error.message, error.detail))

    def _tell_status(self) -> None:
        self.tell(None, m.Status(len(self.work.edges), self.stage.eeg, self.player.heard(), self.player.sham))

    # -- reports --

    async def session(self, room: str) -> dict[str, Any]:
        """Each node's picture with its resolved request and the EEG behind it."""
        nodes = self.room(room).map.nodes
        made: Iterable[Job] = await self.store.run(self.store.pictures, room)
        shown = [job for job in made if job.node in nodes]
        return {"patch": wire.plain(self.player.rules), "eeg": self.stage.eeg, "pictures": [wire.plain(job) for job in shown]}


@contextlib.contextmanager
def _going_on(doing: str) -> Iterator[None]:
    """A mistake of ours must not end what all depend on."""
    try:
        yield
    except Exception:
        log.exception("%s went wrong", doing)


def _gone(room: str) -> m.Error:
    return m.Error("unknown_room", f"The map {room!r} was deleted.", {"room": room})


def _row(room: Room) -> writes.RoomRow:
    return writes.RoomRow(room.id, room.title, room.created, room.map.revision)


def _title(text: str) -> str:
    if len(text) > MAX_TITLE:
        raise AlphaloomError("bad_value", f"title has {len(text)} characters; the most is {MAX_TITLE}.", field="title")
    return text
