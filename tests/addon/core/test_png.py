"""PNG from pixels, read back by another program's decoder."""

import io

import numpy as np
import pytest
from picture_files import encoded
from PIL import Image

from addon.core import png


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_pixel_comes_back(channels: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (37, 21, channels), dtype=np.uint8)
    read = np.asarray(Image.open(io.BytesIO(png.encode(pixels))))
    assert np.array_equal(read.reshape(pixels.shape), pixels)


@pytest.mark.parametrize(("format", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("GIF", "")])
def test_a_file_is_known_by_its_bytes(format: str, suffix: str) -> None:
    assert png.suffix(encoded(format, (16, 16))) == suffix
    assert png.suffix(b"") == ""
