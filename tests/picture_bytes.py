"""Inside Blender, which has no Pillow: pictures of one colour as PNG."""

import numpy as np

from addon.core import png as encoder


def png(colour: tuple[int, int, int], side: int = 8) -> bytes:
    return encoder.encode(np.full((side, side, 3), colour, np.uint8))
