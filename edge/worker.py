"""The one thread that diffusion runs on, so that the socket stays awake; and whether it can still be trusted.

What waits and can be made together is. While the next batch is being made, the files of the last one are written by others.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

from protocol.errors import AlphaloomError
from protocol.model import ResolvedRequest

from .orders import Cancelled, Order, Picture

STALL_S = 600.0
"""A device that has not done a step, or what is before and after the steps, in so long hangs."""
WRITERS = min(4, os.cpu_count() or 1)


class Ready(Protocol):
    """An order that an engine has prepared."""

    @property
    def shape(self) -> Hashable:
        """Those of equal shape can be made at once."""


class Engine(Protocol):
    """What runs jobs: the real one, or in tests and benchmarks something that only seems to."""

    fingerprint: str

    def most(self, ready: Any) -> int: ...
    def prepare(self, order: Order) -> Ready: ...
    def make(self, batch: Sequence[Any]) -> Sequence[Picture | Exception]: ...
    def encode(self, picture: Picture, order: Order) -> bytes: ...


class Engines(Protocol):
    """Which engine runs a request."""

    def of(self, request: ResolvedRequest) -> Engine:
        """It may have to load a model first. Raises AlphaloomError."""


@dataclass(frozen=True)
class Made:
    png: bytes
    request: ResolvedRequest
    fingerprint: str


@dataclass
class _Waiting:
    order: Order
    future: Future[Made]
    begun: bool = False
    """Its future can no longer be cancelled."""
    engine: Engine | None = None
    ready: Any = None

    @property
    def model(self) -> str:
        return self.order.request.model


class Worker:
    """Makes what it is given, the oldest first. Its threads are never waited for at the end of the program."""

    def __init__(self, engines: Engines, stall_s: float = STALL_S):
        self._engines = engines
        self._stall_s = stall_s
        self._arrived: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._waiting: list[_Waiting] = []
        self._writers = ThreadPoolExecutor(WRITERS, "writer")
        self._sign: float | None = None
        """When the job at hand last showed that it moves; None: there is none."""
        self._thread = threading.Thread(target=self._loop, name="diffusion", daemon=True)
        self._thread.start()

    async def run(self, order: Order) -> Made:
        """Raises Cancelled, AlphaloomError, or what the model raises. One that is cancelled while it waits never begins."""

        def stepped(step: int, steps: int) -> None:
            self._sign = time.monotonic()
            order.on_step(step, steps)

        future: Future[Made] = Future()
        self._arrived.put(_Waiting(replace(order, on_step=stepped), future))
        return await asyncio.wrap_future(future)

    def check(self) -> None:
        """Raises AlphaloomError `edge_stalled` when nothing that was given to the thread will be done any more."""
        sign = self._sign
        if not self._thread.is_alive():
            raise AlphaloomError("edge_stalled", "The worker thread has died; start the edge again.")
        if sign is not None and time.monotonic() - sign > self._stall_s:
            raise AlphaloomError(
                "edge_stalled", f"The device has not finished a step in {self._stall_s:g} s; start the edge again."
            )

    def _loop(self) -> None:
        while True:
            if not self._waiting:
                self._waiting.append(self._arrived.get())
            self._sign = time.monotonic()
            self._turn()
            self._sign = None

    def _turn(self) -> None:
        """One batch."""
        while not self._arrived.empty():
            self._waiting.append(self._arrived.get())
        batch = self._next()
        if not batch:
            return
        engine = batch[0].engine
        assert engine is not None
        found = _outcome(lambda: engine.make([one.ready for one in batch]))
        results = [found] * len(batch) if isinstance(found, BaseException) else found
        for one, result in zip(batch, results, strict=True):
            if isinstance(result, BaseException):
                _end(one.future, result)
            else:
                self._writers.submit(self._write, engine, one, result)

    def _next(self) -> list[_Waiting]:
        """The oldest that can be made, and what can be made with it. What cannot is ended with its reason."""
        batch: list[_Waiting] = []
        for one in list(self._waiting):
            if self._is_gone(one):
                self._waiting.remove(one)
            elif batch and one.model != batch[0].model:
                continue  # to prepare it would load another model in place of this one
            elif not self._prepare(one):
                self._waiting.remove(one)
            elif not batch or one.ready.shape == batch[0].ready.shape:
                batch.append(one)
                self._waiting.remove(one)
                assert one.engine is not None
                if len(batch) >= one.engine.most(one.ready):
                    break
        return batch

    def _is_gone(self, one: _Waiting) -> bool:
        if not one.begun and not one.future.set_running_or_notify_cancel():
            return True
        one.begun = True
        if one.order.cancelled():
            _end(one.future, Cancelled())
            return True
        return False

    def _prepare(self, one: _Waiting) -> bool:
        """Whether it can be made. Its model may have been put away since it was prepared."""
        for other in self._waiting:
            if other.model != one.model:
                other.engine = other.ready = None  # or that model stayed in memory beside this one's
        found = _outcome(lambda: self._ready(one))
        self._sign = time.monotonic()
        if isinstance(found, BaseException):
            _end(one.future, found)
            return False
        one.engine, one.ready = found
        return True

    def _ready(self, one: _Waiting) -> tuple[Engine, Ready]:
        engine = self._engines.of(one.order.request)
        return engine, one.ready if one.engine is engine else engine.prepare(one.order)

    def _write(self, engine: Engine, one: _Waiting, picture: Picture) -> None:
        found = _outcome(lambda: engine.encode(picture, one.order))
        _end(one.future, found if isinstance(found, BaseException) else Made(found, picture.request, engine.fingerprint))


def _outcome(call: Callable[[], Any]) -> Any:
    """What it returns, or raises. A library that calls exit() ends its job, not the edge."""
    try:
        return call()
    except (StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit) as problem:  # none of these can pass through asyncio
        return RuntimeError(f"{type(problem).__name__}: {problem}")
    except BaseException as problem:
        return problem


def _end(future: Future[Made], result: Made | BaseException) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
