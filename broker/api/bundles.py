"""Maps as files, out and in."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import IO, Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Map, new_id

from .. import bundle
from ..bundle import Bundle, Content
from ..hub import Hub
from ..store import PutJob
from ..who import Who
from . import problems
from .access import Editor, Id, TheHub, TheSettings, Viewer, answer

router = APIRouter(prefix="/v1/rooms", tags=["maps"], responses=problems.declared(404))

_PIECE = 1 << 20
_FILE = {"schema": {"type": "string", "format": "binary"}}
_ZIP = {bundle.MEDIA_TYPE: _FILE}


@dataclass(frozen=True)
class Imported:
    room: str
    revision: int
    nodes: int
    links: int
    pictures: int


@router.get(
    "/{room}/export",
    response_class=Response,
    responses={200: {"content": _ZIP, "description": "A zip with map.json and the pictures"}},
)
async def export(
    room: Id,
    who: Viewer,
    hub: TheHub,
    eeg: Annotated[bool, Query(description="with the EEG behind each picture, which is personal")] = False,
) -> Response:
    """The map and its pictures as one file."""
    found = hub.room(room)
    map = found.map
    await hub.settled()
    made = await hub.store.run(hub.store.pictures, room)
    content = bundle.content(found.title, map, made, eeg)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has been sent
    try:
        await asyncio.to_thread(bundle.pack, file, content, hub.store.blobs.get)
    except BaseException:
        file.close()
        raise
    headers = {"Content-Disposition": f'attachment; filename="{room}.alphaloom.zip"', "Content-Length": str(file.tell())}
    return StreamingResponse(_pieces(file), 200, headers, bundle.MEDIA_TYPE)


@router.post(
    "/{room}/import",
    response_model=Imported,
    responses=problems.declared(409),
    openapi_extra={"requestBody": {"required": True, "content": _ZIP | {"application/octet-stream": _FILE}}},
)
async def import_(room: Id, request: Request, who: Editor, hub: TheHub, settings: TheSettings) -> Response:
    """Bring a file onto a map, which is made where there is none of that name. Ids stay where they are free."""
    with tempfile.TemporaryFile() as file:
        await _receive(request, file)
        sent = await asyncio.to_thread(Bundle, file, settings.max_bundle_bytes, settings.max_binary_bytes)
        known = hub.rooms.get(room)
        taken = {id for _, id in known.deleted} | known.map.nodes.keys() | known.map.links.keys() if known else set()
        content, chunks = await asyncio.to_thread(bundle.fit, sent.content, known.map if known else Map(), taken)
        await _keep_pictures(hub, sent)
    if known is None:
        hub.create_room(who, room, content.title)
    try:
        for chunk in chunks:
            hub.edit(who, room, m.Edit(new_id(), tuple(chunk)))
            await asyncio.sleep(0)
    except AlphaloomError:
        if known is None:
            hub.drop_room(replace(who, role="admin"), room)
        raise
    _keep_made(hub, who, room, content)
    await hub.settled()
    revision = hub.room(room).map.revision
    result = Imported(room, revision, len(content.nodes), len(content.links), len(content.pictures))
    return answer(Imported, result)


async def _receive(request: Request, file: IO[bytes]) -> None:
    waiting = bytearray()
    async for piece in request.stream():
        waiting += piece
        if len(waiting) >= _PIECE:
            await asyncio.to_thread(file.write, bytes(waiting))
            waiting.clear()
    await asyncio.to_thread(file.write, bytes(waiting))


async def _keep_pictures(hub: Hub, sent: Bundle) -> None:
    blobs = hub.store.blobs

    def keep(blob: str) -> None:
        data = sent.picture(blob)
        blobs.check_picture(data)
        blobs.put(data)

    for blob in sorted(sent.content.pictures):
        if blob in sent.pictures:
            await blobs.decode(keep, blob)
        elif not await blobs.run(blobs.has, blob):
            raise AlphaloomError("bad_bundle", f"This file cannot be imported: the picture {blob} is not in it.", blob=blob)


def _keep_made(hub: Hub, who: Who, room: str, content: Content) -> None:
    """How the pictures were made goes into the history, as theirs who brought it."""
    now = time.time()
    for job in content.made:
        created, ended = (min(max(0.0, at), now) if at == at else now for at in (job.created, job.ended))
        hub.journal.write(
            PutJob(replace(job, id=new_id(), room=room, person=who.person, created=created, ended=ended, live=False))
        )


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        file.seek(0)
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece
