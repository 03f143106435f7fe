"""One WebSocket from hello to goodbye: what comes is validated, what fails is answered, the connection lives on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pydantic
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from protocol import MAX_BINARY_BYTES, MAX_TEXT_BYTES, VERSION, wire
from protocol import messages as m
from protocol.errors import AlphaloomError

from .hub import Edge, Hub
from .outbox import Outbox, SlowPeer

log = logging.getLogger("broker")

HELLO_TIMEOUT_S = 10.0
_CLOSE_PROTOCOL, _CLOSE_SLOW = 1002, 1013
_ADAPTERS = {cls.__name__: pydantic.TypeAdapter(cls) for cls in (*m.FROM_CLIENT, *m.FROM_EDGE)}


def parse(data: str | bytes) -> Any:
    """A validated message from a peer. Raises AlphaloomError that says what to mend."""
    limit, what = (MAX_TEXT_BYTES, "text") if isinstance(data, str) else (MAX_BINARY_BYTES, "binary")
    if len(data) > limit:
        raise AlphaloomError(
            "message_too_large",
            f"A {what} message of {len(data)} bytes came; the most is {limit}.",
            size=len(data),
            limit=limit,
        )
    name, fields = wire.split(data)
    if name not in _ADAPTERS:
        raise AlphaloomError("unexpected_message", f"{name} is the broker's to send.")
    try:
        return _ADAPTERS[name].validate_python(fields, strict=False)
    except pydantic.ValidationError as problem:
        first = problem.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the message"
        raise AlphaloomError(
            "invalid_message", f"{name}: {where}: {first['msg']}, got {str(first['input'])[:80]!r}.", field=where
        ) from None


async def serve(socket: WebSocket, hub: Hub) -> None:
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        try:
            hello = await _greet(socket)
            if hello.role == "edge":
                await _serve_edge(socket, hub, hello)
            else:
                await _serve_client(socket, hub)
        except AlphaloomError as error:
            log.warning("a peer was turned away: %s", error.message)
            await socket.send_text(str(wire.encode(_report(error))))
            await socket.close(_CLOSE_PROTOCOL, error.code)


async def _greet(socket: WebSocket) -> m.Hello:
    try:
        hello = parse(await asyncio.wait_for(_receive(socket), HELLO_TIMEOUT_S))
    except TimeoutError:
        raise AlphaloomError("no_hello", f"No hello came within {HELLO_TIMEOUT_S:g} s.") from None
    if not isinstance(hello, m.Hello):
        raise AlphaloomError("no_hello", f"The first message must be Hello, not {type(hello).__name__}.")
    if hello.version != VERSION:
        raise AlphaloomError(
            "version_mismatch",
            f"You speak protocol version {hello.version}, this broker {VERSION}: update the older of the two.",
            yours=hello.version,
            mine=VERSION,
        )
    if hello.role not in ("client", "edge"):
        raise AlphaloomError("bad_role", f"A peer is a 'client' or an 'edge', not {hello.role[:80]!r}.")
    await socket.send_text(str(wire.encode(m.Hello(VERSION, "broker", "alphaloom"))))
    return hello


async def _serve_client(socket: WebSocket, hub: Hub) -> None:
    outbox = Outbox()
    hub.join(outbox)
    try:
        await _converse(socket, outbox, lambda message: hub.handle_client(outbox, message))
    finally:
        hub.leave(outbox)


async def _serve_edge(socket: WebSocket, hub: Hub, hello: m.Hello) -> None:
    edge = Edge(hello)
    log.info("edge %s joined with model %s", edge.name, edge.model)
    await hub.join_edge(edge)
    try:
        await _converse(socket, edge.outbox, lambda message: hub.handle_edge(edge, message))
    finally:
        log.info("edge %s left", edge.name)
        await hub.leave_edge(edge)


async def _converse(socket: WebSocket, outbox: Outbox, handle: Callable[[Any], Awaitable[None]]) -> None:
    sender = asyncio.create_task(_send(socket, outbox))
    try:
        while True:
            data = await _receive(socket)
            try:
                await handle(parse(data))
            except AlphaloomError as error:
                outbox.put(_report(error))
    finally:
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sender


async def _send(socket: WebSocket, outbox: Outbox) -> None:
    try:
        while True:
            data = await outbox.get()
            await (socket.send_text(data) if isinstance(data, str) else socket.send_bytes(data))
    except SlowPeer:
        log.warning("a peer is too far behind and is disconnected")
        await socket.close(_CLOSE_SLOW, "too far behind")
    except (WebSocketDisconnect, RuntimeError):
        if socket.client_state is not WebSocketState.DISCONNECTED:
            raise


async def _receive(socket: WebSocket) -> str | bytes:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    text = message.get("text")
    return message["bytes"] if text is None else text


def _report(error: AlphaloomError) -> m.Error:
    about = error.detail.get("job") or error.detail.get("node") or ""
    return m.Error(error.code, error.message, error.detail, str(about))
