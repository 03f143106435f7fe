"""An arm of the `edge` benchmark: keeps a broker busy with so many jobs at once; answers with pictures a second. BROKER."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import bench_turns
from websockets.asyncio.client import ClientConnection, connect

from protocol import MAX_BINARY_BYTES, VERSION, address, wire
from protocol import messages as m
from protocol.model import Phrase, ResolvedRequest, new_id


async def rate(socket: ClientConnection, q: dict[str, Any]) -> float:
    open: set[str] = set()
    done = number = 0
    begin = time.perf_counter()

    async def ask() -> None:
        nonlocal number
        job = new_id()
        open.add(job)
        number += 1
        request = ResolvedRequest(
            "txt2img",
            (Phrase("ocean waves"),),
            "",
            q["side"],
            q["side"],
            q["steps"],
            0.0,
            0.6,
            number + int(begin * 1000) % 10**9,
        )
        await socket.send(wire.encode(m.Generate("", job, request=request)))

    for _ in range(q["window"]):
        await ask()
    while open:
        message = wire.decode(await socket.recv())
        if isinstance(message, m.Error) or (isinstance(message, m.JobChanged) and message.job.state == "failed"):
            raise RuntimeError(f"the broker says: {message}")
        if isinstance(message, m.Picture) and message.job in open:
            open.discard(message.job)
            if time.perf_counter() - begin < q["seconds"]:
                done += 1
                await ask()
    return done / q["seconds"]


async def main(broker: str) -> None:
    async with connect(address.parse(broker).ws, max_size=MAX_BINARY_BYTES, proxy=None) as socket:
        await socket.send(wire.encode(m.Hello(VERSION, "editor", "bench")))
        async for question in bench_turns.questions_async():
            bench_turns.answer(await rate(socket, question))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
