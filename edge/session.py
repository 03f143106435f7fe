"""One connection to a broker, from the hello on: jobs in, pictures out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import websockets
from websockets.asyncio.client import ClientConnection

from protocol import messages as m
from protocol import wire
from protocol.errors import AlphaloomError
from protocol.manifest import Kind
from protocol.model import ResolvedRequest

from .blobs import Blobs
from .orders import Cancelled, Order
from .worker import Made, Worker

log = logging.getLogger("edge")

HEARTBEAT_S = 4.0
"""A third of the broker's lease."""
PROGRESS_S = 0.1
"""Progress is told no more often; a fast model's steps would cost it more time than they tell."""
PULLING_S = 0.5
_PATH = re.compile(
    r"""(?<=['"])(?:~?/|[A-Za-z]:[\\/])[^'"]+(?=['"])"""  # quoted it may have spaces
    r"""|(?<![\w:/.~])~?/(?:[^\s/'":;,]+/)+[^\s/'":;,]*"""
    r"""|\b[A-Za-z]:\\[^\s'":;,]+"""
)
"""An absolute path; what stands in a URL is none."""


class Models(Protocol):
    """Where models come from."""

    async def ensure(self, id: str, progress: Callable[[int, int], None], kind: Kind) -> Any:
        """Until it is on this machine; `progress` is called with bytes received and in all.

        Raises AlphaloomError, also for one that is not of that kind.
        """


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
        self,
        socket: ClientConnection,
        worker: Worker,
        models: Models,
        blobs: Blobs,
        drain: asyncio.Event,
        heartbeat_s: float = HEARTBEAT_S,
    ):
        self._socket, self._worker, self._models, self._blobs, self._drain = socket, worker, models, blobs, drain
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
        loop, request = asyncio.get_running_loop(), run.request

        def say(message: Any) -> None:
            if not cancelled.is_set():
                asyncio.run_coroutine_threadsafe(self._send(message), loop)

        told = 0.0

        def on_step(step: int, steps: int) -> None:
            nonlocal told
            now = time.monotonic()
            if step == steps or now - told >= PROGRESS_S:
                told = now
                say(m.Progress(run.job, step, steps, run.attempt))

        await self._pull(run, say)
        source, mask, depth = [
            await self._blobs.get(name) if name else None for name in (request.source, request.mask, request.depth)
        ]
        return await self._worker.run(
            Order(
                request,
                source,
                mask,
                depth,
                modulation=run.modulation,
                on_step=on_step,
                on_preview=(lambda jpeg: say(m.Preview(run.job, jpeg, run.attempt))) if run.previews else None,
                cancelled=cancelled.is_set,
            )
        )

    async def _pull(self, run: m.Run, say: Callable[[Any], None]) -> None:
        """Until all that the request names is on this machine."""
        for id, kind in _needed(run.request):
            told = 0.0

            def progress(received: int, size: int, id: str = id) -> None:
                nonlocal told
                now = time.monotonic()
                if now - told >= PULLING_S:
                    told = now
                    say(m.Pulling(run.job, run.attempt, id, received, size))

            await self._models.ensure(id, progress, kind)

    async def _answer(self, job: _Job) -> None:
        run = job.run
        answer: m.Result | m.JobFailed
        try:
            made = await job.making
            answer = m.Result(run.job, run.attempt, made.request, made.png, made.fingerprint)
        except (Cancelled, asyncio.CancelledError):
            answer = m.JobFailed(run.job, run.attempt, "cancelled", "It was cancelled.")
        except AlphaloomError as error:
            answer = m.JobFailed(run.job, run.attempt, error.code, _without_paths(error.message))
            if answer.message != error.message:
                log.warning("job %s: %s", run.job, error.message)
        except Exception as problem:  # a job must end whatever the model does
            log.exception("job %s", run.job)
            answer = m.JobFailed(run.job, run.attempt, "edge_error", _without_paths(f"{type(problem).__name__}: {problem}"))
        if self._jobs.get(run.job) is job:
            del self._jobs[run.job]
        await self._send(answer)

    async def _send(self, message: Any) -> None:
        if self._open:
            with contextlib.suppress(websockets.ConnectionClosed):
                await self._socket.send(wire.encode(message))


def _needed(request: ResolvedRequest) -> list[tuple[str, Kind]]:
    """Ids of the manifest, and as what they are used."""
    named: list[tuple[str, Kind]] = [(request.model, "model"), *((lora.id, "lora") for lora in request.loras)]
    if request.depth:
        named.append((request.control, "controlnet"))
    return [(id, kind) for id, kind in dict.fromkeys(named) if id]


def _without_paths(text: str) -> str:
    """Of a path on this machine its last name alone: where things are here is nobody's business there."""
    return _PATH.sub(lambda path: re.split(r"[\\/]+", path[0].rstrip("\\/"))[-1], text)
