"""Where a broker is: one address as people write it, and its WebSocket and HTTP forms."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from . import DEFAULT_PORT
from .errors import AlphaloomError

DEFAULT = f"ws://127.0.0.1:{DEFAULT_PORT}"


@dataclass(frozen=True)
class Address:
    ws: str
    http: str


def parse(text: str) -> Address:
    """`ws://HOST[:PORT]`, `http://…` or just `HOST[:PORT]`. Raises AlphaloomError `bad_address`."""
    url = text.strip()
    if "://" not in url:
        url = "ws://" + url
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in ("ws", "wss", "http", "https") or not parts.hostname:
        raise AlphaloomError("bad_address", f"{text!r} is no broker's address. Write it as {DEFAULT}.", address=text)
    # "localhost" may try IPv6 first, which costs seconds where nothing listens there.
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    host = f"[{host}]" if ":" in host else host
    secure = "s" if parts.scheme in ("wss", "https") else ""
    return Address(f"ws{secure}://{host}:{port}/v1/ws", f"http{secure}://{host}:{port}")
