"""The broker's end of an edge's connection, in the hands of a test: a real socket, and no broker behind it."""

import asyncio
import hashlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from peers import Peer
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from protocol import VERSION, wire
from protocol import messages as m


class FakeEdgeBroker:
    """Edges that have said hello wait in `edges`, each as (its Hello, a Peer to talk to it)."""

    def __init__(self, answer: Any) -> None:
        self.address = ""
        self.edges: asyncio.Queue[tuple[m.Hello, Peer]] = asyncio.Queue()
        self.blobs: dict[str, bytes] = {}
        self.fetched: Counter[str] = Counter()
        self.authorization: list[str | None] = []
        self.hold: asyncio.Event | None = None
        """Blobs are given when it is set."""
        self.asked: asyncio.Event = asyncio.Event()
        """A blob was asked for."""
        self.answer = answer
        """To a hello."""

    def put(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        self.blobs[name] = data
        return name

    async def edge(self) -> Peer:
        return (await self.edges.get())[1]

    async def on_connection(self, socket: ServerConnection) -> None:
        peer = Peer(socket)
        hello = wire.decode(await socket.recv())
        await peer.say(self.answer)
        await self.edges.put((hello, peer))
        await socket.wait_closed()

    async def on_request(self, socket: ServerConnection, request: Request) -> Response | None:
        if request.path == "/v1/models":
            return Response(200, "", Headers({"Content-Length": "2"}), b"[]")
        if not request.path.startswith("/v1/blobs/"):
            return None
        name = request.path.rsplit("/", 1)[1]
        self.fetched[name] += 1
        self.authorization.append(request.headers.get("Authorization"))
        self.asked.set()
        if self.hold:
            await self.hold.wait()
        body = self.blobs.get(name)
        status = 404 if body is None else 200
        return Response(status, "", Headers({"Content-Length": str(len(body or b""))}), body or b"")


@asynccontextmanager
async def fake_broker(answer: Any = None, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[FakeEdgeBroker]:
    broker = FakeEdgeBroker(answer or m.Hello(VERSION, "edge"))
    more = {"ssl": tls} if tls else {}
    async with serve(
        broker.on_connection, "127.0.0.1", port, process_request=broker.on_request, max_size=None, **more
    ) as server:
        scheme = "wss" if tls else "ws"
        broker.address = f"{scheme}://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield broker
