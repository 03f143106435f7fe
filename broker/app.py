"""HTTP and WebSocket on one port: everything is put together here."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import WebSocketRoute

from protocol import VERSION
from signals import patch_files, units
from signals.patch_files import Patch

from . import calibrations, house
from .api import access, baseline, blobs, bundles, described, eeg, jobs, models, problems, rooms, system, webui
from .api.gate import Gate
from .api.socket import Door
from .asking import Limits
from .auth import Auth
from .eeg import Ears, EegOptions, tick, watch_patch
from .hub import Hub
from .settings import Settings
from .store import Store

log = logging.getLogger("broker")

_GC = (50_000, 20, 100)

_ABOUT = """Maps of prompts that people share, the pictures that are made of them, and the EEG that bends them.

Who changes something is answered when it is on disk. Everything that fails answers `{code, message, detail}`. A WebSocket at
`/v1/ws` tells of every change; docs/protocol.md says how it speaks."""


def create_app(settings: Settings) -> FastAPI:
    """Raises AlphaloomError `no_store` when the data folder cannot be used, `store_in_use` where another broker serves it,
    `token_needed` where others could come and nobody has a token, and others for a patch, a baseline, a query, a recording
    or a list of models that cannot be used."""
    chosen = patch_files.load(settings.patch) if settings.patch else None
    listening = eeg_options(settings)
    ears = Ears(listening, settings.data / calibrations.FOLDER) if listening else None
    entries = models.load(settings.models)
    store = Store(settings.data, settings.database, serving=True, max_pixels=settings.max_pixels)
    auth = Auth(store, settings.is_open, settings.failed_tokens)
    try:
        auth.begin()
    except BaseException:
        store.close()
        raise

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _running(app, settings, store, auth, chosen, ears):
            yield

    # Its page at /docs brings along what FastAPI's own would fetch from the internet.
    app = FastAPIOffline(
        title="Alphaloom",
        description=_ABOUT,
        version=str(VERSION),
        lifespan=lifespan,
        redoc_url=None,
        # A picture's bytes are nobody's JSON, whatever they say that they are.
        strict_content_type=False,
    )
    app.state.settings, app.state.auth = settings, auth
    app.state.models = entries
    app.state.seats = ears.seats if ears else []
    problems.install(app)
    for module in (rooms, bundles, jobs, models, blobs, eeg, baseline, system, webui):
        app.include_router(module.router)
    app.router.routes.append(WebSocketRoute("/v1/ws", Door(settings)))
    described.describe(app, auth.is_open)
    app.add_middleware(Gate, settings=settings)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-None-Match"],
            expose_headers=["ETag", "Retry-After"],
        )
    # Built now: made for the first who asks, they would hold up everybody else for 100 ms.
    app.openapi()
    for route in app.routes:
        if kind := getattr(route, "response_model", None):
            access.adapter(kind)
    return app


@asynccontextmanager
async def _running(
    app: FastAPI, settings: Settings, store: Store, auth: Auth, chosen: Patch | None, ears: Ears | None
) -> AsyncIterator[None]:
    """The hub and all that keeps it going. What is begun last is ended first."""
    async with AsyncExitStack() as ending:
        ending.callback(store.close)
        hub = app.state.hub = Hub(store, limits(settings), settings.live_max_hz)
        await hub.load()
        # What is there now stays: a collection that looks through all of it would hold everything up for tens of milliseconds.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC)
        ending.push_async_callback(hub.close)
        await ending.enter_async_context(_going_on(hub.run()))
        await ending.enter_async_context(auth.kept_up())
        if chosen:
            hub.stage.set_patch(chosen)
        log.info("patch: %s, %d rules", hub.player.patch.name, len(hub.player.rules))
        await ending.enter_async_context(_going_on(tick(hub)))
        await ending.enter_async_context(_going_on(house.keep(hub, house.retention(settings))))
        if settings.patch and settings.patch not in patch_files.presets():
            await ending.enter_async_context(_going_on(watch_patch(hub, Path(settings.patch))))
        if ears:
            ears.open(hub)
            ending.push_async_callback(ears.close)
        yield


@asynccontextmanager
async def _going_on(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(_to_the_end(work))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        # Without it nothing would be kept or told any longer: whoever looks after the broker shall start it again.
        log.critical("the broker cannot go on and ends", exc_info=True)
        signal.raise_signal(signal.SIGTERM)


def eeg_options(settings: Settings) -> EegOptions | None:
    """None does not listen at all. Raises AlphaloomError `unknown_unit`."""
    if settings.no_eeg:
        return None
    return EegOptions(
        settings.eeg,
        settings.baseline,
        settings.sham,
        float(settings.mains),
        units.stated(settings.unit),
        settings.reference,
        settings.markers,
        settings.frames_hz,
    )


def limits(settings: Settings) -> Limits:
    return Limits(
        attempts=settings.max_attempts,
        lease=settings.lease_s,
        attempt=settings.job_limit_s,
        wait=settings.wait_limit_s,
        no_edge=settings.no_edge_s,
        of_person=settings.max_person_jobs,
        in_all=settings.max_open_jobs,
        cache_age=settings.cache_hours * 3600,
        cache_bytes=settings.cache_mb << 20,
    )
