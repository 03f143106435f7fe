"""One connection to a broker, from the hello on: jobs in, pictures out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

from protocol import messages as m
from protocol import wire
from protocol.errors import AlphaloomError

from .blobs import Blobs
from .worker import Cancelled, Made, Worker

log = logging.getLogger("edge")

HEARTBEAT_S = 4.0
"""A third of the broker's lease."""
PROGRESS_S = 0.1
"""Progress is told no more often; a fast model's steps would cost it more time than they tell."""


@dataclass(frozen=True)
class _Job:
    run: m.Run
    cancelled: threading.Event
    making: asyncio.Task[Made]

    def cancel(self) -> None:
        """The engine sees it after its step; whoever waits for the engine, or for a source, hears it at once."""
        self.cancelled.set()
        self.making.cancel()


class Session:
    """Ends when the connection does, or, once `drain` is set, when the jobs at hand are done."""

    def __init__(
        self, socket: ClientConnection, worker: Worker, blobs: Blobs, drain: asyncio.Event, heartbeat_s: float = HEARTBEAT_S
    ):
        self._socket, self._worker, self._blobs, self._drain = socket, worker, blobs, drain
        self._heartbeat_s = heartbeat_s
        self._jobs: dict[str, _Job] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._open = True

    async def run(self) -> None:
        """Raises AlphaloomError `edge_stalled` when the device hangs, and what websockets raises for a lost connection."""
        parts = [asyncio.create_task(part) for part in (self._receive(), self._beat(), self._leave())]
        try:
            ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in ended:
                part.result()
        finally:
            # Nobody waits for these results any more: the broker gives the jobs to another edge, or to us anew.
            self._open = False
            for job in self._jobs.values():
                job.cancel()
            for part in parts:
                part.cancel()
            await asyncio.gather(*self._answers, *parts, return_exceptions=True)

    async def _receive(self) -> None:
        async for data in self._socket:
            try:
                message = wire.decode(data)
            except AlphaloomError as problem:
                log.error("%s", problem.message)
                continue
            if isinstance(message, m.Run):
                self._take(message)
            elif isinstance(message, m.Cancel) and message.job in self._jobs:
                self._jobs[message.job].cancel()
            elif isinstance(message, m.Drain):
                self._drain.set()
            elif isinstance(message, m.Error):
                log.error("the broker says: %s", message.message)

    async def _beat(self) -> None:
        """Keep the leases, for as long as the jobs can still be done."""
        while True:
            await asyncio.sleep(self._heartbeat_s)
            self._worker.check()
            if self._jobs:
                await self._send(m.Heartbeat(tuple(self._jobs)))

    async def _leave(self) -> None:
        await self._drain.wait()
        log.info("leaving; jobs to finish: %d", len(self._jobs))
        await self._send(m.Drain())
        if self._answers:
            await asyncio.wait(self._answers)

    def _take(self, run: m.Run) -> None:
        if self._drain.is_set():
            log.info("job %s crossed our Drain on the way, and goes back", run.job)
            self._begin(self._send(m.JobFailed(run.job, run.attempt, "draining", "The edge is about to leave.")))
            return
        before = self._jobs.get(run.job)
        if before is not None:
            before.cancel()  # the broker has given up that attempt
        cancelled = threading.Event()
        job = self._jobs[run.job] = _Job(run, cancelled, asyncio.create_task(self._make(run, cancelled)))
        self._begin(self._answer(job))

    def _begin(self, answering: Coroutine[Any, Any, None]) -> None:
        """What is waited for before we leave."""
        answer = asyncio.create_task(answering)
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    async def _make(self, run: m.Run, cancelled: threading.Event) -> Made:
        loop = asyncio.get_running_loop()
        told = 0.0

        def on_step(step: int, steps: int) -> None:
            nonlocal told
            now = time.monotonic()
            if not cancelled.is_set() and (step == steps or now - told >= PROGRESS_S):
                told = now
                asyncio.run_coroutine_threadsafe(self._send(m.Progress(run.job, step, steps, run.attempt)), loop)

        source, mask = [await self._blobs.get(name) if name else None for name in (run.request.source, run.request.mask)]
        return await self._worker.run(run.request, source, mask, on_step, cancelled.is_set)

    async def _answer(self, job: _Job) -> None:
        run = job.run
        answer: m.Result | m.JobFailed
        try:
            picture, request = await job.making
            answer = m.Result(run.job, run.attempt, request, picture)
        except (Cancelled, asyncio.CancelledError):
            answer = m.JobFailed(run.job, run.attempt, "cancelled", "It was cancelled.")
        except AlphaloomError as error:
            answer = m.JobFailed(run.job, run.attempt, error.code, error.message)
        except Exception as problem:  # a job must end whatever the model does
            log.exception("job %s", run.job)
            answer = m.JobFailed(run.job, run.attempt, "edge_error", f"{type(problem).__name__}: {problem}")
        if self._jobs.get(run.job) is job:
            del self._jobs[run.job]
        await self._send(answer)

    async def _send(self, message: Any) -> None:
        if self._open:
            with contextlib.suppress(websockets.ConnectionClosed):
                await self._socket.send(wire.encode(message))
