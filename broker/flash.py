"""No picture that changes by itself may flash: WCAG 2.3.1, https://www.w3.org/TR/WCAG22/#three-flashes-or-below-threshold.

What W3C defines (https://www.w3.org/TR/WCAG22/#dfn-general-flash-and-red-flash-thresholds), and what is done here:

- A general flash is a pair of opposing changes of relative luminance by 10 % or more of its maximum (1.0), where the
  darker one is below 0.80. Relative luminance is 0.2126 R + 0.7152 G + 0.0722 B of linear sRGB.
- A red flash is a pair of opposing transitions that involve a saturated red: R / (R + G + B) >= 0.8 at one end or both,
  and (R - G - B) x 320, not less than 0, changes by more than 20. (WCAG 2.2 notes a newer definition by chromaticity.
  It has no lower bound of brightness; otherwise what it finds is nearly always a general flash, too.)
- A transition is what lies between a peak and a valley next to it: many small steps one way are one transition. So each
  place keeps the extremes since it last turned.
- At most three general and at most three red flashes in any second, unless what flashes at the same time covers no more
  than 25 % of any 10 degrees of the visual field. A picture may fill the screen or be far off, so that such a field may be
  all of it or a part: 25 % of any window of a quarter of the picture is taken, and 25 % of the picture lies in one of these.

Two ways to flash are refused: the same places more than three times, and more than three times any places together, as
two halves in turn. Six transitions are three flashes; as a seventh may have begun before the second did, six is the most.

There is one guard for each node. Each takes its picture for the whole field, so wherever several stand beside each other,
however large and whether in step or not, no place of them flashes more often than three times in a second.
"""

from __future__ import annotations

import io
from collections import deque
from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image

GRID = 32
"""A picture is looked at as so many places across and down: finer patterns are even to the eye, and W3C excepts them."""
TRANSITIONS = 6
WINDOW_S = 1.1
"""A second, and what the way to a screen may press together."""
AREA = 0.25

_HALF = GRID // 2
_CELLS = AREA * _HALF * _HALF
_DARKER = 0.80
_STEPS = np.array([0.1, 20.0], np.float32).reshape(2, 1, 1) - np.float32(1e-5)
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_SRGB = np.arange(256) / 255
_LINEAR = np.where(_SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4).astype(np.float32)


@dataclass(frozen=True)
class Look:
    """What the guard sees of a picture, at GRID x GRID places: [0] for general flashes, [1] for red ones."""

    values: np.ndarray
    """Relative luminance, and (R - G - B) x 320."""
    counts: np.ndarray
    """Where a transition may begin or end: everywhere, and where the red is saturated."""

    @classmethod
    def of(cls, linear: np.ndarray) -> Self:
        """From linear sRGB, (GRID, GRID, 3), 0..1."""
        red, green, blue = np.moveaxis(linear, 2, 0)
        # Above 0.9 nothing is told apart: then 0.1 lies between two values just where the darker is below 0.80.
        luminance = np.minimum(linear @ _LUMINANCE, _DARKER + 0.1)
        saturated = (red > 0) & (red >= 0.8 * (red + green + blue))
        values = np.stack([luminance, np.maximum(red - green - blue, 0) * 320]).astype(np.float32)
        return cls(values, np.stack([np.ones_like(saturated), saturated]))


