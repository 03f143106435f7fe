"""Many people on one map at once: some are fast, some read rarely, some drop out, edit offline and come back.

Each remembers what it heard, as it came; afterwards everybody's map is made from that. The benchmark runs it in programs
of their own (BROKER, then questions), the fault tests in theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

import bench_turns
import websockets
from websockets.asyncio.client import ClientConnection, connect

from protocol import VERSION, address, edits, wire
from protocol import messages as m
from protocol.model import Change, Link, Map, Node, new_id

Kind = Literal["fast", "slow", "dropping"]
SLOW_BUFFER = 4096
"""Bytes: with a larger one the system would read for who reads rarely."""
RETRY_S, SETTLE_S = 0.1, 60.0
_EDITED = b'{"type":"Edited"'
_OPERATION = re.compile(rb'.{0,40}"revision":\s*(\d+),\s*"id":\s*"([^"]*)"')
"""All that is read of an operation while it is measured."""


def digest(map: Map) -> str:
    return hashlib.sha256(json.dumps(wire.plain(map), sort_keys=True).encode()).hexdigest()


class Replay:
    """Maps made of what was heard; what many heard alike is made once."""

    def __init__(self) -> None:
        self._maps: list[Map] = []
        self._starts: dict[str, int] = {}
        self._after: dict[tuple[int, bytes], int] = {}

    def start(self, map: Map) -> int:
        name = digest(map)
        if name not in self._starts:
            self._starts[name] = len(self._maps)
            self._maps.append(map)
        return self._starts[name]

    def map(self, start: int, heard: list[bytes]) -> Map:
        at = start
        for edited in heard:
            if (at, edited) not in self._after:
                self._maps.append(edits.apply(self._maps[at], wire.decode(edited.decode()).operation))
                self._after[at, edited] = len(self._maps) - 1
            at = self._after[at, edited]
        return self._maps[at]


@dataclass
class Record:
    """What was measured, by one clock for all processes of a machine."""

    sent: dict[str, float] = field(default_factory=dict)
    """When each operation was sent by who does not drop out, by its id."""
    ids: dict[int, str] = field(default_factory=dict)
    """Ids of operations by their revisions."""
    last: dict[int, float] = field(default_factory=dict)
    """When the last of the fast ones heard a revision."""
    count: Counter[int] = field(default_factory=Counter)
    """How many of the fast ones have heard it."""
    errors: Counter[str] = field(default_factory=Counter)
    comebacks: int = 0
    gaps: int = 0
    """Operations that somebody did not hear."""


class Member:
    def __init__(self, crowd: Crowd, name: str, kind: Kind):
        self.name, self.kind = name, kind
        self.revision = 0
        self._crowd = crowd
        self._operation = ""
        self._start = 0
        self._heard: list[bytes] = []
        self.pending: dict[str, Any] = {}
        """What was said and has not come back, by the operation's id."""
        self._socket: ClientConnection | None = None
        self.loaded = asyncio.Event()

    @property
    def map(self) -> Map:
        return self._crowd.replay.map(self._start, self._heard)

    async def live(self) -> None:
        """Be there until cancelled."""
        random_ = random.Random(f"{self._crowd.seed} {self.name}")
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                async with self._connected() as socket:
                    if self.kind == "dropping" and not self._crowd.calm:
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(random_.uniform(0.2, 2)):
                                await self._listen(socket)
                        socket.transport.abort()
                    else:
                        await self._listen(socket)
            self._crowd.record.comebacks += 1
            await asyncio.sleep(RETRY_S if self._crowd.calm else random_.uniform(RETRY_S, 1))

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[ClientConnection]:
        more: dict[str, Any] = {"max_queue": None}
        if self.kind == "slow":
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER)
            plain.connect((self._crowd.host, self._crowd.port))
            more = {"sock": plain}
        async with connect(self._crowd.url, max_size=None, proxy=None, compression=None, close_timeout=1, **more) as connection:
            hello = m.Hello(VERSION, "editor", self.name, revision=self.revision, operation=self._operation)
            await connection.send(wire.encode(hello))
            try:
                yield connection
            finally:
                self._socket = None

    async def _listen(self, socket: ClientConnection) -> None:
        rested = time.monotonic()
        while True:
            data = await socket.recv(decode=False)
            if data.startswith(_EDITED):
                self._hear(data)
            elif data.startswith(b'{"type":"Snapshot"'):
                await self._load(socket, wire.decode(data.decode()))
            elif data.startswith(b'{"type":"Error"'):
                self._refused(wire.decode(data.decode()))
            if self.kind == "slow" and not self._crowd.calm and time.monotonic() > rested + 0.1:
                await asyncio.sleep(2)
                rested = time.monotonic()

    def _hear(self, edited: bytes) -> None:
        found = _OPERATION.match(edited)
        assert found, edited[:200]
        revision, record = int(found[1]), self._crowd.record
        if revision <= self.revision:
            return
        record.gaps += revision - self.revision - 1
        self.revision, self._operation = revision, found[2].decode()
        self._heard.append(self._crowd.interned.setdefault(edited, edited))
        self.pending.pop(self._operation, None)
        if self.kind == "fast":
            record.last[revision] = time.monotonic()
            record.count[revision] += 1
            record.ids[revision] = self._operation

    async def _load(self, socket: ClientConnection, snapshot: m.Snapshot) -> None:
        if snapshot.map is not None:
            self._start, self._heard = self._crowd.replay.start(snapshot.map), []
            self.revision, self._operation = snapshot.map.revision, snapshot.operation
        for operation in snapshot.missed:
            self._hear(str(wire.encode(m.Edited(operation))).encode())
        self._socket = socket
        for message in self.pending.values():
            await socket.send(wire.encode(message))
        self.loaded.set()

    def _refused(self, error: m.Error) -> None:
        self._crowd.record.errors[error.code] += 1
        self.pending.pop(error.about, None)

    async def say(self, message: m.Edit | m.Undo | m.Redo) -> None:
        """Now, or when back."""
        self.pending[message.id] = message
        if self._socket:
            if self.kind != "dropping":  # it might have to say it again
                self._crowd.record.sent[message.id] = time.monotonic()
            with contextlib.suppress(websockets.ConnectionClosed):
                await self._socket.send(wire.encode(message))


