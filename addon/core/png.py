"""Pixels as a PNG, with nothing but the standard library and numpy."""

from __future__ import annotations

import struct
import zlib

from .arrays import Array, np

_COLOURS = {1: 0, 3: 2, 4: 6}
"""A PNG's colour type, by channels."""


def encode(pixels: Array) -> bytes:
    """A PNG of (height, width) or (height, width, channels) bytes: grey, RGB or RGBA, the top row first."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter: 0, none
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def suffix(data: bytes) -> str:
    """What a file of these bytes is called: `.png`, `.jpg` or `.webp`; empty for what is none of them."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if data.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    return ".webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""