def look(picture: bytes) -> Look:
    """Of a PNG. Takes milliseconds: for a worker thread. Raises OSError or ValueError for what is no picture."""
    with Image.open(io.BytesIO(picture)) as image:
        pixels = image.convert("RGB")
    if min(pixels.size) < GRID:
        pixels = pixels.resize((max(GRID, pixels.width), max(GRID, pixels.height)), Image.Resampling.NEAREST)
    bytes_ = np.asarray(pixels)
    rows, columns = (np.arange(GRID) * side // GRID for side in bytes_.shape[:2])
    sums = np.empty((GRID, GRID, 3), np.float32)
    for band in range(3):  # light adds up, not its code: first linear, then the mean
        linear = np.take(_LINEAR, bytes_[:, :, band])
        sums[:, :, band] = np.add.reduceat(np.add.reduceat(linear, columns, axis=1), rows, axis=0)
    sizes = np.diff(rows, append=bytes_.shape[0])[:, None] * np.diff(columns, append=bytes_.shape[1])
    return Look.of(np.minimum(sums / sizes[:, :, None], 1.0))


class FlashGuard:
    """Of one node. Times are in seconds of any clock that is never set back."""

    def __init__(self) -> None:
        nowhere = np.zeros((2, GRID, GRID), np.float32)
        self._way = nowhere.astype(np.int8)
        """Of each place's last transition: 1 brighter, -1 darker, 0 none yet."""
        # The extremes since then; and those alone where a transition may begin whatever it ends in.
        self._high, self._low = nowhere - np.inf, nowhere + np.inf
        self._high_counts, self._low_counts = nowhere - np.inf, nowhere + np.inf
        self._turned: deque[tuple[float, np.ndarray]] = deque()
        """When, and in which places, a transition ended; within the last WINDOW_S."""

    def wait(self, time_s: float, picture: Look) -> float:
        """The seconds until it may be shown; 0.0: now."""
        turned = self._turns(picture)
        self._forget(time_s)
        return self._wait(time_s, turned) if turned.any() else 0.0

    def admit(self, time_s: float, picture: Look) -> float:
        """As `wait`; where it may be shown now, it counts as shown."""
        wait = self.wait(time_s, picture)
        if not wait:
            self.count(time_s, picture)
        return wait

    def count(self, time_s: float, picture: Look) -> None:
        """It is shown, whatever comes of it."""
        self._forget(time_s)
        self._take(time_s, picture, self._turns(picture))

    def _turns(self, picture: Look) -> np.ndarray:
        """Where a transition ends with this picture."""
        values, counts = picture.values, picture.counts
        falls = np.where(counts, self._high, self._high_counts) - values >= _STEPS
        rises = values - np.where(counts, self._low, self._low_counts) >= _STEPS
        return (falls & (self._way != -1)) | (rises & (self._way != 1))

    def _take(self, time_s: float, picture: Look, turned: np.ndarray) -> None:
        values, counts = picture.values, picture.counts
        if turned.any():
            falls = np.where(counts, self._high, self._high_counts) - values >= _STEPS
            self._way = np.where(turned, np.where(falls & (self._way != -1), -1, 1), self._way).astype(np.int8)
            self._turned.append((time_s, turned))
        self._high = np.where(turned, values, np.maximum(self._high, values))
        self._low = np.where(turned, values, np.minimum(self._low, values))
        high, low = np.where(counts, values, -np.inf), np.where(counts, values, np.inf)
        self._high_counts = np.where(turned, high, np.maximum(self._high_counts, high))
        self._low_counts = np.where(turned, low, np.minimum(self._low_counts, low))

    def _forget(self, time_s: float) -> None:
        while self._turned and self._turned[0][0] <= time_s - WINDOW_S:
            self._turned.popleft()

    def _wait(self, time_s: float, turned: np.ndarray) -> float:
        """Until enough of the transitions before are a second old."""
        if len(self._turned) < TRANSITIONS:
            return 0.0
        times = [time for time, _ in self._turned]
        latest_first = np.stack([turned, *(places for _, places in reversed(self._turned))])
        # How often each place turns in the newest 1, 2, 3 ... pictures, and in how many of them it turned widely.
        too_often = np.add.accumulate(latest_first, axis=0, dtype=np.int16) > TRANSITIONS
        together = np.add.accumulate(_wide(latest_first), axis=0, dtype=np.int16) > TRANSITIONS
        refused = np.asarray((_wide(too_often) | together).any(axis=1))
        if not refused[-1]:
            return 0.0
        # With the k newest before it, it is one too many: the k-th newest must be out of the second.
        k = int(np.argmax(refused))
        return max(0.0, times[-k] + WINDOW_S - time_s) + 1e-6


def _wide(places: np.ndarray) -> np.ndarray:
    """Whether 25 % of any window of a quarter of the picture is marked: (..., GRID, GRID) -> (...)."""
    sums = np.zeros((*places.shape[:-2], GRID + 1, GRID + 1), np.int32)
    sums[..., 1:, 1:] = places.cumsum(axis=-2, dtype=np.int32).cumsum(axis=-1, dtype=np.int32)
    lower, upper = sums[..., _HALF:, :], sums[..., :-_HALF, :]
    inside = lower[..., _HALF:] - lower[..., :-_HALF] - upper[..., _HALF:] + upper[..., :-_HALF]
    return np.asarray((inside >= _CELLS).any(axis=(-2, -1)))
