"""What pictures look like while they are made: from the edges to whoever may see the job. Nothing is stored.

A preview is looked at on a thread, and of a run at most one at a time: of those that come meanwhile only the newest is
looked at next. It is shown where the guard against flashing admits it at once, and dropped otherwise.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from weakref import WeakSet

from PIL import Image

from protocol import messages as m
from protocol.model import ENDED, Job

from . import flash
from .dispatch import Edge
from .screens import Key, Screens

log = logging.getLogger("broker")

MAX_BYTES = 64 * 1024
MAX_SIDE = 512
JPEG_SIGNATURE = b"\xff\xd8\xff"

Heard = tuple[tuple[Job, ...], m.Preview]


class Previews:
    def __init__(
        self,
        screens: Screens,
        running: Callable[[Job], bool],
        before: Callable[[Job], Callable[[], Awaitable[bytes]] | None],
        tell: Callable[[Job, m.Preview], None],
    ):
        """`running` says whether a job still runs, and may be shown while it does; `before` what reads the picture that its
        node has."""
        self._screens, self._running, self._before, self._tell = screens, running, before, tell
        self._next: dict[tuple[str, int], Heard | None] = {}
        """By run, while one of its previews is looked at: the newest that came meanwhile."""
        self._newest: dict[str, bytes] = {}
        """By job, of those without a node: who asks over HTTP asks for it."""
        self._bad: WeakSet[Edge] = WeakSet()
        self._looking: set[asyncio.Task[None]] = set()

    def hear(self, edge: Edge, jobs: Iterable[Job], preview: m.Preview) -> None:
        """Of a run, for all jobs that want its picture."""
        wanted = tuple(job for job in jobs if self._running(job))
        run = (preview.job, preview.attempt)
        if not wanted:
            return
        if run in self._next:
            self._next[run] = (wanted, preview)
            return
        self._next[run] = None
        task = asyncio.create_task(self._look(edge, run, (wanted, preview)))
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    def newest(self, job: str) -> bytes | None:
        """JPEG."""
        return self._newest.get(job)

    def follow(self, job: Job) -> None:
        """A job's new state."""
        if job.state in ENDED:
            self._newest.pop(job.id, None)
            self._screens.ended(_key(job), job.id, job.state == "done")

    async def settled(self) -> None:
        """Until all that were heard are shown or dropped."""
        while self._looking:
            await asyncio.wait(self._looking)

    async def _look(self, edge: Edge, run: tuple[str, int], heard: Heard | None) -> None:
        try:
            while heard:
                await self._show(edge, *heard)
                heard, self._next[run] = self._next[run], None
        finally:
            del self._next[run]

    async def _show(self, edge: Edge, jobs: tuple[Job, ...], preview: m.Preview) -> None:
        try:
            look = await asyncio.to_thread(look_at, preview.payload)
        except Exception as problem:  # Pillow raises whatever it meets in a broken file
            if edge not in self._bad:
                self._bad.add(edge)
                log.warning("edge %s sends previews that are not shown: %s", edge.name, problem)
            return
        for job in jobs:
            if not self._running(job) or not await self._screens.offer(_key(job), job.id, look, self._before(job)):
                continue
            if not self._running(job):  # its end came while the picture from before was looked at
                self._screens.ended(_key(job), job.id, made=True)
                continue
            if not job.node:
                self._newest[job.id] = preview.payload
            self._tell(job, replace(preview, job=job.id, attempt=job.attempt, node=job.node))


def look_at(jpeg: bytes) -> flash.Look:
    """For a thread. Raises ValueError or whatever Pillow raises for what is no small JPEG."""
    if len(jpeg) > MAX_BYTES:
        raise ValueError(f"one has {len(jpeg)} bytes; the most is {MAX_BYTES}")
    if not jpeg.startswith(JPEG_SIGNATURE):
        raise ValueError("one is no JPEG")
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
        if max(picture.size) > MAX_SIDE:
            raise ValueError(f"one has {picture.width} x {picture.height} pixels; the longer side may have {MAX_SIDE}")
    return flash.look(jpeg)


def _key(job: Job) -> Key:
    return (job.room, job.node) if job.node else ("", job.id)
