"""A hub at work on a real store, without sockets; the test is its people and its edges."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from picture_files import png

from broker.asking import Limits
from broker.dispatch import Edge
from broker.hub import Hub
from broker.people import Client
from broker.store import Store
from broker.who import Who
from protocol import VERSION, edits, wire
from protocol import messages as m
from protocol.model import Job, Link, Node, Phrase, ResolvedRequest, Settings, new_id

ANN, BOB, ADMIN = Who("ann", "editor"), Who("bob", "editor"), Who("root", "admin")
SMALL = Settings(64, 64)
REQUEST = ResolvedRequest("txt2img", (Phrase("x"),), "", 64, 64, 4, 4.0, 1.0, 0)


class Desk:
    """A hub at work, and what its people hear."""

    def __init__(self, hub: Hub):
        self.hub, self.work = hub, hub.work
        self.ends: dict[str, list[str]] = {}
        told = hub.work.ledger.told

        def note(job: Job) -> None:
            self.ends.setdefault(job.id, []).append(job.state)
            told(job)

        hub.work.ledger.told = note

    def node(self, id: str, *links: Link, **fields: Any) -> None:
        node = Node(id, **{"prompt": id, "settings": SMALL} | fields)
        self.hub.edit(ANN, "main", m.Edit(new_id(), (edits.create(node), *map(edits.create, links))))

    async def ask(self, job: str, node: str = "", who: Who = ANN, seed: int = 0, **more: Any) -> Job:
        request = None if node else replace(REQUEST, seed=seed)
        return await self.hub.generate(who, "main", m.Generate(node, job, request=request), **more)

    def edge(self, name: str = "edge", **more: Any) -> Edge:
        edge = Edge(m.Hello(VERSION, "edge", name, **{"model": "m", "max_side": 512} | more))
        self.work.join_edge(edge)
        return edge

    def client(self, who: Who = ANN, room: str = "main") -> Client:
        """A person who is here."""
        client = Client(who, room)
        self.hub.clients.add(client)
        return client

    async def told(self, client: Client) -> list[Any]:
        """What a person has been told until now."""
        client.put(m.Status(99, "until now"))
        told: list[Any] = []
        while not isinstance(message := wire.decode(await client.outbox.get()), m.Status) or message.edges != 99:
            told.append(message)
        return told

    async def heard(self, edge: Edge, kind: type = m.Run) -> Any:
        async with asyncio.timeout(10):
            while not isinstance(message := wire.decode(await edge.outbox.get()), kind):
                pass
        return message

    async def answer(self, edge: Edge, run: m.Run | None = None, data: bytes = b"") -> m.Run:
        run = run or await self.heard(edge)
        request = run.request
        await self.work.handle_edge(edge, m.Result(run.job, run.attempt, request, data or png(request.width, request.height)))
        return run

    async def end(self, job: str) -> Job:
        async with asyncio.timeout(10):
            return await self.hub.ended(job)


async def open_desk(store: Store, **limits: Any) -> AsyncIterator[Desk]:
    hub = Hub(store, Limits(**limits))
    await hub.load()
    running = asyncio.create_task(hub.run())
    yield Desk(hub)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await hub.close()
