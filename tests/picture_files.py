"""Encoded pictures for the tests."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from PIL import Image


def encoded(format: str, size: tuple[int, int], mode: str = "RGB", **options: Any) -> bytes:
    """One with details, so that it does not compress to nothing."""
    noise = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 4), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise, "RGBA").convert(mode).save(file, format, **options)
    return file.getvalue()


@cache
def png(width: int = 64, height: int = 64, grey: int = 128) -> bytes:
    """A plain one."""
    return saved(Image.new("L", (width, height), grey))


@cache
def jpeg(width: int = 64, height: int = 64, grey: int = 128) -> bytes:
    """A plain one."""
    return saved(Image.new("RGB", (width, height), (grey, grey, grey)), "JPEG")


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def saved(picture: Image.Image, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, format)
    return file.getvalue()
