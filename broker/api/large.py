"""Answers that may be large, as JSON piece by piece: nobody else has to wait while one is written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pydantic
from fastapi import Response

CHUNK = 500


async def array(kind: Any, items: Sequence[Any], chunk: int = CHUNK) -> bytes:
    adapter = _adapter(list[kind])
    return b"[" + await _joined(adapter, (items[start : start + chunk] for start in range(0, len(items), chunk))) + b"]"


async def object(kind: Any, items: Mapping[str, Any]) -> bytes:
    names = list(items)
    adapter = _adapter(dict[str, kind])
    chunks = (names[start : start + CHUNK] for start in range(0, len(names), CHUNK))
    return b"{" + await _joined(adapter, ({name: items[name] for name in chunk} for chunk in chunks)) + b"}"


def answer(body: bytes) -> Response:
    return Response(body, media_type="application/json")


async def _joined(adapter: pydantic.TypeAdapter[Any], pieces: Iterator[Any]) -> bytes:
    made = []
    for piece in pieces:
        made.append(adapter.dump_json(piece)[1:-1])
        await asyncio.sleep(0)
    return b",".join(made)


@cache
def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(kind)
