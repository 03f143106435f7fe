"""PNG files from arrays: Blender has no Pillow. No `bpy`."""

from __future__ import annotations

import struct
import zlib

import numpy as np

_KINDS = {1: 0, 3: 2, 4: 6}
"""PNG's colour types, by channels: grey, RGB, RGBA."""
_LEVEL = 3


def encode(pixels: np.ndarray) -> bytes:
    """A picture (height, width) or (height, width, channels) of bytes, from the top row down."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = np.ascontiguousarray(pixels, np.uint8).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, _KINDS[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), _LEVEL)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
