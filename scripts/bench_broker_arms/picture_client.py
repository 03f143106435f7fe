"""An arm of the `broker` benchmark: asks a broker with a real edge for one picture after the other. BROKER."""

from __future__ import annotations

import asyncio
import sys
import time

import bench_turns
from bench_loop import GUIDANCE, PROMPT, SIDE, STEPS
from websockets.asyncio.client import ClientConnection, connect

from protocol import MAX_BINARY_BYTES, VERSION, address, wire
from protocol import messages as m
from protocol.model import Phrase, ResolvedRequest, new_id


async def picture(socket: ClientConnection, seed: int) -> float:
    """Seconds from asking until the PNG is here."""
    job = new_id()
    begin = time.perf_counter()
    request = ResolvedRequest("txt2img", (Phrase(PROMPT),), "", SIDE, SIDE, STEPS, GUIDANCE, 0.6, seed)
    await socket.send(wire.encode(m.Generate("", job, request=request)))
    while True:
        message = wire.decode(await socket.recv())
        if isinstance(message, m.Picture) and message.job == job:
            assert message.payload.startswith(b"\x89PNG")
            return time.perf_counter() - begin
        if isinstance(message, m.Error) or (isinstance(message, m.JobChanged) and message.job.state == "failed"):
            raise RuntimeError(f"the broker says: {message}")


async def main(broker: str) -> None:
    async with connect(address.parse(broker).ws, max_size=MAX_BINARY_BYTES, proxy=None) as socket:
        await socket.send(wire.encode(m.Hello(VERSION, "editor", "bench")))
        async for question in bench_turns.questions_async():
            bench_turns.answer(await picture(socket, question["seed"]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
