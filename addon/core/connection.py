"""The WebSocket to the broker, stepped from Blender's main thread. No `bpy`, no thread.

Design notes
- Blender calls `tick` from a timer; the asyncio loop runs what is ready and returns at once.
- What arrives waits in `inbox` until the scene has time for it; what is asked stays in the outbox until it is answered.
- A lost connection is come back to by itself, with the last revision seen, so that only what was missed is told. Only a
  refusal (another version, a wrong token) ends the trying.
"""

from __future__ import annotations

import asyncio
import collections
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import websockets
from websockets.asyncio.client import connect

from . import web
from .outbox import Outbox, name_of
from .shared import VERSION, address, errors, model, wire
from .shared import messages as m

RETRY_S = (0.5, 10.0)
"""The first and the longest pause before trying again."""
AGAIN_S = 1.0
"""The pause after the broker has said that it cannot do something just now."""
MAX_MESSAGE = 64 * 1024 * 1024
_OPTIONS: dict[str, Any] = {
    "max_size": MAX_MESSAGE,
    "proxy": None,
    "open_timeout": 5,
    "close_timeout": 0.5,  # Blender waits for it; behind many pictures the broker's goodbye may be far
    "compression": None,  # pictures are compressed already
}
FRAMES_HZ = 10.0
MAX_REQUESTS = 4
"""Over HTTP at once; others wait."""


@dataclass(frozen=True)
class Answer:
    """To what was asked over HTTP; `then` is to be called with it."""

    then: Callable[[bytes | errors.AlphaloomError], None]
    said: bytes | errors.AlphaloomError


