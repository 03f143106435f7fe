"""One WebSocket from hello to goodbye: what comes is validated, what fails is answered, the connection lives on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import reprlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, get_args

import pydantic
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from protocol import MAX_BINARY_BYTES, MAX_TEXT_BYTES, VERSION, check, wire
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Role

from . import shapes
from .dispatch import Edge
from .hub import Hub
from .outbox import Outbox, SlowPeer
from .people import Client
from .who import Who

log = logging.getLogger("broker")

HELLO_TIMEOUT_S = 10.0
_CLOSE_PROTOCOL, _CLOSE_SLOW = 1002, 1013
_VALIDATORS = {cls.__name__: shapes.validator(cls) for cls in (*m.FROM_CLIENT, *m.FROM_EDGE)}
_SHORT = reprlib.Repr()
_SHORT.maxstring = 80


def parse(data: str | bytes, max_text: int = MAX_TEXT_BYTES, max_binary: int = MAX_BINARY_BYTES) -> Any:
    """A validated message from a peer. Raises AlphaloomError that says what to mend."""
    limit, what = (max_text, "text") if isinstance(data, str) else (max_binary, "binary")
    if len(data) > limit:
        raise AlphaloomError(
            "message_too_large",
            f"A {what} message of {len(data)} bytes came; the most is {limit}.",
            size=len(data),
            limit=limit,
        )
    name, fields = wire.split(data)
    if name == m.Hello.__name__:
        _check_version(fields.get("version"))
    if name not in _VALIDATORS:
        raise AlphaloomError("unexpected_message", f"{name} is the broker's to send.")
    try:
        return _VALIDATORS[name].validate_python(fields, strict=False)
    except pydantic.ValidationError as problem:
        where, why, got = shapes.first_of(problem)
        where = where or "the message"
        asked = {key: fields[key] for key in ("id", "job") if isinstance(fields.get(key), str)}
        message = f"{name}: {where}: {why}, got {_SHORT.repr(got)[:100]}."
        raise AlphaloomError("invalid_message", message, field=where, **asked) from None


@dataclass(frozen=True)
class Door:
    """What a connection has to pass: who it is, and how much it may say."""

    admit: Callable[[m.Hello], Who]
    """Raises AlphaloomError where it may not come in."""
    pace: Callable[[], float] = lambda: 0.0
    """Called after each message: the seconds until the next one is read. Who says too much is heard later, not less."""
    max_text: int = MAX_TEXT_BYTES
    max_binary: int = MAX_BINARY_BYTES

    def parse(self, data: str | bytes) -> Any:
        return parse(data, self.max_text, self.max_binary)


async def serve(socket: WebSocket, hub: Hub, door: Door) -> None:
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        try:
            hello = await _greet(socket)
            who = door.admit(hello)
            if hello.role == "edge":
                await _serve_edge(socket, hub, hello, who, door)
            else:
                await _serve_client(socket, hub, hello, who, door)
        except AlphaloomError as error:
            log.warning("a peer was turned away: %s", error.code)  # what it said may hold a prompt
            await socket.send_text(str(wire.encode(_report(error))))
            await socket.close(_CLOSE_PROTOCOL, error.code)


async def _greet(socket: WebSocket) -> m.Hello:
    try:
        hello = parse(await asyncio.wait_for(_receive(socket), HELLO_TIMEOUT_S))
    except TimeoutError:
        raise AlphaloomError("no_hello", f"No hello came within {HELLO_TIMEOUT_S:g} s.") from None
    if not isinstance(hello, m.Hello):
        raise AlphaloomError("no_hello", f"The first message must be Hello, not {type(hello).__name__}.")
    _check_version(hello.version)
    if hello.role not in get_args(Role):
        roles = ", ".join(get_args(Role))
        raise AlphaloomError("bad_role", f"A peer's role is one of {roles}, not {hello.role[:80]!r}.")
    check.hello(hello)
    return hello


def _check_version(yours: Any) -> None:
    """Before anything else of a Hello, whose fields may have been others in another version. What is no number is for the
    validation. Raises AlphaloomError `version_mismatch`."""
    if isinstance(yours, int) and yours != VERSION:
        raise AlphaloomError(
            "version_mismatch",
            f"You speak protocol version {str(yours)[:20]}, this broker {VERSION}: update the older of the two.",
            yours=yours,
            mine=VERSION,
        )


async def _welcome(socket: WebSocket, who: Who, room: str, client: str = "") -> None:
    await socket.send_text(str(wire.encode(m.Hello(VERSION, who.role, who.person, room=room, client=client))))


async def _serve_client(socket: WebSocket, hub: Hub, hello: m.Hello, who: Who, door: Door) -> None:
    client = Client(who, hello.room)
    hub.room(hello.room)
    await _welcome(socket, who, client.room, client.id)
    hub.join(client, hello)

    try:
        await _converse(socket, hub, client.outbox, lambda message: hub.handle_client(client, message), door.parse, door.pace)
    finally:
        hub.leave(client)


async def _serve_edge(socket: WebSocket, hub: Hub, hello: m.Hello, who: Who, door: Door) -> None:
    edge = Edge(hello, who.person if hello.token else "")
    await _welcome(socket, who, "")
    log.info("edge %s joined with model %s", edge.name, edge.model)
    hub.work.join_edge(edge)
    try:
        await _converse(socket, hub, edge.outbox, lambda message: hub.work.handle_edge(edge, message), door.parse)
    finally:
        log.info("edge %s left", edge.name)
        hub.work.leave_edge(edge)


async def _converse(
    socket: WebSocket,
    hub: Hub,
    outbox: Outbox,
    handle: Callable[[Any], Awaitable[None]],
    parse: Callable[[str | bytes], Any],
    pace: Callable[[], float] = lambda: 0.0,
) -> None:
    sender = asyncio.create_task(_send(socket, hub, outbox))
    try:
        while True:
            data = await _receive(socket)
            hub.metrics.heard()
            if isinstance(data, bytes):
                hub.metrics.blob("in", len(data))
            message: Any = None
            try:
                message = parse(data)
                await handle(message)
            except WebSocketDisconnect:
                raise
            except Exception as problem:
                error = problem if isinstance(problem, AlphaloomError) else _mistake(message)
                hub.metrics.error(error.code)
                outbox.put(_report(error, message))
            if rest := pace():
                await asyncio.sleep(rest)
    finally:
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sender


async def _send(socket: WebSocket, hub: Hub, outbox: Outbox) -> None:
    try:
        while True:
            data = await outbox.get()
            if isinstance(data, str):
                await socket.send_text(data)
            else:
                await socket.send_bytes(data)
                hub.metrics.blob("out", len(data))
            hub.metrics.said()
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


def _mistake(message: Any) -> AlphaloomError:
    """Of ours: the connection, and an edge's other jobs, live on."""
    log.exception("a %s could not be handled", type(message).__name__)
    return AlphaloomError("internal", "Something went wrong in the broker. Its log says what.")


def _report(error: AlphaloomError, message: Any = None) -> m.Error:
    """With the id of what was asked, so that who asked knows what was not done."""
    about = getattr(message, "id", "") or getattr(message, "job", "") or getattr(message, "node", "")
    about = about or next((error.detail[kind] for kind in ("id", "job", "node") if error.detail.get(kind)), "")
    return m.Error(error.code, error.message, error.detail, str(about))
