"""PNG files from arrays, read by another's eyes."""

import io

import numpy as np
import pytest
from PIL import Image

from addon.core import png


@pytest.mark.parametrize(("shape", "mode"), [((5, 7), "L"), ((5, 7, 3), "RGB"), ((5, 7, 4), "RGBA")])
def test_what_is_written_is_what_is_read(shape: tuple[int, ...], mode: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    read = Image.open(io.BytesIO(png.encode(pixels[::-1])))
    assert read.mode == mode and read.size == (7, 5)
    assert np.array_equal(np.asarray(read), pixels[::-1])
