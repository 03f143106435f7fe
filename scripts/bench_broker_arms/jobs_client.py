"""An arm of the `broker` benchmark: somebody who asks our broker for pictures. BROKER MODEL."""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
import time

import bench_turns
from websockets.asyncio.client import ClientConnection, connect

from protocol import MAX_BINARY_BYTES, VERSION, address, wire
from protocol import messages as m
from protocol.model import ENDED, Phrase, ResolvedRequest, new_id

SIDE = 64
_JOB = re.compile(rb'"job":\s*\{"id":\s*"([^"]*)".{0,80}?"state":\s*"([a-z]+)"')
"""Of a JobChanged: enough to follow a job, where decoding it all would be measured, too."""


class Asker:
    def __init__(self, socket: ClientConnection, model: str):
        self._socket, self._model = socket, model
        self._seeds = itertools.count()

    async def _ask(self) -> str:
        job = new_id()
        request = ResolvedRequest("txt2img", (Phrase("a job"),), "", SIDE, SIDE, 1, 4.0, 0.6, next(self._seeds), self._model)
        await self._socket.send(wire.encode(m.Generate("", job, request=request)))
        return job

    async def _next_end(self) -> str:
        """The id of the next job that is done. Raises RuntimeError for one that is not, and for whatever was refused."""
        while True:
            data = await self._socket.recv(decode=False)
            if data.startswith(b'{"type":"JobChanged"') and (found := _JOB.search(data)):
                job, state = found[1].decode(), found[2].decode()
                if state == "done":
                    return job
                if state in ENDED:
                    raise RuntimeError(f"job {job} ended as {state}: {data!r}")
            elif data.startswith(b'{"type":"Error"'):
                raise RuntimeError(f"the broker says: {data!r}")

    async def trips(self, count: int) -> list[float]:
        """Seconds from asking to done, one job after the other."""
        seconds = []
        for _ in range(count):
            begin = time.perf_counter()
            job = await self._ask()
            while await self._next_end() != job:
                pass
            seconds.append(time.perf_counter() - begin)
        return seconds

    async def window(self, seconds: float, outstanding: int) -> float:
        """Jobs done in a second while so many are always open."""
        opened = {await self._ask() for _ in range(outstanding)}
        begin, done = time.perf_counter(), 0
        while (now := time.perf_counter()) < begin + seconds:
            opened.discard(await self._next_end())
            done += 1
            opened.add(await self._ask())
        while opened:
            opened.discard(await self._next_end())
        return done / (now - begin)


async def main(broker: str, model: str) -> None:
    async with connect(address.parse(broker).ws, max_size=MAX_BINARY_BYTES, proxy=None, compression=None) as socket:
        await socket.send(wire.encode(m.Hello(VERSION, "editor", model)))
        asker = Asker(socket, model)
        async for question in bench_turns.questions_async():
            if "trips" in question:
                bench_turns.answer(await asker.trips(question["trips"]))
            else:
                bench_turns.answer(await asker.window(question["seconds"], question["window"]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