class Crowd:
    """`size` people, of every ten one who is slow or drops out, numbered from `first`. Use within `present`."""

    def __init__(self, broker: str, size: int, seed: int, first: int = 0):
        self.url = address.parse(broker).ws
        self.host, self.port = self.url.split("/")[2].rsplit(":", 1)[0], int(self.url.split("/")[2].rsplit(":", 1)[1])
        self.seed, self.record, self.replay = seed, Record(), Replay()
        self.interned: dict[bytes, bytes] = {}
        self.calm = False
        """Nobody is slow or drops out any more."""
        kinds: dict[int, Kind] = {0: "slow", 10: "dropping"}
        self.members = [Member(self, f"p{n}", kinds.get(n % 20, "fast")) for n in range(first, first + size)]
        self._random = random.Random(f"{seed} {first}")
        self._nodes = [f"{first}-{n}" for n in range(20)]
        self._extra: list[str] = []

    @property
    def fast(self) -> int:
        return sum(member.kind == "fast" for member in self.members)

    @contextlib.asynccontextmanager
    async def present(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(member.live()) for member in self.members]
        try:
            async with asyncio.timeout(SETTLE_S):
                for member in self.members:
                    await member.loaded.wait()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def act(self, seconds: float, rate: float) -> None:
        """So many operations a second, of everybody in turn at random."""
        begin = self._random.choice([x for x in self.members if x.kind == "fast"])
        await begin.say(m.Edit(new_id(), tuple(edits.create(Node(name)) for name in self._nodes)))
        start = time.monotonic()
        for number in range(round(seconds * rate)):
            await asyncio.sleep(start + number / rate - time.monotonic())
            await self._random.choice(self.members).say(self._operation())

    def _operation(self) -> m.Edit | m.Undo | m.Redo:
        id, dice = new_id(), self._random.random()
        if dice < 0.08:
            return m.Undo(id)
        if dice < 0.13:
            return m.Redo(id)
        return m.Edit(id, (self._change(dice),))

    def _change(self, dice: float) -> Change:
        if dice < 0.25:
            self._extra.append(new_id())
            return edits.create(Node(self._extra[-1], "something new", x=dice * 10))
        if dice < 0.35 and self._extra:
            return Change("delete", "node", self._extra.pop(self._random.randrange(len(self._extra))))
        if dice < 0.42:
            parent, child = sorted(self._random.sample(self._nodes, 2))  # in one order there are no cycles
            return edits.create(Link(new_id(), parent, child))
        name = self._random.choice(self._nodes)
        if dice < 0.7:
            return Change("update", "node", name, {"x": self._random.uniform(-9, 9), "y": self._random.uniform(-9, 9)})
        return Change("update", "node", name, {"prompt": f"words of {dice}", "settings.steps": self._random.randrange(1, 50)})

    async def settle(self) -> None:
        """Until nobody waits for anything. Raises TimeoutError."""
        self.calm = True
        async with asyncio.timeout(SETTLE_S):
            while any(member.pending for member in self.members):  # noqa: ASYNC110  a hundred events would cost more
                await asyncio.sleep(0.05)

    async def catch_up(self, revision: int) -> None:
        """Until everybody has heard of a revision. Raises TimeoutError."""
        async with asyncio.timeout(SETTLE_S):
            while any(member.revision < revision for member in self.members):  # noqa: ASYNC110  as above
                await asyncio.sleep(0.05)


async def main(broker: str, size: int, first: int) -> None:
    crowd = Crowd(broker, size, 1, first)
    async with crowd.present():
        bench_turns.answer({"fast": crowd.fast})
        async for question in bench_turns.questions_async():
            if "seconds" in question:
                await crowd.act(question["seconds"], question["rate"])
                await crowd.settle()
                bench_turns.answer(None)
            else:
                await crowd.catch_up(question["revision"])
                maps = {"digests": sorted({digest(member.map) for member in crowd.members})}
                bench_turns.answer(maps | vars(crowd.record))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
