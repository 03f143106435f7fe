"""Curves as a small picture, drawn with numpy. No `bpy`.

Each curve has a lane of its own: lines that cross each other are hard to tell apart, and harder for who sees few colours.
The colours are those of Okabe and Ito, which most people can tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from .arrays import Array, np
from .history import SECONDS, Curve

SIDE = 256
"""Pixels of the square picture."""
SWATCH = 32
COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))
"""By lane; as many lanes as there are."""
_BACK, _GRID, _USUAL, _UNSURE = (29, 29, 29), (58, 58, 58), (96, 96, 96), (110, 110, 110)
_GAP_S = 0.6
"""Frames that are further apart are not joined."""
_WIDE = 1.5
"""Pixels from a line's middle to where it has faded out."""
_TENTHS = tuple(int(SIDE * (1 - seconds / SECONDS)) for seconds in (10, 20))


def picture(curves: Sequence[Curve]) -> Array:
    """(SIDE * SIDE,) RGBA as Blender's icons have it: a pixel is an int32, the lowest row first. The first curve on top."""
    pixels = np.empty((SIDE, SIDE, 4), np.uint8)
    pixels[:] = (*_BACK, 255)
    pixels[:, _TENTHS, :3] = _GRID
    edges = np.linspace(SIDE, 0, len(curves) + 1).round().astype(int)
    for number, curve in enumerate(curves):
        low, high = int(edges[number + 1]), int(edges[number])
        _draw(pixels[low:high], curve, COLOURS[number % len(COLOURS)])
    return pixels.view(np.int32).ravel()


def swatch(colour: tuple[int, int, int]) -> Array:
    """(SWATCH * SWATCH,) of one colour, for the legend."""
    pixels = np.zeros((SWATCH, SWATCH, 4), np.uint8)
    pixels[SWATCH // 4 : -SWATCH // 4, SWATCH // 8 : -SWATCH // 8] = (*colour, 255)
    return pixels.view(np.int32).ravel()


def _draw(lane: Array, curve: Curve, colour: tuple[int, int, int]) -> None:
    tall = len(lane)
    lane[tall // 2, ::4, :3] = _USUAL
    lane[0, :, :3] = _GRID
    heights, sure, there = _columns(curve, tall)
    if not there.any():
        return
    before = np.where(np.roll(there, 1), np.roll(heights, 1), heights)
    before[0] = heights[0]
    low, high = np.minimum(heights, before), np.maximum(heights, before)
    touched = slice(max(0, int(low[there].min() - _WIDE)), int(high[there].max() + _WIDE) + 1)
    lane = lane[touched]
    rows = np.arange(tall, dtype=np.float32)[touched, None]
    cover = np.clip(_WIDE - np.maximum(low - rows, rows - high), 0, 1) * there
    for channel in range(3):
        ink = np.where(sure, colour[channel], _UNSURE[channel]).astype(np.float32)
        back = lane[:, :, channel]
        back += (cover * (ink - back)).astype(np.int16).astype(np.uint8)  # the sum is a byte again, whatever the sign


def _columns(curve: Curve, tall: int) -> tuple[Array, Array, Array]:
    """(SIDE,) heights in pixels, whether it was sure there, and whether there is anything."""
    known = np.isfinite(curve.levels)
    times, levels, sure = -curve.ages[known], curve.levels[known], curve.sure[known]
    if not len(times):
        return np.zeros(SIDE, np.float32), np.zeros(SIDE, bool), np.zeros(SIDE, bool)
    at = SECONDS * ((np.arange(SIDE) + 0.5) / SIDE - 1)
    after = np.clip(np.searchsorted(times, at), 1, max(1, len(times) - 1))
    after = np.minimum(after, len(times) - 1)
    nearest = np.where(np.abs(times[after - 1] - at) < np.abs(times[after] - at), after - 1, after)
    there = np.abs(times[nearest] - at) <= _GAP_S / 2
    heights = _WIDE + np.interp(at, times, levels) * (tall - 1 - 2 * _WIDE)
    return heights.astype(np.float32), sure[nearest], there