class Connection:
    """`state` is 'offline', 'connecting' or 'online'; `problem` says why it is not online."""

    def __init__(self, name: str = "blender"):
        self.name = name
        self.room = model.MAIN_ROOM
        self.token = ""
        self.client = ""
        """This connection's id, as in Presence."""
        self.state = "offline"
        self.problem = ""
        self.inbox: collections.deque[Any] = collections.deque()
        self.outbox = Outbox()
        self._goal: tuple[address.Address, str] | None = None
        self._seen = (0, "")
        """The revision and the operation that were heard last."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._filled = asyncio.Event()
        self._requests: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(MAX_REQUESTS)

    def open(self, broker: str) -> None:
        """Begin to connect. Raises AlphaloomError `bad_address`."""
        goal = (address.parse(broker), self.room)
        self.close()
        if goal != self._goal:
            self.outbox = Outbox()  # what was meant for another map is not for this one
        self._goal = goal
        self._loop = asyncio.new_event_loop()
        self._free = asyncio.Semaphore(MAX_REQUESTS)
        self.state, self.problem = "connecting", ""
        self._task = self._loop.create_task(self._stay(*goal))

    def close(self) -> None:
        if self._loop is None:
            return
        tasks = [*self._requests, *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        self._loop = self._task = None
        self.state = "offline"
        self.inbox.clear()
        self._seen = (0, "")

    def tick(self) -> None:
        """Let the loop do what is ready. Takes well under a millisecond."""
        if self._loop is not None:
            self._loop.call_soon(self._loop.stop)
            self._loop.run_forever()
            if self._task is not None and self._task.done() and self.state != "offline":
                self.state, self.problem = "offline", f"The connection failed: {self._task.exception()!r}"

    def send(self, message: Any) -> None:
        """Ask for something; what cannot be sent is answered with an Error in `inbox`, as by the broker."""
        try:
            self.outbox.put(message)
        except errors.AlphaloomError as problem:
            self.inbox.append(m.Error(problem.code, problem.message, about=name_of(message)))
        self._filled.set()

    def ask(self, method: str, path: str, then: Callable[[bytes | errors.AlphaloomError], None], body: bytes = b"") -> None:
        """Ask the broker over HTTP; an Answer comes to `inbox`, unless the connection is closed before."""
        if self._loop is None or self._goal is None:
            refusal = errors.AlphaloomError("offline", "Connect to a broker first.")
            self.inbox.append(Answer(then, refusal))
            return
        task = self._loop.create_task(self._ask(self._goal[0], method, path, then, body))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _ask(
        self,
        goal: address.Address,
        method: str,
        path: str,
        then: Callable[[bytes | errors.AlphaloomError], None],
        body: bytes,
    ) -> None:
        async with self._free:
            try:
                said: bytes | errors.AlphaloomError = await web.ask(goal, self.token, method, path, body)
            except errors.AlphaloomError as problem:
                said = problem
            except Exception as problem:  # whoever asked waits for an answer
                said = errors.AlphaloomError("failed", f"{method} {path} cannot be asked: {problem!r}.")
        self.inbox.append(Answer(then, said))

    async def _stay(self, goal: address.Address, room: str) -> None:
        tries = 0
        while True:
            try:
                async with connect(goal.ws, **_OPTIONS) as socket:
                    await self._greet(socket, room)
                    tries = 0
                    await self._converse(socket)
            except errors.AlphaloomError as refusal:
                self.problem = refusal.message
                if refusal.code not in errors.PASSING:
                    self.state = "offline"
                    return
            except (OSError, websockets.WebSocketException, TimeoutError):
                self.problem = f"No broker answers at {goal.ws}. Start one with: python -m broker"
            self.state = "connecting"
            first, longest = RETRY_S
            await asyncio.sleep(min(longest, first * 2 ** min(tries, 10)) * random.uniform(0.5, 1.0))
            tries += 1

    async def _greet(self, socket: Any, room: str) -> None:
        revision, operation = self._seen
        hello = m.Hello(VERSION, "editor", self.name, self.token, room, revision, operation)
        await socket.send(wire.encode(hello))
        answer = wire.decode(await asyncio.wait_for(socket.recv(), 5))
        if isinstance(answer, m.Error):
            raise errors.AlphaloomError(answer.code, answer.message)
        if not isinstance(answer, m.Hello) or answer.version != VERSION:
            raise errors.AlphaloomError(
                "version_mismatch",
                f"The broker speaks protocol version {getattr(answer, 'version', 'unknown')}, this extension {VERSION}: "
                "update the older of the two.",
            )
        self.client = answer.client
        self.state, self.problem = "online", ""

    async def _converse(self, socket: Any) -> None:
        self._filled = asyncio.Event()
        arrived, again = asyncio.Event(), asyncio.Event()
        both = {
            asyncio.ensure_future(self._receive(socket, arrived, again)),
            asyncio.ensure_future(self._send(socket, arrived, again)),
        }
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            self.outbox.disconnected()

    async def _receive(self, socket: Any, arrived: asyncio.Event, again: asyncio.Event) -> None:
        async for data in socket:
            try:
                message = wire.decode(data)
            except errors.AlphaloomError as problem:
                self.problem = problem.message
                continue
            if self.outbox.heard(message):
                self.problem = message.message
                again.set()
                self._filled.set()
                continue
            self._see(message)
            self.inbox.append(message)
            if isinstance(message, m.Snapshot):
                arrived.set()

    async def _send(self, socket: Any, arrived: asyncio.Event, again: asyncio.Event) -> None:
        await arrived.wait()  # it says what of our asks was done before the connection was lost
        await socket.send(wire.encode(m.Subscribe(FRAMES_HZ)))
        while True:
            if again.is_set():
                await asyncio.sleep(AGAIN_S)
                again.clear()
                self.problem = ""
            text = self.outbox.take()
            if text is None:
                self._filled.clear()
                await self._filled.wait()
            else:
                await socket.send(text)

    def _see(self, message: Any) -> None:
        if isinstance(message, m.Snapshot):
            revision = message.map.revision if message.map else message.missed[-1].revision if message.missed else self._seen[0]
            self._seen = (revision, message.operation)
        elif isinstance(message, m.Edited) and message.operation.revision > self._seen[0]:
            self._seen = (message.operation.revision, message.operation.id)
