"""An arm of the `live` benchmark: makes a node live for a while and counts the pictures that come. BROKER.

It answers {"until": "moving"} when the EEG has moved a first picture, {"seconds": s} with the pictures of so many seconds,
and how old the EEG was that is in each when the picture came.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import bench_turns
from websockets.asyncio.client import ClientConnection, connect

from protocol import MAX_BINARY_BYTES, VERSION, address, edits, wire
from protocol import messages as m
from protocol.model import Change, Node, Settings, new_id

NODE = Node("bench", "blue and white ocean waves", settings=Settings(variation=0.5, variation_seed=7))


class Client:
    def __init__(self, socket: ClientConnection):
        self._socket = socket
        self._moved: dict[str, float] = {}
        """When the EEG was that each job was made from."""

    async def live(self, on: bool) -> None:
        change = Change("update", "node", NODE.id, {"live": on})
        await self._socket.send(wire.encode(m.Edit(new_id(), (change,))))

    async def picture(self) -> tuple[float, float | None]:
        """When the next one came, and how old its EEG was then."""
        while True:
            message = wire.decode(await self._socket.recv())
            now = time.time()
            if isinstance(message, m.Error) or (isinstance(message, m.JobChanged) and message.job.state == "failed"):
                raise RuntimeError(f"the broker says: {message}")
            if isinstance(message, m.JobChanged) and message.job.modulation:
                self._moved[message.job.id] = message.job.modulation.time
            if isinstance(message, m.Picture):
                moved = self._moved.pop(message.job, None)
                return time.perf_counter(), moved and now - moved

    async def answer(self, q: dict[str, Any]) -> Any:
        await self.live(True)
        if "until" in q:
            while (await self.picture())[1] is None:
                pass
            found: Any = True
        else:
            begin, _ = await self.picture()
            ages, last = list[float](), begin
            while last - begin < q["seconds"]:
                last, age = await self.picture()
                ages += [] if age is None else [age]
            found = {"pictures": len(ages), "seconds": last - begin, "ages": ages}
        await self.live(False)
        return found


async def main(broker: str) -> None:
    async with connect(address.parse(broker).ws, max_size=MAX_BINARY_BYTES, proxy=None) as socket:
        await socket.send(wire.encode(m.Hello(VERSION, "editor", "bench")))
        await socket.send(wire.encode(m.Edit(new_id(), (edits.create(NODE),))))
        client = Client(socket)
        async for question in bench_turns.questions_async():
            bench_turns.answer(await client.answer(question))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
