"""The WebSocket to the broker, stepped from Blender's main thread. No `bpy`, no thread.

Design notes
- Blender calls `tick` from a timer; the asyncio loop runs what is ready and returns at once.
- What arrives waits in `inbox` until the scene has time for it; what is sent while offline waits in `_outbox`.
- A lost connection is come back to by itself. Only a refusal (another version) ends the trying.
"""

from __future__ import annotations

import asyncio
import collections
from typing import Any

import websockets
from websockets.asyncio.client import connect

from .shared import VERSION, address, errors, messages, wire

RETRY_S = (0.5, 1.0, 2.0, 5.0)
MAX_MESSAGE = 64 * 1024 * 1024
MAX_WAITING = 1000
"""Edits kept while there is no connection; beyond it the oldest go."""


class Connection:
    """`state` is 'offline', 'connecting' or 'online'; `problem` says why it is not online."""

    def __init__(self, name: str = "blender"):
        self.name = name
        self.state = "offline"
        self.problem = ""
        self.inbox: collections.deque[Any] = collections.deque()
        self._outbox: collections.deque[Any] = collections.deque(maxlen=MAX_WAITING)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._filled = asyncio.Event()

    def open(self, broker: str) -> None:
        """Begin to connect. Raises AlphaloomError `bad_address`."""
        target = address.parse(broker)
        self.close()
        self._loop = asyncio.new_event_loop()
        self._filled = asyncio.Event()  # one belongs to the loop that first waits for it
        self.state, self.problem = "connecting", ""
        self._task = self._loop.create_task(self._stay(target))

    def close(self) -> None:
        if self._loop is None:
            return
        if self._task is not None:
            self._task.cancel()
            self._loop.run_until_complete(asyncio.gather(self._task, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        self._loop = self._task = None
        self.state = "offline"
        self.inbox.clear()

    def tick(self) -> None:
        """Let the loop do what is ready. Takes well under a millisecond."""
        if self._loop is not None:
            self._loop.call_soon(self._loop.stop)
            self._loop.run_forever()
            if self._task is not None and self._task.done() and self.state != "offline":
                self.state, self.problem = "offline", f"The connection failed: {self._task.exception()!r}"

    def send(self, message: Any) -> None:
        self._outbox.append(message)
        self._filled.set()

    async def _stay(self, target: address.Address) -> None:
        tries = 0
        while True:
            try:
                async with connect(target.ws, max_size=MAX_MESSAGE, proxy=None, open_timeout=5) as socket:
                    await self._greet(socket)
                    tries = 0
                    await self._converse(socket)
            except errors.AlphaloomError as refusal:
                self.state, self.problem = "offline", refusal.message
                return
            except (OSError, websockets.WebSocketException, TimeoutError):
                self.problem = f"No broker answers at {target.ws}. Start one with: python -m broker"
            self.state = "connecting"
            await asyncio.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
            tries += 1

    async def _greet(self, socket: Any) -> None:
        await socket.send(wire.encode(messages.Hello(VERSION, "client", self.name)))
        answer = wire.decode(await asyncio.wait_for(socket.recv(), 5))
        if isinstance(answer, messages.Error):
            raise errors.AlphaloomError(answer.code, answer.message)
        if not isinstance(answer, messages.Hello) or answer.version != VERSION:
            raise errors.AlphaloomError(
                "version_mismatch",
                f"The broker speaks protocol version {getattr(answer, 'version', 'unknown')}, this extension {VERSION}: "
                "update the older of the two.",
            )
        self.state, self.problem = "online", ""

    async def _converse(self, socket: Any) -> None:
        both = {asyncio.ensure_future(self._receive(socket)), asyncio.ensure_future(self._send(socket))}
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _receive(self, socket: Any) -> None:
        async for data in socket:
            try:
                self.inbox.append(wire.decode(data))
            except errors.AlphaloomError as problem:
                self.problem = problem.message

    async def _send(self, socket: Any) -> None:
        while True:
            while self._outbox:
                await socket.send(wire.encode(self._outbox[0]))
                self._outbox.popleft()
            self._filled.clear()
            await self._filled.wait()
