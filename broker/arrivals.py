"""Whole maps for those who arrive: encoded once for all of them, and in pieces, so that nobody else waits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import pydantic
import pydantic_core

from protocol import messages as m
from protocol import wire
from protocol.model import Link, Map, Node

from .outbox import Letter
from .rooms import Room

PIECE = 500
"""Nodes or links that are encoded before others have their turn: about a millisecond."""
_NODES, _LINKS = pydantic.TypeAdapter(dict[str, Node]), pydantic.TypeAdapter(dict[str, Link])


class MapText:
    """A map as JSON."""

    def __init__(self, map: Map):
        self.map = map
        self._text = ""
        self._lock = asyncio.Lock()

    async def get(self) -> str:
        async with self._lock:
            if not self._text:
                nodes, links = await _items(_NODES, self.map.nodes), await _items(_LINKS, self.map.links)
                self._text = f'{{"nodes":{{{nodes}}},"links":{{{links}}},"revision":{self.map.revision}}}'
        return self._text


class Arrivals:
    """The newest map's text of each room that somebody has come into."""

    def __init__(self) -> None:
        self._texts: WeakKeyDictionary[Room, MapText] = WeakKeyDictionary()

    def letter(self, room: Room, snapshot: m.Snapshot) -> Letter:
        if snapshot.map is None:
            return Letter(snapshot)
        text = self._texts.get(room)
        if text is None or text.map is not snapshot.map:
            text = self._texts[room] = MapText(snapshot.map)
        return SnapshotLetter(snapshot, text)


class SnapshotLetter(Letter):
    """A snapshot with its map."""

    def __init__(self, message: m.Snapshot, text: MapText):
        super().__init__(message)
        self._text = text

    async def ready(self) -> None:
        try:
            without = Letter(replace(self.message, map=None)).data
            # Where cached_property keeps what it has computed.
            self.__dict__["data"] = str(without).replace('"map":null', f'"map":{await self._text.get()}', 1)
        except pydantic_core.PydanticSerializationError:
            self.__dict__["data"] = wire.encode(self.message)


async def _items(adapter: pydantic.TypeAdapter[Any], items: dict[str, Any]) -> str:
    """The inside of a JSON object."""
    texts = []
    for piece in _pieces(items):
        texts.append(adapter.dump_json(piece)[1:-1].decode())
        await asyncio.sleep(0)
    return ",".join(texts)


def _pieces(items: dict[str, Any]) -> Iterator[dict[str, Any]]:
    left = iter(items.items())
    while piece := dict(itertools.islice(left, PIECE)):
        yield piece
