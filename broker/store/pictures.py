"""What the broker needs to know of a picture, and thumbnails. Pure; nothing is decoded before its size is known."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps

from protocol.errors import AlphaloomError

MAX_PIXELS = 4096 * 4096
SIDES = (64, 128, 256, 512)
THUMBNAIL_TYPE = "image/webp"
_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_OTHER = "application/octet-stream"

# Pillow warns at a limit of its own; ours is checked.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Picture:
    width: int
    height: int
    media_type: str


def media_type(data: bytes) -> str:
    """By the first bytes."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return _OTHER


def check(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decoded once to the end, so that whoever gets it later can rely on it. Raises AlphaloomError `bad_picture`."""
    picture = _open(data, max_pixels)
    _decode(picture)
    return Picture(picture.width, picture.height, _FORMATS[picture.format or ""])


def thumbnail(data: bytes, side: int, max_pixels: int = MAX_PIXELS) -> bytes:
    """WebP, as it is looked at: turned as its EXIF says. Raises AlphaloomError `bad_picture`."""
    picture = _open(data, max_pixels)
    try:
        picture.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
        small = ImageOps.exif_transpose(picture)
        small = small.convert("RGBA" if small.has_transparency_data else "RGB")
        made = io.BytesIO()
        small.save(made, "WEBP", quality=80, method=2)
    except Exception as problem:
        raise _bad(problem) from None
    return made.getvalue()


def _open(data: bytes, max_pixels: int) -> Image.Image:
    kind = media_type(data)
    if kind == _OTHER:
        raise AlphaloomError("bad_picture", "These bytes are no picture. Send a PNG, JPEG or WebP.", start=repr(data[:16]))
    try:
        # Pillow makes room for the whole picture when it opens a WebP, so that one's size is looked up before.
        size = _webp_size(data) if kind == "image/webp" else (0, 0)
        _limit(size, max_pixels)
        picture = Image.open(io.BytesIO(data), formats=list(_FORMATS))
        _limit(picture.size, max_pixels)
    except AlphaloomError:
        raise
    except Image.DecompressionBombError:
        raise AlphaloomError(
            "bad_picture", f"The picture is larger than {max_pixels} pixels, the most that is taken."
        ) from None
    except Exception as problem:  # bytes from outside make Pillow raise almost anything
        raise _bad(problem) from None
    return picture


def _decode(picture: Image.Image) -> None:
    try:
        picture.load()
    except Exception as problem:
        raise _bad(problem) from None


def _limit(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise AlphaloomError(
            "bad_picture",
            f"The picture has {width} × {height} pixels; the most is {max_pixels}. Send a smaller one.",
            width=width,
            height=height,
        )


def _bad(problem: Exception) -> AlphaloomError:
    return AlphaloomError(
        "bad_picture", f"The picture cannot be decoded: {str(problem)[:200]}. Save it anew and send it again."
    )


def _webp_size(data: bytes) -> tuple[int, int]:
    """As the container's first chunk says."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[start : start + 3], "little") + 1 for start in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return width, height
