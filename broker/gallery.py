"""How pictures, and what becomes of them on the way, get to those who may see them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Change, Job, Node, new_id

from .journal import Journal
from .outbox import Letter
from .people import Client
from .previews import Previews
from .rooms import Done, Room
from .screens import Screens
from .store import Store


class Gallery:
    def __init__(
        self,
        rooms: Mapping[str, Room],
        clients: Collection[Client],
        open: Mapping[str, Job],
        store: Store,
        journal: Journal,
        keep: Callable[[Room, Done], None],
    ):
        """`open` has the jobs that have not ended; `keep` stores, and tells, how a map was changed."""
        self._rooms, self._clients, self._open = rooms, clients, open
        self._store, self._journal, self._keep = store, journal, keep
        self.screens = Screens(journal.settled)
        self.previews = Previews(self.screens, self._may_preview, self._picture_of, self.tell_of)

    def made(self, job: Job, png: bytes) -> None:
        """A picture is there; without its bytes, it was there before. One that nobody has asked for is shown when it does
        not flash."""
        assert job.picture is not None
        if job.live:
            self.screens.show((job.room, job.node), self._read(job.picture, png), lambda: self._show(job, png))
            return
        self._show(job, png)
        self.chosen(job.room, job.node, job.picture, png)

    def chosen(self, room: str, node: str, picture: str, png: bytes = b"") -> None:
        """Somebody wanted this one: it is shown at once, and counts where what is shown may flash."""
        if self._is_live(room, node) or self.screens.was_previewed((room, node)):
            self.screens.count((room, node), self._read(picture, png))

    def tell_of(self, job: Job, message: Any) -> None:
        """To all who may see the job."""
        letter = Letter(message)
        for client in self._clients:
            if may_see(client, job):
                client.outbox.post(letter)

    def _show(self, job: Job, png: bytes) -> None:
        """Its node shows it, and everybody in the room gets it."""
        assert job.picture is not None
        room = self._rooms.get(job.room)
        if job.node and room is not None:
            letter = Letter(m.Picture(job.node, job.id, job.picture, "image/png", png, live=job.live))
            change = Change("update", "node", job.node, {"picture": job.picture})
            if png:
                self._journal.then(lambda: self._post(letter, lambda client: client.room == job.room))
            with contextlib.suppress(AlphaloomError):  # the node was purged meanwhile
                self._keep(room, room.edit("", new_id(), (change,), time.time()))
        elif png:
            letter = Letter(m.Picture("", job.id, job.picture, "image/png", png))
            self._journal.then(lambda: self._post(letter, lambda client: client.who.person == job.person))

    def _post(self, letter: Letter, to: Callable[[Client], bool]) -> None:
        for client in self._clients:
            if to(client):
                client.outbox.post(letter)

    def _may_preview(self, job: Job) -> bool:
        """A live node's next picture is there soon."""
        now = self._open.get(job.id)
        runs = now is not None and (now.state, now.attempt) == ("running", job.attempt)
        return runs and not job.live and not self._is_live(job.room, job.node)

    def _picture_of(self, job: Job) -> Callable[[], Awaitable[bytes]] | None:
        """What reads the picture that a job's node has."""
        node = self._node(job.room, job.node)
        picture = node.picture if node else None
        return (lambda: self._read(picture)) if picture else None

    def _is_live(self, room: str, node: str) -> bool:
        found = self._node(room, node)
        return found is not None and found.live

    def _node(self, room: str, node: str) -> Node | None:
        return self._rooms[room].map.nodes.get(node) if room in self._rooms else None

    async def _read(self, blob: str, data: bytes = b"") -> bytes:
        return data or await self._store.blobs.run(self._store.blobs.get, blob)


def may_see(client: Client, job: Job) -> bool:
    """A node's jobs are everybody's in its room to see; others are their owner's."""
    return client.room == job.room if job.node else client.who.person == job.person
