"""HTTP and WebSocket on one port."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from PIL import Image
from starlette.middleware.trustedhost import TrustedHostMiddleware

from protocol import MAX_BINARY_BYTES, VERSION, wire
from protocol.errors import AlphaloomError
from signals import patch_files

from . import sessions
from .eeg import Ears, EegOptions, tick, watch_patch
from .hub import Hub
from .store import Store

log = logging.getLogger("broker")

MAX_PIXELS = 4096 * 4096
_STATUS = {"unknown_blob": 404, "unknown_job": 404, "message_too_large": 413}


@dataclass(frozen=True)
class Options:
    data: Path
    eeg: EegOptions | None = field(default_factory=EegOptions)
    """None does not listen at all."""
    patch: str | None = None
    """A preset or a file; None plays the one that was played last."""


def create_app(options: Options) -> FastAPI:
    """Raises AlphaloomError `no_store` when the data folder cannot be used, and others for a patch, a baseline, a query or
    a recording that cannot."""
    chosen = patch_files.load(options.patch) if options.patch else None
    ears = Ears(options.eeg) if options.eeg else None
    store = Store(options.data)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        hub = app.state.hub = Hub(store)
        await hub.load()
        if chosen:
            await hub.set_patch(chosen)
        log.info("patch: %s, %d rules", hub.player.patch.name, len(hub.player.rules))
        tasks = [asyncio.create_task(tick(hub))]
        if options.patch and options.patch not in patch_files.presets():
            tasks.append(asyncio.create_task(watch_patch(hub, Path(options.patch))))
        if ears:
            ears.open(hub)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if ears:
            await ears.close()
        store.close()

    app = FastAPI(title="Alphaloom broker", version=str(VERSION), lifespan=lifespan)
    # Bound to loopback, only names of loopback are answered: a page elsewhere cannot rebind its name to us.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])

    @app.exception_handler(AlphaloomError)
    async def report(_: Request, error: AlphaloomError) -> JSONResponse:
        body = {"code": error.code, "message": error.message, "detail": error.detail}
        return JSONResponse(body, _STATUS.get(error.code, 422))

    @app.get("/health")
    async def health(request: Request) -> dict[str, Any]:
        hub: Hub = request.app.state.hub
        return {"version": VERSION, "edges": len(hub.edges), "jobs": len(hub.jobs), "eeg": hub.eeg, "nodes": len(hub.map.nodes)}

    @app.get("/map")
    async def the_map(request: Request) -> dict[str, Any]:
        return wire.plain(request.app.state.hub.map)

    @app.get("/session")
    async def session(request: Request) -> dict[str, Any]:
        return await request.app.state.hub.session()

    @app.get("/patch")
    async def get_patch(request: Request) -> Response:
        return Response(patch_files.dump(request.app.state.hub.player.patch), media_type="application/toml")

    @app.put("/patch")
    async def put_patch(request: Request) -> dict[str, Any]:
        _same_origin(request.headers)
        body = await _body(request, patch_files.MAX_BYTES, "patch")
        new = patch_files.parse(patch_files.text(body, "patch"), "patch")
        warnings = await request.app.state.hub.set_patch(new)
        return {"name": new.name, "rules": len(new.rules), "warnings": warnings}

    @app.get("/eeg")
    async def eeg(request: Request) -> dict[str, Any]:
        return request.app.state.hub.eeg_report()

    @app.put("/sham")
    async def put_sham(request: Request) -> dict[str, bool]:
        _same_origin(request.headers)
        try:  # whatever the content type says: this is typed in haste, in the dark
            on = json.loads(await request.body())["on"]
            if not isinstance(on, bool):
                raise TypeError
        except (ValueError, TypeError, KeyError):
            raise AlphaloomError("bad_sham", 'Send {"on": true} or {"on": false}.') from None
        await request.app.state.hub.set_sham(on)
        return {"on": on}

    @app.get("/jobs/{job}")
    async def one_job(job: str) -> dict[str, Any]:
        found = await store.run(store.job, job)
        if found is None:
            raise AlphaloomError("unknown_job", f"No job is called {job[:80]!r}.")
        return wire.plain(found)

    @app.get("/blobs/{name}")
    async def get_blob(name: str) -> Response:
        return Response(await store.run(store.blob, name), media_type="application/octet-stream")

    @app.post("/blobs", status_code=201)
    async def post_blob(request: Request) -> dict[str, str]:
        _same_origin(request.headers)
        data = await _body(request, MAX_BINARY_BYTES, "picture")
        return {"blob": await store.run(_keep_picture, store, data)}

    @app.websocket("/ws")
    async def websocket(socket: WebSocket) -> None:
        try:
            _same_origin(socket.headers)
        except AlphaloomError:
            await socket.close(1008)
            return
        await sessions.serve(socket, socket.app.state.hub)

    return app


async def _body(request: Request, limit: int, what: str) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise AlphaloomError("message_too_large", f"A {what} may have {limit} bytes at most.")
    return bytes(data)


def _same_origin(headers: Any) -> None:
    """Browsers send an Origin: a page from elsewhere may not speak to a broker on this machine."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise AlphaloomError("foreign_origin", f"Pages from {origin[:80]!r} may not use this broker.")


def _keep_picture(store: Store, data: bytes) -> str:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"it has {picture.width}x{picture.height} pixels")
            picture.verify()
    except Exception as problem:  # Pillow raises many kinds for a broken picture
        raise AlphaloomError("bad_picture", f"This is no PNG, JPEG or WebP of up to 4096x4096: {problem}.") from None
    return store.put_blob(data)
