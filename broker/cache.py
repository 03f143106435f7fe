"""Pictures that need not be made again: an equal request on an equal edge gives an equal picture. Pure."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

import pydantic

from protocol.model import ResolvedRequest

from .store.writes import Cached

_REQUEST = pydantic.TypeAdapter(ResolvedRequest)


def key(request: ResolvedRequest, fingerprint: str) -> str:
    """The SHA-256 of everything that decides a picture: the request with its model, and the edge's fingerprint."""
    return hashlib.sha256(_REQUEST.dump_json(request) + fingerprint.encode()).hexdigest()


class Cache:
    """An index by key: the oldest goes when it is `max_age_s` old or when all together have more than `max_bytes`."""

    def __init__(self, max_age_s: float, max_bytes: int):
        self.max_age_s, self.max_bytes = max_age_s, max_bytes
        self.bytes = 0
        self._entries: OrderedDict[str, Cached] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, entries: Iterable[Cached], now: float) -> list[str]:
        """Take up where it was left; the keys that are to be dropped."""
        for entry in sorted(entries, key=lambda entry: entry.created):
            self._entries[entry.key] = entry
            self.bytes += entry.size
        return self.shrink(now)

    def get(self, key: str, now: float) -> str | None:
        """The blob of a picture."""
        entry = self._entries.get(key)
        return entry.blob if entry and now - entry.created < self.max_age_s else None

    def put(self, entry: Cached, now: float) -> list[str]:
        """The keys that had to go for it."""
        if not self.max_age_s or entry.size > self.max_bytes:
            return [entry.key]
        self.drop(entry.key)
        self._entries[entry.key] = entry
        self.bytes += entry.size
        return self.shrink(now)

    def drop(self, key: str) -> None:
        if entry := self._entries.pop(key, None):
            self.bytes -= entry.size

    def shrink(self, now: float) -> list[str]:
        """Drop what is too old or too much; the keys."""
        gone = []
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if self.bytes <= self.max_bytes and now - oldest.created < self.max_age_s:
                break
            self.drop(oldest.key)
            gone.append(oldest.key)
        return gone
