"""What waits to be sent to one peer: bounded, and the newest of a kind replaces the older."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections import OrderedDict
from dataclasses import fields, replace
from functools import cached_property
from typing import Any

import pydantic
import pydantic_core

from protocol import messages as m
from protocol import wire

LIMIT = 2000
"""Messages that may not be dropped; a peer that is further behind is disconnected."""
LIMIT_BYTES = 64 * 1024 * 1024
"""The same of pictures."""
_ADAPTERS: dict[type, pydantic.TypeAdapter[Any]] = {cls: pydantic.TypeAdapter(cls) for cls in {*m.TO_CLIENT, *m.TO_EDGE}}
_LENGTH = struct.Struct(">I")


class SlowPeer(Exception):
    """The peer is `LIMIT` messages behind, or `LIMIT_BYTES`."""


class Letter:
    """A message that is encoded once, however many it goes to."""

    def __init__(self, message: Any):
        self.message = message
        self.size = len(getattr(message, "payload", b""))

    async def ready(self) -> None:
        """Before `data` is asked for: what takes long is done in pieces."""

    @cached_property
    def data(self) -> str | bytes:
        """As `protocol.wire.encode`, which is the definition; pydantic does it several times faster."""
        kind = type(self.message)
        binary = hasattr(self.message, "payload")
        try:
            body = _ADAPTERS[kind].dump_json(self.message, exclude={"payload"} if binary else None)
        except pydantic_core.PydanticSerializationError:  # half a surrogate pair, in what somebody is told was wrong
            return wire.encode(self.message)
        separator = b"," if any(f.name != "payload" for f in fields(kind)) else b""
        header = b'{"type":"' + kind.__name__.encode() + b'"' + separator + body[1:]
        return _LENGTH.pack(len(header)) + header + self.message.payload if binary else header.decode()


class Outbox:
    """EEG frames, progress, pulls, previews, presence, places and live nodes' pictures coalesce: a slow peer loses old ones.
    All else is kept, in order."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Any, Letter] = OrderedDict()
        self._bytes = 0
        self._number = itertools.count()
        self._filled = asyncio.Event()
        self.overflowed = False

    def put(self, message: Any) -> None:
        self.post(Letter(message))

    def post(self, letter: Letter) -> None:
        if self.overflowed:
            return
        key = _kind(letter.message)
        if key is None:
            key = next(self._number)
            self.overflowed = len(self._waiting) >= LIMIT
        elif isinstance(letter.message, m.Features) and key in self._waiting:
            letter = _joined(self._waiting[key], letter)
        elif isinstance(letter.message, m.Picture | m.Preview):
            self._drop(key)  # the new one comes after all that was said before it
        if isinstance(letter.message, m.Picture):
            self._drop(_preview_of(letter.message))
        self._bytes += letter.size
        self.overflowed |= self._bytes > LIMIT_BYTES
        self._waiting[key] = letter
        if self.overflowed:
            self._waiting.clear()
        self._filled.set()

    def _drop(self, key: Any) -> None:
        if key in self._waiting:
            self._bytes -= self._waiting.pop(key).size

    async def get(self) -> str | bytes:
        """The next frame to send. Raises SlowPeer when too many were waiting."""
        while not self._waiting and not self.overflowed:
            self._filled.clear()
            await self._filled.wait()
        if self.overflowed:
            raise SlowPeer
        _, letter = self._waiting.popitem(last=False)
        self._bytes -= letter.size
        await letter.ready()
        return letter.data


def _kind(message: Any) -> Any:
    """What a newer message of the same kind replaces; None for what is never replaced."""
    if isinstance(message, m.Features):
        return "features", message.frame.stream
    if isinstance(message, m.Progress):
        return "progress", message.job
    if isinstance(message, m.Pulling):
        return "pulling", message.job
    if isinstance(message, m.Preview):
        return _preview_of(message)
    if isinstance(message, m.Picture) and message.live:
        return "picture", message.node
    if isinstance(message, m.Present):
        return "present", message.presence.client
    if isinstance(message, m.Waiting):
        return "waiting"
    return None


def _preview_of(message: m.Preview | m.Picture) -> Any:
    return "preview", message.node or message.job


def _joined(old: Letter, new: Letter) -> Letter:
    """The newer frame, with what happened since the one before: an event happens once."""
    events = old.message.frame.events
    return Letter(m.Features(replace(new.message.frame, events=events + new.message.frame.events))) if events else new
