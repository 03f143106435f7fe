"""What waits to be sent to one peer: bounded, and the newest of a kind replaces the older."""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from typing import Any

from protocol import messages as m
from protocol import wire

LIMIT = 2000
"""Messages that may not be dropped; a peer that is further behind is disconnected."""


class SlowPeer(Exception):
    """The peer is `LIMIT` messages behind."""


class Outbox:
    """Features and progress coalesce: a slow peer loses old ones. Everything else is kept, in order."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Any, Any] = OrderedDict()
        self._number = itertools.count()
        self._filled = asyncio.Event()
        self.overflowed = False

    def put(self, message: Any) -> None:
        if isinstance(message, m.Features):
            key: Any = ("features", message.frame.stream)
        elif isinstance(message, m.Progress):
            key = ("progress", message.job)
        else:
            key = next(self._number)
            if len(self._waiting) >= LIMIT:
                self.overflowed = True
        if not self.overflowed:
            self._waiting[key] = message
        self._filled.set()

    async def get(self) -> str | bytes:
        """The next frame to send. Raises SlowPeer when too many were waiting."""
        while not self._waiting and not self.overflowed:
            self._filled.clear()
            await self._filled.wait()
        if self.overflowed:
            raise SlowPeer
        return wire.encode(self._waiting.popitem(last=False)[1])
