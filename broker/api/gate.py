"""What every request and WebSocket passes before anything looks at it: names, origins, how often, how much."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from protocol.errors import AlphaloomError
from signals import patch_files

from ..limits import Buckets
from ..settings import Settings, is_loopback
from . import problems

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^\s:/@\[\]]{1,253})(?::[0-9]{1,5})?")
_SAFE = ("GET", "HEAD", "OPTIONS")


class Gate:
    """ASGI. Refuses with our own errors, so it stands before the application."""

    def __init__(self, app: ASGIApp, settings: Settings):
        self._app, self._settings = app, settings
        self._buckets = Buckets(settings.requests_per_s, settings.requests_burst)
        self._hosts = _hosts(settings)
        self._origins = frozenset(origin.lower() for origin in settings.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            self._check_origin(scope, headers)
            self._check_rate(scope)
            if scope["type"] == "http":
                limit = body_limit(scope["path"], self._settings)
                _check_length(headers, limit)
                receive, send = _bounded(receive, limit), self._hardened(send)
        except AlphaloomError as error:
            await problems.response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        # A page elsewhere cannot have its own name point to us, and so make us of its own origin.
        found = _HOST.fullmatch(headers.get("host", ""))
        if found is None:
            raise AlphaloomError("unknown_host", "The header Host is missing, or is no name.")
        name = found[1].lower()
        if self._hosts is not None and not any(_matches(name, known) for known in self._hosts):
            raise AlphaloomError(
                "unknown_host",
                f"This broker is not called {name!r}. Who runs it can say that it is: --allowed-hosts {name}",
                host=name,
            )

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        # Browsers say which page asks: one from elsewhere may change nothing here, and hears nothing on a WebSocket.
        origin = headers.get("origin")
        if origin is None or (scope["type"] == "http" and scope["method"] in _SAFE):
            return
        own = urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
        if not own and origin.lower() not in self._origins:
            raise AlphaloomError(
                "foreign_origin",
                f"Pages of {origin[:80]!r} may not use this broker. Who runs it can let them: --allowed-origins ORIGIN",
                origin=origin[:80],
            )

    def _check_rate(self, scope: Scope) -> None:
        wait = self._buckets.take(address_of(scope))
        if wait:
            raise AlphaloomError(
                "too_many_requests",
                f"More than {self._settings.requests_per_s:g} requests a second came from your address. Wait a little.",
                seconds=round(wait, 3),
            )

    def _hardened(self, send: Send) -> Send:
        shared = "cross-origin" if self._origins else "same-origin"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cross-Origin-Resource-Policy", shared)
                headers.setdefault("X-Frame-Options", "DENY")
                headers.setdefault("Referrer-Policy", "no-referrer")
            await send(message)

        return sending


def address_of(scope: Scope) -> str:
    """Whom limits count as one: an address, or an IPv6 network of the size that one subscriber has."""
    host = scope["client"][0] if scope.get("client") else ""
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host.partition("%")[0])
            return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
        except ValueError:
            pass
    return str(host)


def body_limit(path: str, settings: Settings) -> int:
    if path == "/v1/blobs":
        return settings.max_binary_bytes
    if path == "/v1/patch":
        return patch_files.MAX_BYTES
    if path.startswith("/v1/rooms/") and path.endswith("/import"):
        return settings.max_bundle_bytes
    if path == "/sdapi/v1/img2img":
        return 2 * settings.max_binary_bytes * 4 // 3 + settings.max_text_bytes  # a picture and a mask in base64
    return settings.max_text_bytes


def _hosts(settings: Settings) -> frozenset[str] | None:
    """None: any. Who listens everywhere cannot know by which names they are found; there a token keeps strangers out."""
    if not is_loopback(settings.host) and not settings.allowed_hosts:
        return None
    own = f"[{settings.host}]" if ":" in settings.host else settings.host.lower()
    return frozenset({"127.0.0.1", "localhost", "[::1]", own, *settings.allowed_hosts})


def _matches(name: str, known: str) -> bool:
    return name == known or (known.startswith("*.") and name.endswith(known[1:]))


def _check_length(headers: Headers, limit: int) -> None:
    text = headers.get("content-length", "0")
    if text.isdecimal() and int(text[:20]) > limit:
        raise _too_large(limit)


def _bounded(receive: Receive, limit: int) -> Receive:
    """For who says no length, or a wrong one."""
    seen = 0

    async def receiving() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(413, _too_large(limit))  # type: ignore[arg-type]  # this kind passes through FastAPI
        return message

    return receiving


def _too_large(limit: int) -> AlphaloomError:
    return AlphaloomError("message_too_large", f"What is sent here may have {limit} bytes at most.", limit=limit)
