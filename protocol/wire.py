"""How messages travel: JSON text, or for those with a payload one binary frame.

A binary frame is the header's length (4 bytes, big-endian), the header (JSON), the payload.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import types
import typing
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from .errors import AlphaloomError
from .messages import MESSAGES

_LENGTH = struct.Struct(">I")


def encode(message: Any) -> str | bytes:
    """A message as what a WebSocket sends: text, or bytes where it has a payload."""
    body = plain(message)
    payload = body.pop("payload", None)
    text = json.dumps({"type": type(message).__name__, **body}, separators=(",", ":"), allow_nan=False)
    if payload is None:
        return text
    header = text.encode()
    return _LENGTH.pack(len(header)) + header + payload


def split(data: str | bytes) -> tuple[str, dict[str, Any]]:
    """The message's type name and its fields, unchecked. A payload is in `fields["payload"]`.

    Raises AlphaloomError `malformed_message` when it is not a frame of ours.
    """
    payload = None
    try:
        if isinstance(data, bytes):
            (length,) = _LENGTH.unpack_from(data)
            if len(data) < _LENGTH.size + length:
                raise ValueError(f"the header says {length} bytes, the frame has {len(data)}")
            payload = data[_LENGTH.size + length :]
            data = data[_LENGTH.size : _LENGTH.size + length].decode()
        fields = json.loads(data, parse_constant=_refuse)
        name = fields.pop("type")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, struct.error) as problem:
        raise AlphaloomError(
            "malformed_message",
            f"Not a message: {problem}. Send a JSON object with a 'type', or a binary frame as docs/protocol.md says.",
            start=repr(data[:80]),
        ) from None
    if not isinstance(name, str) or name not in MESSAGES:
        raise AlphaloomError("unknown_message", f"No message is called {name!r}. Known: {', '.join(sorted(MESSAGES))}.")
    if payload is not None:
        fields["payload"] = payload
    return name, fields


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def decode(data: str | bytes) -> Any:
    """A message from a peer that is trusted to be well-formed (the broker): fields not known are left out.

    Raises AlphaloomError `malformed_message` or `unknown_message`.
    """
    name, fields = split(data)
    try:
        return build(MESSAGES[name], fields)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise AlphaloomError("malformed_message", f"{name} does not fit this version: {problem}.") from None


def plain(value: Any) -> Any:
    """A dataclass as dictionaries and lists, ready for JSON. Bytes stay bytes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def build(kind: Any, value: Any) -> Any:
    """The opposite of `plain`: a value of type `kind` (a dataclass, or what one's fields are made of)."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: build(hints[name], item) for name, item in value.items() if name in hints})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return build(next(a for a in arguments if a is not type(None)), value)
    if origin is tuple:
        return tuple(build(arguments[0], item) for item in value)
    if origin is dict:
        return {key: build(arguments[1], item) for key, item in value.items()}
    if kind is Any or origin is Literal:
        return value
    if kind is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
