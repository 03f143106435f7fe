"""The websocket front end: dials in to a broker, takes jobs, runs one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import urllib.error
import urllib.request
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

from protocol import MAX_BINARY_BYTES, VERSION, wire
from protocol import messages as m
from protocol.address import Address
from protocol.errors import AlphaloomError

from .engine import MAX_SIDE, Cancelled, Engine

log = logging.getLogger("edge")

RETRY_S = (0.5, 1, 2, 5, 10)


async def serve(engine: Engine, address: Address, name: str) -> None:
    """Work for a broker until cancelled; come back to it when it was away.

    Raises AlphaloomError `no_broker` when it was never there, or what the broker refused us with.
    """
    tries, met = 0, False
    while True:
        try:
            async with connect(address.ws, max_size=MAX_BINARY_BYTES, proxy=None) as socket:
                await _greet(socket, engine, name)
                log.info("at work for %s with %s on %s", address.ws, engine.model.id, engine.device)
                tries, met = 0, True
                await _Session(socket, engine, address).run()
        except (OSError, websockets.WebSocketException, TimeoutError) as problem:
            if not met:
                raise no_broker(address, problem) from None
        delay = RETRY_S[min(tries, len(RETRY_S) - 1)]
        log.warning("the broker is gone; trying again in %g s", delay)
        await asyncio.sleep(delay)
        tries += 1


async def probe(address: Address) -> None:
    """Raises AlphaloomError `no_broker` when nobody answers: better said before a large model is loaded."""
    try:
        async with connect(address.ws, proxy=None):
            pass
    except (OSError, websockets.WebSocketException, TimeoutError) as problem:
        raise no_broker(address, problem) from None


def no_broker(address: Address, problem: Exception) -> AlphaloomError:
    return AlphaloomError(
        "no_broker",
        f"No broker answers at {address.ws} ({type(problem).__name__}). Start one with 'python -m broker', or name another "
        "with --broker.",
        address=address.ws,
    )


async def _greet(socket: ClientConnection, engine: Engine, name: str) -> None:
    await socket.send(wire.encode(m.Hello(VERSION, "edge", name, engine.model.id, MAX_SIDE)))
    answer = wire.decode(await asyncio.wait_for(socket.recv(), 10))
    if isinstance(answer, m.Error):
        raise AlphaloomError(answer.code, answer.message, **answer.detail)
    if not isinstance(answer, m.Hello) or answer.version != VERSION:
        raise AlphaloomError(
            "version_mismatch",
            f"The broker speaks protocol version {getattr(answer, 'version', 'unknown')}, this edge {VERSION}: update the "
            "older of the two.",
        )


class _Session:
    """One connection. Jobs run on a worker thread, so that the socket stays awake."""

    def __init__(self, socket: ClientConnection, engine: Engine, address: Address):
        self._socket, self._engine, self._address = socket, engine, address
        self._cancelled: dict[str, threading.Event] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._device = asyncio.Lock()

    async def run(self) -> None:
        try:
            async for data in self._socket:
                message = wire.decode(data)
                if isinstance(message, m.Run):
                    self._cancelled[message.job] = threading.Event()
                    task = asyncio.create_task(self._work(message))
                    self._jobs.add(task)
                    task.add_done_callback(self._jobs.discard)
                elif isinstance(message, m.Cancel) and message.job in self._cancelled:
                    self._cancelled[message.job].set()
                elif isinstance(message, m.Error):
                    log.error("the broker says: %s", message.message)
        finally:
            # Nobody waits for these any more: the broker gives them to another edge.
            for event in self._cancelled.values():
                event.set()
            await asyncio.gather(*self._jobs, return_exceptions=True)

    async def _work(self, run: m.Run) -> None:
        answer: Any
        try:
            source, mask = [await self._blob(name) for name in (run.request.source, run.request.mask)]
            async with self._device:
                picture, request = await asyncio.to_thread(self._run, run, source, mask, asyncio.get_running_loop())
            answer = m.Result(run.job, run.attempt, request, picture)
        except Cancelled:
            answer = m.JobFailed(run.job, run.attempt, "cancelled", "It was cancelled.")
        except AlphaloomError as error:
            answer = m.JobFailed(run.job, run.attempt, error.code, error.message)
        except Exception as problem:  # a job must end whatever the model does
            log.exception("job %s", run.job)
            answer = m.JobFailed(run.job, run.attempt, "edge_error", f"{type(problem).__name__}: {problem}")
        finally:
            self._cancelled.pop(run.job, None)
        await self._send(answer)

    def _run(self, run: m.Run, source: bytes | None, mask: bytes | None, loop: asyncio.AbstractEventLoop) -> Any:
        def on_step(step: int, steps: int) -> None:
            progress = m.Progress(run.job, step, steps, run.attempt)
            asyncio.run_coroutine_threadsafe(self._send(progress), loop)

        return self._engine.run(run.request, source, mask, on_step, self._cancelled[run.job].is_set)

    async def _send(self, message: Any) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            await self._socket.send(wire.encode(message))

    async def _blob(self, name: str | None) -> bytes | None:
        if name is None:
            return None
        try:
            return await asyncio.to_thread(_download, f"{self._address.http}/blobs/{name}")
        except urllib.error.URLError as problem:
            raise AlphaloomError("bad_source", f"The broker does not give blob {name}: {problem.reason}.") from None


def _download(url: str) -> bytes:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=30) as answer:
        return answer.read(MAX_BINARY_BYTES)
