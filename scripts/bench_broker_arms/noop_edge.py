"""An edge without a model: it answers each job, at once or after a while, with a small picture that no other job has.

The broker's benchmarks and fault tests run it where a real edge would only add seconds. It comes back when the broker
was away, beats while it works, and drains on SIGTERM, as a real one does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import random
import signal
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from protocol import MAX_BINARY_BYTES, VERSION, address, wire
from protocol import messages as m

RETRY_S, BEAT_S = 0.1, 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("broker")
    parser.add_argument("--name", default="noop")
    parser.add_argument("--model", default="noop")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--deaf", action="store_true", help="does not hear that a job is cancelled")
    parser.add_argument("--same", action="store_true", help="all pictures of a size are the same one")
    parser.add_argument("--delay", type=float, nargs=2, default=(0.0, 0.0), metavar=("LOW", "HIGH"), help="seconds a job takes")
    asyncio.run(Edge(parser.parse_args()).serve())


class Edge:
    def __init__(self, options: argparse.Namespace):
        self._options = options
        self._url = address.parse(options.broker).ws
        self._running: dict[str, asyncio.Task[None]] = {}
        self._attempts: dict[str, int] = {}
        self._draining = asyncio.Event()

    async def serve(self) -> None:
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._draining.set)
        while not self._draining.is_set():
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                async with connect(self._url, max_size=MAX_BINARY_BYTES, proxy=None, compression=None) as socket:
                    await self._work(socket)
            await asyncio.sleep(RETRY_S)

    async def _work(self, socket: ClientConnection) -> None:
        options = self._options
        hello = m.Hello(VERSION, "edge", options.name, model=options.model, max_side=4096, slots=options.slots)
        await socket.send(wire.encode(hello))
        others = [asyncio.create_task(self._beat(socket)), asyncio.create_task(self._drain(socket))]
        try:
            async for data in socket:
                name, fields = wire.split(data)
                if name == "Hello":
                    print("at work", flush=True)
                elif name == "Run" and options.delay[1]:
                    self._attempts[fields["job"]] = fields["attempt"]
                    self._running[fields["job"]] = asyncio.create_task(self._run(socket, fields))
                elif name == "Run":
                    await socket.send(self._result(fields))
                elif name == "Cancel" and not options.deaf and (task := self._running.pop(fields["job"], None)):
                    task.cancel()
                    failed = m.JobFailed(fields["job"], self._attempts[fields["job"]], "cancelled", "It was cancelled.")
                    await socket.send(wire.encode(failed))
                elif name == "Error":
                    print(f"the broker says: {fields['code']}: {fields['message']}", flush=True)
        finally:
            for task in [*others, *self._running.values()]:
                task.cancel()
            self._running.clear()

    async def _run(self, socket: ClientConnection, run: dict[str, Any]) -> None:
        await asyncio.sleep(random.uniform(*self._options.delay))
        await socket.send(self._result(run))
        del self._running[run["job"]]

    async def _beat(self, socket: ClientConnection) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            if self._running:
                await socket.send(wire.encode(m.Heartbeat(tuple(self._running))))

    async def _drain(self, socket: ClientConnection) -> None:
        await self._draining.wait()
        await socket.send(wire.encode(m.Drain()))
        while self._running:
            await asyncio.wait(self._running.values())
        await socket.close()

    def _result(self, run: dict[str, Any]) -> str | bytes:
        asked = run["request"]
        request = asked | {"model": self._options.model, "steps": asked["steps"] or 1}
        own = "" if self._options.same else f"{run['job']} {run['attempt']} {self._options.name}"
        picture = png(asked["width"], asked["height"], own)
        # The fields are those that came: built anew they would be the same, only later.
        return wire.encode(m.Result(run["job"], run["attempt"], request, picture))


def png(width: int, height: int, text: str) -> bytes:
    """A black picture; the text makes its bytes, and so its hash, its own."""
    head, body, end = _black(width, height)
    return head + _chunk(b"tEXt", b"Comment\0" + text.encode()) + body + end


@functools.cache
def _black(width: int, height: int) -> tuple[bytes, bytes, bytes]:
    head = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return head, _chunk(b"IDAT", zlib.compress(bytes((1 + 3 * width) * height))), _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
