"""Pictures by their SHA-256: what has a name stays as it is for ever."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from ..auth import Auth
from . import problems
from .access import Editor, Reader, TheHub, answer

router = APIRouter(prefix="/v1/blobs", tags=["pictures"], responses=problems.declared())

Hash = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256")]
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_PICTURES = dict.fromkeys(("image/png", "image/jpeg", "image/webp"), _BYTES)
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": _PICTURES, "description": "The picture"},
    304: {"description": "You have it already"},
}


class Side(IntEnum):
    """As store.pictures.SIDES."""

    S64 = 64
    S128 = 128
    S256 = 256
    S512 = 512


@dataclass(frozen=True)
class Uploaded:
    blob: str
    """Its SHA-256."""
    media_type: str
    width: int
    height: int


@router.post(
    "",
    status_code=201,
    response_model=Uploaded,
    openapi_extra={"requestBody": {"required": True, "content": _PICTURES | {"application/octet-stream": _BYTES}}},
)
async def upload(request: Request, who: Editor, hub: TheHub) -> Response:
    """A PNG, JPEG or WebP, whatever the content type says. Sent again, it is the same."""
    data = await request.body()
    blobs = hub.store.blobs
    picture = await blobs.decode(blobs.check_picture, data)
    name = await blobs.run(blobs.put, data)
    hub.metrics.blob("in", len(data))
    return answer(Uploaded, Uploaded(name, picture.media_type, picture.width, picture.height), 201)


@router.get("/{name}", response_class=Response, responses=problems.declared(404) | _ANSWERS)
async def get_blob(name: Hash, request: Request, who: Reader, hub: TheHub) -> Response:
    blobs = hub.store.blobs
    if _is_known(request, name) and await blobs.run(blobs.has, name):
        return Response(None, 304, _headers(request, name))
    data = await blobs.run(blobs.get, name)
    hub.metrics.blob("out", len(data))
    return Response(data, 200, _headers(request, name), blobs.media_type(data))


@router.get("/{name}/thumbnail", response_class=Response, responses=problems.declared(404) | _ANSWERS)
async def get_thumbnail(
    name: Hash,
    request: Request,
    who: Reader,
    hub: TheHub,
    side: Annotated[Side, Query(description="the most pixels a side")] = Side.S256,
) -> Response:
    tag, blobs = f"{name}-{int(side)}", hub.store.blobs
    data, media_type = await blobs.small(name, int(side))
    if _is_known(request, tag):
        return Response(None, 304, _headers(request, tag))
    return Response(data, 200, _headers(request, tag), media_type)


def _is_known(request: Request, tag: str) -> bool:
    known = request.headers.get("if-none-match", "")
    return f'"{tag}"' in (part.strip().removeprefix("W/") for part in known.split(","))


def _headers(request: Request, tag: str) -> dict[str, str]:
    auth: Auth = request.app.state.auth
    # Where a token is needed, no cache on the way may give it to who has none.
    scope = "public" if auth.is_open else "private"
    return {
        "Cache-Control": f"{scope}, max-age=31536000, immutable",
        "ETag": f'"{tag}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
