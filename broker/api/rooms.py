"""Maps that people share: what is on them, what was done to them, and how to change them."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from pydantic_core import to_json

from protocol import check
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Job, Link, Map, Node, Operation, ResolvedRequest, Rule

from .. import compose
from ..hub import MAX_TITLE, Hub
from ..rooms import Room
from ..shapes import FirstOnly
from . import large, problems
from .access import Admin, Editor, Id, NewId, TheHub, Viewer, answer

router = APIRouter(prefix="/v1/rooms", tags=["maps"], responses=problems.declared(404))


@dataclass(frozen=True)
class RoomView:
    id: str
    title: str
    created: float
    """Seconds since 1970."""
    revision: int
    nodes: int
    links: int
    people: int
    """Connections that are in it now."""


@dataclass(frozen=True)
class NewRoom:
    id: NewId
    title: Annotated[str, Field(max_length=MAX_TITLE)] = ""


@dataclass(frozen=True)
class Title:
    title: Annotated[str, Field(max_length=MAX_TITLE)]


@dataclass(frozen=True)
class Operations:
    revision: int
    """The map's, now."""
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class Deleted:
    node: Node
    deleted: float
    """Seconds since 1970."""
    revision: int
    """Of the operation that deleted it."""


@dataclass(frozen=True)
class Instead:
    """Settings that go before a node's own; None: its own."""

    steps: Annotated[int, Field(ge=check.STEPS[0], le=check.STEPS[1])] | None = None
    guidance: Annotated[float, Field(ge=check.GUIDANCE[0], le=check.GUIDANCE[1])] | None = None
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=check.SEED[0], le=check.SEED[1])] | None = None
    blend: Annotated[float, Field(ge=0, le=1)] | None = None
    variation: Annotated[float, Field(ge=0, le=1)] | None = None
    variation_seed: Annotated[int, Field(ge=check.SEED[0], le=check.SEED[1])] | None = None
    control_strength: Annotated[float, Field(ge=check.CONTROL_STRENGTH[0], le=check.CONTROL_STRENGTH[1])] | None = None


@dataclass(frozen=True)
class Session:
    patch: tuple[Rule, ...]
    eeg: str
    pictures: tuple[Job, ...]
    """Each node's newest that is done."""


@router.get("", response_model=list[RoomView])
async def list_rooms(who: Viewer, hub: TheHub) -> Response:
    people = Counter(client.room for client in hub.clients)
    return answer(list[RoomView], [_view(room, people) for room in hub.rooms.values()])


@router.post("", status_code=201, response_model=RoomView, responses=problems.declared(409))
async def create_room(new: NewRoom, who: Editor, hub: TheHub) -> Response:
    room = hub.create_room(who, new.id, new.title)
    await hub.settled()
    return answer(RoomView, _one(hub, room), 201)


@router.get("/{room}", response_model=RoomView)
async def get_room(room: Id, who: Viewer, hub: TheHub) -> Response:
    return answer(RoomView, _one(hub, hub.room(room)))


@router.patch("/{room}", response_model=RoomView)
async def rename_room(room: Id, title: Title, who: Editor, hub: TheHub) -> Response:
    renamed = hub.rename_room(who, room, title.title)
    await hub.settled()
    return answer(RoomView, _one(hub, renamed))


@router.delete("/{room}", status_code=204, responses=problems.declared(409))
async def delete_room(room: Id, who: Admin, hub: TheHub) -> None:
    """With its pictures' history, for good. The map `main` stays."""
    hub.drop_room(who, room)
    await hub.settled()


@router.get("/{room}/map", response_model=Map)
async def get_map(room: Id, who: Viewer, hub: TheHub) -> Response:
    map = hub.room(room).map
    nodes, links = await large.object(Node, map.nodes), await large.object(Link, map.links)
    return large.answer(b'{"nodes":%b,"links":%b,"revision":%d}' % (nodes, links, map.revision))


