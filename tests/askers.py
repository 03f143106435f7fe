"""People who ask for pictures whatever dies around them, and remember every word that they are told about their jobs."""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import websockets
from websockets.asyncio.client import ClientConnection, connect

from protocol import VERSION, address, wire
from protocol import messages as m
from protocol.model import ENDED, Job, Phrase, ResolvedRequest, new_id

RETRY_S = 0.05
WAIT_S = 60.0
"""A machine may be slow; a job that has not ended after this long is stuck."""


@dataclass
class Told:
    job: Job
    connection: int
    """The number of the connection that it was heard on."""
    due: int
    """How often its end may be told on this connection: once for each time that it was asked for, and once if it was open
    when one came back. Both may happen: who asks again may be told while the question is on its way."""


class Asker:
    """Keeps `most` jobs open, asks again with the same ids after the connection died."""

    def __init__(self, broker: str, name: str, seed: int, nodes: tuple[str, ...] = (), most: int = 4):
        self.name = name
        self.told: dict[str, list[Told]] = defaultdict(list)
        """What was heard of each job, in its order."""
        self.refused: list[m.Error] = []
        self.connections = 0
        self.asking = asyncio.Event()
        self.asking.set()
        self._url = address.parse(broker).ws
        self._random = random.Random(f"{seed} {name}")
        self._nodes, self._most = nodes, most
        self._open: dict[str, m.Generate] = {}
        self._due: dict[str, int] = {}
        self._changed = asyncio.Event()

    @property
    def accepted(self) -> set[str]:
        return {id for id, words in self.told.items() if words}

    @property
    def ended(self) -> set[str]:
        return {id for id, words in self.told.items() if any(told.job.state in ENDED for told in words)}

    async def live(self) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                async with connect(self._url, proxy=None, max_size=None) as socket:
                    self.connections += 1
                    self._due = {}
                    await socket.send(wire.encode(m.Hello(VERSION, "editor", self.name)))
                    await self._listen(socket)
            await asyncio.sleep(RETRY_S)

    async def until_any_ended(self) -> None:
        await self._until(lambda: bool(self.ended))

    async def until_ended(self, jobs: set[str]) -> None:
        """Raises TimeoutError for jobs that do not end."""
        await self._until(lambda: jobs <= self.ended)

    async def until_idle(self) -> None:
        """No longer ask for anything new, and wait for what is open. Raises TimeoutError."""
        self.asking.clear()
        await self._until(lambda: not self._open)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def _listen(self, socket: ClientConnection) -> None:
        async for data in socket:
            match wire.decode(data):
                case m.Snapshot(jobs=jobs):
                    await self._ask_again(socket, {job.id for job in jobs})
                case m.JobChanged(job=job):
                    if job.person == self.name:
                        self._hear(job)
                case m.Error(about=job) as error:
                    self.refused.append(error)
                    if self._open.pop(job, None) and not self.told[job]:
                        del self.told[job]  # never accepted
                case _:
                    continue
            await self._ask(socket)

    def _hear(self, job: Job) -> None:
        self.told[job.id].append(Told(job, self.connections, self._due.get(job.id, 0)))
        if job.state in ENDED:
            self._open.pop(job.id, None)
        self._changed.set()

    async def _ask_again(self, socket: ClientConnection, open_: set[str]) -> None:
        """What the broker does not say is open has ended, or was never heard; of the rest, now and then one."""
        for id, asked in list(self._open.items()):
            self._due[id] = int(id in open_)
            if id not in open_ or self._random.random() < 0.3:
                self._due[id] += 1
                await socket.send(wire.encode(asked))

    async def _ask(self, socket: ClientConnection) -> None:
        while self.asking.is_set() and len(self._open) < self._most:
            id = new_id()
            if self._nodes and self._random.random() < 0.5:
                asked = m.Generate(self._random.choice(self._nodes), id)
            else:
                seed = self._random.randrange(2**31)
                asked = m.Generate("", id, request=ResolvedRequest("txt2img", (Phrase("sea"),), "", 64, 64, 2, 4.0, 0.6, seed))
            self._open[id] = asked
            self._due[id] = 1
            await socket.send(wire.encode(asked))


def wrong(words: list[Told]) -> str:
    """What is wrong with what was told of one job; empty if nothing is."""
    ends = [told for told in words if told.job.state in ENDED]
    if not ends:
        return f"it never ended: {[told.job.state for told in words]}"
    if len({(told.job.state, told.job.picture, told.job.attempt, told.job.ended) for told in ends}) > 1:
        return f"it ended in several ways: {[told.job for told in ends]}"
    first = words.index(ends[0])
    if any(told.job.state not in ENDED for told in words[first:]):
        return f"it went on after its end: {[(told.connection, told.job.state) for told in words]}"
    for connection in {told.connection for told in ends}:
        due = [told.due for told in ends if told.connection == connection]
        if len(due) > max(1, due[-1]):
            return f"its end was told {len(due)} times where {due[-1]} were due"
    attempts = [told.job.attempt for told in words]
    if attempts != sorted(attempts):
        return f"its attempts went back: {attempts}"
    if ends[0].job.state == "done" and not ends[0].job.picture:
        return "it is done without a picture"
    return ""
