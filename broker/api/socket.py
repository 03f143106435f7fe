"""The WebSocket's door: how many, who, and how much they may say."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from protocol import messages as m
from protocol import wire
from protocol.errors import AlphaloomError

from .. import sessions
from ..auth import Auth
from ..hub import Hub
from ..limits import Bucket, Connections
from ..settings import Settings, is_loopback
from ..who import Who
from .gate import address_of

_CLOSE_LATER, _CLOSE_POLICY = 1013, 1008


class Socket(WebSocket):
    """One that can be made to hear a goodbye, between two messages: what is under way is not torn."""

    def __init__(self, scope: Scope, receive: Receive, send: Send):
        super().__init__(scope, receive, send)
        self.is_shown_out = False
        self._listener: asyncio.Task[object] | None = None

    def show_out(self) -> None:
        self.is_shown_out = True
        if self._listener is not None:
            self._listener.cancel()

    async def receive(self) -> Message:
        if self.is_shown_out:
            return {"type": "websocket.disconnect", "code": _CLOSE_POLICY}
        self._listener = asyncio.current_task()
        try:
            return await super().receive()
        except asyncio.CancelledError:
            if not self.is_shown_out or self._listener is None:
                raise
            self._listener.uncancel()
            return {"type": "websocket.disconnect", "code": _CLOSE_POLICY}
        finally:
            self._listener = None


class Door:
    """ASGI, for the route /v1/ws."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self.connections = Connections(settings.max_connections)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = Socket(scope, receive, send)
        hub: Hub = scope["app"].state.hub
        auth: Auth = scope["app"].state.auth
        try:
            with self.connections.enter(), ExitStack() as watching:
                await sessions.serve(socket, hub, self._door(socket, auth, watching))
        except AlphaloomError as error:  # there are too many
            await socket.accept()
            await _say_goodbye(socket, error, _CLOSE_LATER)
        if socket.is_shown_out:
            gone = AlphaloomError("bad_token", "The token that you came in with was taken away or changed.")
            await _say_goodbye(socket, gone, _CLOSE_POLICY)

    def _door(self, socket: Socket, auth: Auth, watching: ExitStack) -> sessions.Door:
        bucket = Bucket(self._settings.messages_per_s, self._settings.messages_burst)
        peer = socket.client.host if socket.client else ""

        def admit(hello: m.Hello) -> Who:
            who = auth.admit(hello, address_of(socket.scope), is_loopback(peer))
            watching.enter_context(auth.watch(hello.token, socket.show_out))
            return who

        return sessions.Door(admit, bucket.spend, self._settings.max_text_bytes, self._settings.max_binary_bytes)


async def _say_goodbye(socket: WebSocket, error: AlphaloomError, code: int) -> None:
    if socket.application_state is not WebSocketState.CONNECTED:
        return
    try:
        await socket.send_text(str(wire.encode(m.Error(error.code, error.message, error.detail))))
        await socket.close(code, error.code)
    except (WebSocketDisconnect, RuntimeError):
        pass  # gone already