@router.get("/{room}/operations", response_model=Operations, responses=problems.declared(410))
async def get_operations(
    room: Id,
    who: Viewer,
    hub: TheHub,
    since: Annotated[int, Query(ge=0, le=2**53, description="a revision; what was done after it is answered")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> Response:
    """Oldest first. Those that are too long ago are forgotten: get the map, then."""
    found = hub.room(room)
    first = found.log[0].operation.revision if found.log else found.map.revision + 1
    if since + 1 < first:
        raise AlphaloomError(
            "operations_forgotten",
            f"What was done right after revision {since} is forgotten; the log begins with {first}. Get the map instead.",
            first=first,
        )
    start = bisect.bisect_right(found.log, since, key=lambda logged: logged.operation.revision)
    newer = [found.log[n].operation for n in range(start, min(start + limit, len(found.log)))]
    revision = found.map.revision
    # An operation may have a thousand changes.
    return large.answer(b'{"revision":%d,"operations":%b}' % (revision, await large.array(Operation, newer, 1)))


@router.post("/{room}/edits", response_model=Operation, responses=problems.declared(409))
async def edit(room: Id, edit: Annotated[m.Edit, FirstOnly()], who: Editor, hub: TheHub) -> Response:
    """All of the changes are made or, where one cannot be, none. Sent again with the same id, it is done once."""
    return await _done(hub, hub.edit(who, room, edit).operation)


@router.post("/{room}/undo", response_model=Operation, responses=problems.declared(409))
async def undo(room: Id, undo: m.Undo, who: Editor, hub: TheHub) -> Response:
    """Take back one's own last operation, where nobody else has gone over it."""
    return await _done(hub, hub.undo(who, room, undo.id).operation)


@router.post("/{room}/redo", response_model=Operation, responses=problems.declared(409))
async def redo(room: Id, redo: m.Redo, who: Editor, hub: TheHub) -> Response:
    return await _done(hub, hub.redo(who, room, redo.id).operation)


@router.get("/{room}/deleted", response_model=list[Deleted])
async def get_deleted(room: Id, who: Viewer, hub: TheHub) -> Response:
    """Nodes that can be brought back by a change `restore`, newest first."""
    buried = hub.room(room).deleted.values()
    found = [Deleted(one.item, one.time, one.revision) for one in buried if isinstance(one.item, Node)]
    found.sort(key=lambda one: one.revision, reverse=True)
    return large.answer(await large.array(Deleted, found))


@router.post("/{room}/nodes/{node}/purge", status_code=204, responses=problems.declared(409))
async def purge(room: Id, node: Id, who: Editor, hub: TheHub) -> None:
    """Forget a deleted node with its history, for good."""
    hub.purge(who, room, node)
    await hub.settled()


@router.get("/{room}/nodes/{node}/history", response_model=list[Job])
async def get_history(
    room: Id,
    node: Id,
    who: Viewer,
    hub: TheHub,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    live: Annotated[bool, Query(description="also those that were made because the node is live")] = False,
    before: Annotated[str | None, Query(max_length=64, description="older than this job")] = None,
) -> Response:
    """The jobs that made a node's pictures, newest first; a deleted node has its own, too, until it is purged."""
    found = hub.room(room)
    if node not in found.map.nodes and ("node", node) not in found.deleted:
        raise AlphaloomError("unknown_node", f"No node {node!r} is on the map, or was.", node=node)
    await hub.settled()
    jobs = await hub.store.run(hub.store.history, room, node, limit, live, before)
    return answer(list[Job], jobs)


@router.get("/{room}/nodes/{node}/request", response_model=ResolvedRequest)
async def get_request(
    room: Id,
    node: Id,
    who: Viewer,
    hub: TheHub,
    instead: Annotated[Instead, Depends()],
    eeg: Annotated[bool, Query(description="moved by the EEG, as it is now")] = False,
) -> Response:
    """What would be run for a node now. Nothing is run; asked as a job's `request`, the picture is nobody's but one's own."""
    map = hub.room(room).map
    settings = None
    if node in map.nodes:
        given = {field.name: value for field in fields(instead) if (value := getattr(instead, field.name)) is not None}
        settings = replace(map.nodes[node].settings, **given)
    found, _ = compose.resolve(map, node, hub.player.playing(time.time()) if eeg else None, settings)
    return answer(ResolvedRequest, found)


@router.get("/{room}/session", response_model=Session)
async def get_session(room: Id, who: Viewer, hub: TheHub) -> Response:
    """Each node's picture with the request that made it and the EEG behind it."""
    nodes = hub.room(room).map.nodes
    await hub.settled()
    made = await hub.store.run(hub.store.pictures, room)
    pictures = await large.array(Job, [job for job in made if job.node in nodes])
    patch, eeg = to_json(hub.player.rules), to_json(hub.stage.eeg)
    return large.answer(b'{"patch":%b,"eeg":%b,"pictures":%b}' % (patch, eeg, pictures))


async def _done(hub: Hub, operation: Operation) -> Response:
    await hub.settled()
    return answer(Operation, operation)


def _one(hub: Hub, room: Room) -> RoomView:
    return _view(room, Counter(client.room for client in hub.clients))


def _view(room: Room, people: Counter[str]) -> RoomView:
    nodes, links = len(room.map.nodes), len(room.map.links)
    return RoomView(room.id, room.title, room.created, room.map.revision, nodes, links, people[room.id])
