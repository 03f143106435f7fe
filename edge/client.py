"""The websocket front end: dials in to a broker, works for it, comes back to it when it was away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

from protocol import MAX_BINARY_BYTES, VERSION, wire
from protocol import messages as m
from protocol.address import Address
from protocol.errors import PASSING, AlphaloomError

from .blobs import Blobs
from .session import HEARTBEAT_S, Models, Session
from .worker import Engines, Worker

log = logging.getLogger("edge")

RETRY_S = (0.5, 30.0)
"""The first and the longest pause before trying again."""
HELLO_S = 10.0


@dataclass(frozen=True)
class Broker:
    """Where it is, and what it takes to get in. Without `cafile` the system's authorities are believed."""

    address: Address
    token: str = ""
    cafile: str | None = None

    def tls(self) -> ssl.SSLContext | None:
        """None for a broker without TLS. Raises AlphaloomError `bad_cafile`."""
        if not self.address.ws.startswith("wss:"):
            return None
        try:
            return ssl.create_default_context(cafile=self.cafile)
        except OSError as problem:
            raise AlphaloomError(
                "bad_cafile", f"{self.cafile!r} holds no certificate (PEM): {problem}.", cafile=self.cafile
            ) from None


@dataclass(frozen=True)
class Offer:
    """What an edge says that it can, as in protocol.messages.Hello."""

    model: str
    models: dict[str, str]
    tasks: tuple[str, ...]
    max_side: int
    slots: int
    device: str
    """For the log."""


async def serve(
    engines: Engines,
    models: Models,
    offer: Callable[[], Offer],
    broker: Broker,
    name: str,
    drain: asyncio.Event | None = None,
    heartbeat_s: float = HEARTBEAT_S,
) -> None:
    """Work for a broker until `drain` is set, by us or by a Drain from the broker, and the jobs at hand are done.

    Raises AlphaloomError: `no_broker` when it was never there, `edge_stalled` when the device hangs, or what the broker
    refused us with.
    """
    drain = drain or asyncio.Event()
    worker = Worker(engines)
    tries, met = 0, False
    tls = broker.tls()
    async with contextlib.aclosing(Blobs(broker.address.http, broker.token, tls)) as blobs:
        while True:
            try:
                async with _dial(broker, tls) as socket:
                    mine = offer()
                    await _greet(socket, mine, name, broker.token)
                    log.info("at work for %s with %s on %s", broker.address.ws, mine.model, mine.device)
                    tries, met = 0, True
                    await Session(socket, worker, models, blobs, drain, heartbeat_s).run()
            except (OSError, websockets.WebSocketException, TimeoutError) as problem:
                if not met:
                    raise no_broker(broker.address, problem) from None
            except AlphaloomError as refusal:
                if not met or refusal.code not in PASSING:
                    raise
                log.warning("the broker says: %s", refusal.message)
            if drain.is_set():
                return
            delay = _pause(tries)
            log.warning("no broker; trying again in %.1f s", delay)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(drain.wait(), delay)
                return
            tries += 1


async def probe(broker: Broker) -> None:
    """Raises AlphaloomError `no_broker` when nobody answers: better said before a large model is loaded."""
    try:
        async with _dial(broker, broker.tls()):
            pass
    except (OSError, websockets.WebSocketException, TimeoutError) as problem:
        raise no_broker(broker.address, problem) from None


def no_broker(address: Address, problem: Exception) -> AlphaloomError:
    if isinstance(problem, ssl.SSLError):
        return AlphaloomError(
            "untrusted_broker",
            f"The broker at {address.ws} is not trusted: {problem.reason or problem}. Name its certificate with --cafile.",
            address=address.ws,
        )
    return AlphaloomError(
        "no_broker",
        f"No broker answers at {address.ws} ({type(problem).__name__}). Start one with 'python -m broker', or name another "
        "with --broker.",
        address=address.ws,
    )


def _dial(broker: Broker, tls: ssl.SSLContext | None) -> connect:
    more: dict[str, Any] = {"ssl": tls} if tls else {}
    # Pictures are compressed already.
    return connect(broker.address.ws, max_size=MAX_BINARY_BYTES, proxy=None, compression=None, **more)


def _pause(tries: int) -> float:
    """Longer each time, and never the same for two edges that lost the same broker."""
    first, longest = RETRY_S
    return min(longest, first * 2 ** min(tries, 10)) * random.uniform(0.5, 1.0)


async def _greet(socket: ClientConnection, offer: Offer, name: str, token: str) -> None:
    hello = m.Hello(
        VERSION,
        "edge",
        name,
        token,
        model=offer.model,
        models=offer.models,
        tasks=offer.tasks,
        max_side=offer.max_side,
        slots=offer.slots,
    )
    await socket.send(wire.encode(hello))
    answer = wire.decode(await asyncio.wait_for(socket.recv(), HELLO_S))
    if isinstance(answer, m.Error):
        raise AlphaloomError(answer.code, answer.message, **answer.detail)
    if not isinstance(answer, m.Hello) or answer.version != VERSION:
        raise AlphaloomError(
            "version_mismatch",
            f"The broker speaks protocol version {getattr(answer, 'version', 'unknown')}, this edge {VERSION}: update the "
            "older of the two.",
        )
