"""What nobody needs any longer goes, every now and then."""

from __future__ import annotations

import asyncio
import logging
import time

from .hub import Hub
from .settings import Settings
from .store import Collected, Retention

log = logging.getLogger("broker")

FIRST_S, EVERY_S = 60.0, 600.0


def retention(settings: Settings) -> Retention:
    return Retention(
        live_s=settings.keep_live_hours * 3600,
        jobs_s=settings.keep_jobs_days * 86400,
        purge_s=settings.keep_deleted_days * 86400,
        cache_s=settings.cache_hours * 3600,
        cache_bytes=settings.cache_mb << 20,
        blob_grace_s=settings.keep_uploads_hours * 3600,
    )


async def keep(hub: Hub, kept: Retention) -> None:
    """Until cancelled."""
    await asyncio.sleep(FIRST_S)
    while True:
        try:
            await clean(hub, kept, time.time())
        except Exception:  # the disk may be full, or the database away: the next time, then
            log.exception("what nobody needs could not be cleared away")
        await asyncio.sleep(EVERY_S)


async def clean(hub: Hub, kept: Retention, now: float) -> Collected:
    gone = await hub.store.collect(now, kept)
    for kind, items in (("node", gone.nodes), ("link", gone.links)):
        for name, item in items:
            if name in hub.rooms:
                hub.rooms[name].deleted.pop((kind, item), None)
    for key in gone.cached:
        hub.work.cache.drop(key)
    if gone.blobs or gone.jobs or gone.nodes:
        log.info(
            "cleared away: %d jobs, %d deleted nodes, %d pictures (%.1f MB)",
            gone.jobs,
            len(gone.nodes),
            gone.blobs,
            gone.bytes / 1e6,
        )
    return gone
