"""PNG from pixels, read back by another program's decoder."""

import io

import numpy as np
import pytest
from picture_files import encoded
from PIL import Image

from addon.core import png


@pytest.mark.parametrize("shape", [(37, 21), (37, 21, 1), (37, 21, 3), (37, 21, 4)])
def test_every_pixel_comes_back(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)[::-1]
    read = np.asarray(Image.open(io.BytesIO(png.encode(pixels))))
    assert np.array_equal(read.reshape(pixels.shape), pixels)


@pytest.mark.parametrize(("format", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("GIF", "")])
def test_a_file_is_known_by_its_bytes(format: str, suffix: str) -> None:
    assert png.suffix(encoded(format, (16, 16))) == suffix
    assert png.suffix(b"") == ""
