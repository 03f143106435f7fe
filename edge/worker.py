"""The one thread that diffusion runs on, so that the socket stays awake; and whether it can still be trusted."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from protocol.errors import AlphaloomError
from protocol.model import ResolvedRequest

from .models import Model

STALL_S = 600.0
"""A device that has not done a step, or what is before and after the steps, in so long hangs."""

OnStep = Callable[[int, int], None]
"""Called after each diffusion step with (steps done, steps in all)."""
Made = tuple[bytes, ResolvedRequest]


class Cancelled(Exception):
    """The job was cancelled between two steps."""


class Runs(Protocol):
    """What runs a job: the engine, or in tests and benchmarks something that only seems to."""

    model: Model
    device: str
    tasks: tuple[str, ...]
    max_side: int
    fingerprint: str

    def run(
        self,
        request: ResolvedRequest,
        source: bytes | None,
        mask: bytes | None,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Made: ...


class Worker:
    """Runs what it is given, one after the other. Its thread is never waited for at the end of the program."""

    def __init__(self, engine: Runs, stall_s: float = STALL_S):
        self.engine = engine
        self._stall_s = stall_s
        self._waiting: queue.SimpleQueue[tuple[Future[Made], Callable[[], Made]]] = queue.SimpleQueue()
        self._sign: float | None = None
        """When the job at hand last showed that it moves; None: there is none."""
        self._thread = threading.Thread(target=self._loop, name="diffusion", daemon=True)
        self._thread.start()

    async def run(
        self,
        request: ResolvedRequest,
        source: bytes | None,
        mask: bytes | None,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Made:
        """As Engine.run. One that is cancelled while it waits for the device never begins."""

        def stepped(step: int, steps: int) -> None:
            self._sign = time.monotonic()
            on_step(step, steps)

        def call() -> Made:
            if cancelled():
                raise Cancelled
            return self.engine.run(request, source, mask, stepped, cancelled)

        future: Future[Made] = Future()
        self._waiting.put((future, call))
        return await asyncio.wrap_future(future)

    def check(self) -> None:
        """Raises AlphaloomError `edge_stalled` when nothing that was given to the thread will be done any more."""
        sign = self._sign
        if not self._thread.is_alive():
            raise AlphaloomError("edge_stalled", "The worker thread has died; start the edge again.")
        if sign is not None and time.monotonic() - sign > self._stall_s:
            raise AlphaloomError(
                "edge_stalled",
                f"The device {self.engine.device} has not finished a step in {self._stall_s:g} s; start the edge again.",
            )

    def _loop(self) -> None:
        while True:
            future, call = self._waiting.get()
            if not future.set_running_or_notify_cancel():
                continue
            self._sign = time.monotonic()
            _settle(future, call)
            self._sign = None
            del future, call  # or the last picture would be kept until the next job


def _settle(future: Future[Made], call: Callable[[], Any]) -> None:
    try:
        made = call()
    except (StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit) as problem:
        # A library that calls exit() ends its job, not the edge; and none of these can pass through asyncio.
        future.set_exception(RuntimeError(f"{type(problem).__name__}: {problem}"))
    except BaseException as problem:
        future.set_exception(problem)
    else:
        future.set_result(made)
