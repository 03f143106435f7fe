"""The port, TLS and the server: from settings to something that answers."""

from __future__ import annotations

import logging
import socket
import ssl
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from protocol.errors import AlphaloomError

from .settings import Settings

log = logging.getLogger("broker")

GRACE_S = 3
"""For requests under way when the broker is told to stop; WebSockets are told at once."""
_SLACK = 1 << 20


def listen(settings: Settings) -> socket.socket:
    """Raises AlphaloomError `no_port`."""
    host, port = settings.host, settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        both = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server(address[:2], family=family, dualstack_ipv6=both)
        # Inherited by each connection. asyncio sets it only where a socket says that it is TCP, which these do not: small
        # answers then waited 40 ms for the other side's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise AlphaloomError(
            "no_port",
            f"Cannot listen on {host}, port {port}: {reason}. Stop the program that uses it, or give another port, "
            f"and another data folder where that is a broker: python -m broker {min(port + 1, 65535)} --data FOLDER",
            port=port,
        ) from None


def check_certificate(settings: Settings) -> None:
    """Raises AlphaloomError `bad_certificate` for what TLS cannot use; better now than at the first connection."""
    if settings.certfile is None:
        return
    for file in filter(None, (settings.certfile, settings.keyfile)):
        _readable(file)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.certfile, settings.keyfile, password=lambda: "")
    except (OSError, ValueError) as problem:  # ssl.SSLError is an OSError
        raise AlphaloomError(
            "bad_certificate",
            f"{str(settings.certfile)!r} and {str(settings.keyfile or settings.certfile)!r} are no certificate with its key: "
            f"{getattr(problem, 'strerror', None) or getattr(problem, 'reason', None) or problem}. Both must be PEM, the key "
            "without a password.",
        ) from None


def address(settings: Settings, listener: socket.socket) -> str:
    """Where a WebSocket finds us: ws://HOST:PORT."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{settings.scheme}://{host}:{listener.getsockname()[1]}"


def server(settings: Settings, app: ASGIApp) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        loop="broker.watchdog:WatchedLoop",
        # Larger than what a message may be, so that one a little too large is answered and not cut off.
        ws_max_size=max(settings.max_binary_bytes, settings.max_text_bytes) + _SLACK,
        # Pictures are compressed already, and small texts gain nothing: it would cost time and memory of every connection.
        ws_per_message_deflate=False,
        # WebSockets are counted and answered by ourselves; this bounds everything else that is open.
        limit_concurrency=2 * settings.max_connections,
        # Nobody but a proxy that was named may say whom he speaks for.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        server_header=False,
        ssl_certfile=settings.certfile,
        ssl_keyfile=settings.keyfile,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_S,
    )
    logging.getLogger("uvicorn.error").addFilter(_calmly)
    return uvicorn.Server(config)


def _calmly(record: logging.LogRecord) -> bool:
    """What a peer does wrong is no mistake of ours: a line, and no traceback."""
    if str(record.msg).startswith("Invalid UTF-8"):
        record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
    return True


def _readable(file: Path) -> None:
    try:
        with open(file, "rb"):
            pass
    except OSError as problem:
        raise AlphaloomError("bad_certificate", f"Cannot read {str(file)!r}: {problem.strerror}.") from None
