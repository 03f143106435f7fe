"""What is shown of each node, one picture after the other, so that nothing flashes.

Design notes
- A finished picture of a live node is shown when the guard against flashing admits it. One that is overtaken while it
  waits is not shown; its job is done all the same, and in the node's history.
- To be shown is to be told, and the disk may keep that back for long. So a picture counts as shown when it has been told,
  and until then no other of its node is admitted: what is told late is never told sooner after another than it may be.
- What somebody asked for is held by nothing, but it counts. A preview waits for nothing: it is shown now, or never.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from . import flash

log = logging.getLogger("broker")

FORGET_S = 5.0
"""A guard of a node that shows nothing any more is kept for so long."""

Key = tuple[str, str]
"""A room's id and a node's; of a job without a node, nothing and the job's."""


@dataclass
class Screen:
    """Where a node's pictures are seen."""

    guard: flash.FlashGuard = field(default_factory=flash.FlashGuard)
    picture: flash.Look | None = None
    """The newest that is no preview."""
    last: int = 0
    """The number of the newest picture."""
    ready: int = 0
    """The newest that may be shown as soon as the guard admits it, or is."""
    under_way: int = 0
    """Pictures that will be told and have not been counted."""
    previewed: set[str] = field(default_factory=set)
    """Jobs that run and of which a preview was shown."""
    previewed_at: float = -math.inf
    """When there was one of those last."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    used: float = 0.0

    def number(self) -> int:
        self.last += 1
        return self.last

    def take(self, number: int) -> None:
        """What is older is overtaken."""
        self.ready = max(self.ready, number)
        self.stir()

    def wait(self, picture: flash.Look) -> float:
        return math.inf if self.under_way else self.guard.wait(time.monotonic(), picture)

    def count(self, picture: flash.Look | None) -> None:
        self.used = time.monotonic()
        if picture is not None:
            self.guard.count(self.used, picture)

    def counted(self, picture: flash.Look | None) -> None:
        """One that was under way."""
        self.under_way -= 1
        self.count(picture)
        self.picture = picture or self.picture
        self.stir()

    def stir(self) -> None:
        """Whoever waits looks again."""
        self.news.set()
        self.news = asyncio.Event()


class Screens:
    def __init__(self, settled: Callable[[], Awaitable[None]]):
        """`settled` ends when all that was said so far has been told."""
        self._settled = settled
        self._screens: dict[Key, Screen] = {}
        self.held: set[asyncio.Future[None]] = set()

    def close(self) -> None:
        for task in self.held:
            task.cancel()

    def show(self, key: Key, png: Awaitable[bytes], show: Callable[[], None]) -> Awaitable[None]:
        """Call `show`, which has it told, when a live node's picture may be seen; never, where a newer one overtakes it."""
        screen = self._screen(key)
        return self._hold(self._show(screen, screen.number(), key[1], png, show))

    async def _show(self, screen: Screen, mine: int, node: str, png: Awaitable[bytes], show: Callable[[], None]) -> None:
        picture = await _look(node, png)
        if picture is None or mine < screen.ready:
            return
        screen.take(mine)
        while wait := screen.wait(picture):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(screen.news.wait(), None if wait == math.inf else wait)
            if mine < screen.ready:
                return
        screen.under_way += 1
        try:
            show()
            await self._settled()
        finally:
            screen.counted(picture)

    def count(self, key: Key, png: Awaitable[bytes]) -> Awaitable[None]:
        """A picture that somebody asked for, or chose: it is held by nothing, but it counts."""
        screen = self._screen(key)
        screen.under_way += 1
        screen.take(screen.number())
        return self._hold(self._count(screen, key[1], png))

    async def _count(self, screen: Screen, node: str, png: Awaitable[bytes]) -> None:
        picture = None
        try:
            picture = await _look(node, png)
            await self._settled()
        finally:
            screen.counted(picture)

    def was_previewed(self, key: Key) -> bool:
        """Whether one of its previews was shown a moment ago."""
        screen = self._screens.get(key)
        return screen is not None and (bool(screen.previewed) or time.monotonic() - screen.previewed_at < FORGET_S)

    async def offer(self, key: Key, job: str, preview: flash.Look, before: Callable[[], Awaitable[bytes]] | None) -> bool:
        """Whether a job's preview may be shown now; then it counts. `before` reads the picture that it takes the place of."""
        screen = self._screens.get(key)
        if screen is None:
            screen = self._screen(key)
            if before is not None:
                screen.under_way += 1
                await self._count_before(screen, key[1], before())
        if screen.wait(preview):
            return False
        screen.previewed.add(job)
        screen.count(preview)
        return True

    async def _count_before(self, screen: Screen, node: str, png: Awaitable[bytes]) -> None:
        picture = None
        try:
            picture = await _look(node, png)
        finally:
            screen.counted(picture)

    def ended(self, key: Key, job: str, made: bool) -> None:
        """No more previews of a job; where it has made nothing, the picture from before is seen again."""
        screen = self._screens.get(key)
        if screen is not None and job in screen.previewed:
            screen.previewed.discard(job)
            screen.previewed_at = time.monotonic()
            screen.count(None if made else screen.picture)

    def _screen(self, key: Key) -> Screen:
        now = time.monotonic()
        for old, screen in list(self._screens.items()):
            if now - screen.used > FORGET_S and not screen.under_way and not screen.previewed:
                del self._screens[old]
        screen = self._screens.setdefault(key, Screen())
        screen.used = now
        return screen

    def _hold(self, waiting: Coroutine[Any, Any, None]) -> Awaitable[None]:
        task = asyncio.ensure_future(waiting)
        self.held.add(task)
        task.add_done_callback(self.held.discard)
        return task


async def _look(node: str, png: Awaitable[bytes]) -> flash.Look | None:
    """None for what is no picture."""
    try:
        return await asyncio.to_thread(flash.look, await png)
    except Exception as problem:  # Pillow raises whatever it meets in a broken file
        log.warning("a picture of node %s cannot be looked at: %s", node, problem)
        return None
