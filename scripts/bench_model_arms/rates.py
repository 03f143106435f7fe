"""Pictures a second by the edge's worker, which makes a picture while other threads write the last one's file."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench_model_arms.maker import Maker

from edge.engine import Engine
from edge.orders import Order
from edge.worker import Worker
from protocol.model import ResolvedRequest

WORDS = "blue and white ocean waves"


class Few:
    """The engine, with no more than so many pictures at once; it stands for a pool of itself, too."""

    def __init__(self, engine: Engine, most: int):
        self._engine, self._most = engine, most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def most(self, ready: Any) -> int:
        return min(self._most, self._engine.most(ready))

    def of(self, request: ResolvedRequest) -> Any:
        return self


def new(maker: Maker, number: int) -> Order:
    """Another prompt and another seed."""
    letters = "".join(chr(ord("a") + int(figure)) for figure in str(number))
    return maker.order(f"{WORDS}, {letters}", number)


def moved(maker: Maker, number: int) -> Order:
    """Only a word's weight has changed, as by EEG."""
    return maker.order(f"{WORDS}, (calm){0.5 + number % 97 / 100:.2f}", 1)


CASES = {"new": new, "eeg": moved}


def rate(maker: Maker, case: str, batch: int, seconds: float) -> float:
    """One batch is being made, and one waits."""
    return asyncio.run(_rate(maker, case, batch, seconds))


async def _rate(maker: Maker, case: str, batch: int, seconds: float) -> float:
    worker, order = Worker(Few(maker.engine, batch)), CASES[case]
    numbers = iter(range(1 << 30))
    await asyncio.gather(*(worker.run(order(maker, next(numbers))) for _ in range(batch)))  # warms up
    begin, done = time.perf_counter(), 0
    end = begin

    async def keep_asking() -> None:
        nonlocal done, end
        while time.perf_counter() - begin < seconds:
            await worker.run(order(maker, next(numbers)))
            done, end = done + 1, time.perf_counter()

    await asyncio.gather(*(keep_asking() for _ in range(2 * batch)))
    return done / (end - begin)
