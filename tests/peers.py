"""Clients and edges for the tests: they speak the real protocol over a real socket."""

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from picture_files import png
from websockets.asyncio.client import ClientConnection, connect

from protocol import VERSION, address, edits, wire
from protocol import messages as m
from protocol.model import Change, Link, Node, Operation, new_id

PATIENCE_S = 60.0
"""What has not been said by then will not be: the test fails instead of waiting for ever."""


class Peer:
    def __init__(self, socket: ClientConnection):
        self.socket = socket

    async def say(self, *messages: Any) -> None:
        for message in messages:
            await self.socket.send(message if isinstance(message, str | bytes) else wire.encode(message))

    async def hear(self, kind: type, where: Callable[[Any], bool] = lambda message: True) -> Any:
        """The next message of a kind for which `where` holds, passing over others; an error instead of it fails the test."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = wire.decode(await self.socket.recv())
                if isinstance(message, kind) and where(message):
                    return message
                assert not isinstance(message, m.Error), message

    async def edit(self, *changes: Change | Node | Link) -> Operation:
        """Change the map, a node or link meaning that it is created; what came of it, as everybody hears it."""
        asked = edit(*changes)
        await self.say(asked)
        return (await self.hear(m.Edited, lambda told: told.operation.id == asked.id)).operation

    async def job(self, id: str, state: str) -> Any:
        """The job, when it is in this state."""
        return (await self.hear(m.JobChanged, lambda told: (told.job.id, told.job.state) == (id, state))).job


def edit(*changes: Change | Node | Link) -> m.Edit:
    """An Edit with an id of its own, a node or link meaning that it is created."""
    return m.Edit(new_id(), tuple(c if isinstance(c, Change) else edits.create(c) for c in changes))


def update(node: str, **fields: Any) -> Change:
    """Set a node's fields; those of the settings as `settings_steps`."""
    return Change("update", "node", node, {name.replace("settings_", "settings."): value for name, value in fields.items()})


def delete(id: str, kind: Any = "node") -> Change:
    return Change("delete", kind, id)


@asynccontextmanager
async def joined(
    broker: str,
    role: str = "editor",
    version: int = VERSION,
    name: str = "test",
    tls: ssl.SSLContext | None = None,
    frames_hz: float = 0.0,
    **more: Any,
) -> AsyncIterator[Peer]:
    """A peer that has said hello, and asked for EEG if `frames_hz`; `more` are Hello's other fields: room, token, model …"""
    secure: dict[str, Any] = {"ssl": tls} if tls else {}
    async with connect(address.parse(broker).ws, proxy=None, max_size=None, **secure) as socket:
        peer = Peer(socket)
        await peer.say(m.Hello(version, role, name, **more), *([m.Subscribe(frames_hz)] if frames_hz else []))
        yield peer


@asynccontextmanager
async def working_edge(broker: str, **hello: Any) -> AsyncIterator[None]:
    """An edge that makes what it is asked for at once, all of one grey. Told to leave, it comes again."""
    ready = asyncio.Event()
    hello = {"name": "honest", "model": "honest", "max_side": 2048, "slots": 4, "models": {"honest": "f"}} | hello

    async def work() -> None:
        while True:
            async with joined(broker, "edge", **hello) as peer:
                await peer.hear(m.Hello)
                ready.set()
                async for data in peer.socket:
                    said = wire.decode(data)
                    if isinstance(said, m.Drain):
                        break
                    if isinstance(said, m.Run):
                        asked = said.request
                        await peer.say(m.Result(said.job, said.attempt, asked, png(asked.width, asked.height)))

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        await ready.wait()
        yield
        working.cancel()


def get(broker: str, path: str, **headers: str) -> Any:
    """JSON from the broker."""
    return json.load(_open(broker, path, None, "GET", headers))


def put(broker: str, path: str, data: str, **headers: str) -> tuple[int, Any]:
    return send(broker, path, data.encode(), "PUT", **headers)


def send(
    broker: str, path: str, data: bytes = b"", method: str = "POST", tls: ssl.SSLContext | None = None, **headers: str
) -> tuple[int, Any]:
    """The status and the JSON of the broker's answer, whatever they are."""
    try:
        with _open(broker, path, data, method, headers, tls) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _open(
    broker: str, path: str, data: bytes | None, method: str, headers: dict[str, str], tls: ssl.SSLContext | None = None
) -> Any:
    request = urllib.request.Request(address.parse(broker).http + path, data, headers, method=method)
    return urllib.request.urlopen(request, context=tls)
