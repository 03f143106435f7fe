"""Clients and edges for the tests: they speak the real protocol over a real socket."""

import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from protocol import VERSION, wire
from protocol import messages as m


class Peer:
    def __init__(self, socket: ClientConnection):
        self.socket = socket

    async def say(self, *messages: Any) -> None:
        for message in messages:
            await self.socket.send(message if isinstance(message, str | bytes) else wire.encode(message))

    async def hear(self, kind: type) -> Any:
        """The next message of a kind; an error instead of it fails the test."""
        while True:
            message = wire.decode(await self.socket.recv())
            if isinstance(message, kind):
                return message
            assert not isinstance(message, m.Error), message


@asynccontextmanager
async def joined(broker: str, role: str = "client", version: int = VERSION, **more: Any) -> AsyncIterator[Peer]:
    async with connect(broker + "/ws", proxy=None, max_size=None) as socket:
        peer = Peer(socket)
        await peer.say(m.Hello(version, role, "test", **more))
        yield peer


def get(broker: str, path: str) -> Any:
    return json.load(urllib.request.urlopen(broker.replace("ws", "http") + path))


def put(broker: str, path: str, data: str, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(broker.replace("ws", "http") + path, data.encode(), headers, method="PUT")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
