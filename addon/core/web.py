"""One HTTP request to the broker, in the asyncio loop that Blender steps. No `bpy`, no thread.

h11 reads and writes the protocol; here are only its sockets.
"""

from __future__ import annotations

import asyncio
import json
import ssl

import h11

from .shared import address, errors

LIMIT = 64 * 1024 * 1024
"""Bytes of an answer; a larger one is refused."""
TIMEOUT_S = 60.0
_AGENT = "alphaloom-blender"


async def ask(goal: address.Address, token: str, method: str, path: str, body: bytes = b"") -> bytes:
    """The body of the broker's answer to `path`, which begins with a slash.

    Raises AlphaloomError: what the broker says where it refuses, `no_broker` where it is not there or stops half-way,
    `too_large` for more than `LIMIT` bytes.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _ask(goal, token, method, path, body)
    except (OSError, TimeoutError, EOFError, h11.RemoteProtocolError) as problem:
        why = "it does not answer in time" if isinstance(problem, TimeoutError) else problem or type(problem).__name__
        raise errors.AlphaloomError("no_broker", f"{goal.http}{path} cannot be had: {why}.") from None
    except (h11.LocalProtocolError, UnicodeError) as problem:
        raise errors.AlphaloomError("bad_request", f"{method} {path!r} cannot be asked: {problem}.") from None


async def _ask(goal: address.Address, token: str, method: str, path: str, body: bytes) -> bytes:
    scheme, _, authority = goal.http.partition("://")
    host, _, port = authority.rpartition(":")
    if not token.isascii() or not token.isprintable():
        raise errors.AlphaloomError("bad_token", "The token in the preferences has characters that none has: copy it again.")
    secure = ssl.create_default_context() if scheme == "https" else None
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=secure)
    try:
        known = h11.Connection(h11.CLIENT)
        headers = [("Host", authority), ("User-Agent", _AGENT), ("Content-Length", str(len(body))), ("Connection", "close")]
        if token:
            headers.append(("Authorization", f"Bearer {token}"))
        for event in (h11.Request(method=method, target=path, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            writer.write(known.send(event) or b"")
        await writer.drain()
        status, answer = await _read(known, reader)
    finally:
        writer.close()
    if status >= 400:
        raise _refusal(status, answer, path)
    return answer


async def _read(known: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, parts, size = 0, [], 0
    while True:
        event = known.next_event()
        if event is h11.NEED_DATA:
            known.receive_data(await reader.read(256 * 1024))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
            size += len(event.data)
            if size > LIMIT:
                raise errors.AlphaloomError("too_large", f"The broker's answer has more than {LIMIT} bytes.")
        elif isinstance(event, h11.EndOfMessage):
            return status, b"".join(parts)
        elif isinstance(event, h11.ConnectionClosed):
            raise EOFError("the connection ended half-way")


def _refusal(status: int, answer: bytes, path: str) -> errors.AlphaloomError:
    try:
        said = json.loads(answer)
        return errors.AlphaloomError(str(said["code"]), str(said["message"]))
    except (ValueError, KeyError, TypeError):
        return errors.AlphaloomError("refused", f"The broker answers {path} with {status}.")
