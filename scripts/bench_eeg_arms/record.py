"""What every arm of the `eeg` benchmark writes down: which samples it heard, and each update it made.

While an arm runs this only appends to lists, the same in every arm; all arithmetic is done after the measurement.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np

SCALE, MODULUS = 2.0**14, 4096
"""The generator writes each sample's number, modulo `MODULUS`, into the fraction of the first channel's value in
steps of 1/`SCALE` µV: it travels with the sample, is exact in 32-bit floats, and is too small to disturb a filter."""
UPDATES_HZ = 30
BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
"""What the arms that are written here compute: band edges in Hz, upper exclusive."""


class Recorder:
    """Of one arm at `rate` Hz that shall run for `seconds` after its first sample."""

    def __init__(self, rate: float, seconds: float, clock: Callable[[], float]):
        self._rate, self._seconds, self._clock = rate, seconds, clock
        self._heard: list[tuple[np.ndarray, np.ndarray | None]] = []
        self._updates: list[tuple[float, float, float]] = []
        self._end = float("inf")

    @property
    def done(self) -> bool:
        return time.monotonic() > self._end

    def ready(self) -> None:
        if self._end == float("inf"):
            self._end = time.monotonic() + self._seconds
            print("ready", flush=True)

    def heard(self, stamps: np.ndarray, first_channel: np.ndarray | None = None) -> None:
        """New samples: their LSL time stamps in s, and the raw first channel in µV if the arm sees it.

        Without it the stamps must be the generator's own, with no clock correction: the numbers are read from them.
        """
        if len(stamps):
            self.ready()
            self._heard.append((np.array(stamps), None if first_channel is None else np.array(first_channel)))

    def update(self, newest: float, alpha: float) -> None:
        """An update came out now: the time stamp in s of its newest sample, and alpha power in any unit of power."""
        self._updates.append((newest, self._clock(), alpha))

    def finish(self, runs: list[list[int]] | None = None, first_stamp: float = 0.0) -> None:
        """Print everything as one line. `runs` where another process has counted the samples already."""
        modulus = MODULUS
        if runs is None:
            stamps = np.concatenate([s for s, _ in self._heard])
            values = [v for _, v in self._heard if v is not None]
            runs, first_stamp = runs_of(numbers(stamps, self._rate, np.concatenate(values) if values else None)), stamps[0]
            modulus = MODULUS if values else 1
        # Where a sample was numbered by its stamp alone, the first is 0 and any whole number may be missing from it.
        report = {"runs": runs, "modulus": modulus, "first_stamp": float(first_stamp), "updates": self._updates}
        print("report " + json.dumps(report), flush=True)


def numbers(stamps: np.ndarray, rate: float, first_channel: np.ndarray | None) -> np.ndarray:
    """The samples' numbers; the first one is known modulo `MODULUS`, or is 0 where only stamps are known."""
    by_time = np.rint((stamps - stamps[0]) * rate).astype(np.int64)
    if first_channel is None:
        return by_time
    written = np.rint(np.asarray(first_channel, float) * SCALE).astype(np.int64) % MODULUS
    expected = written[0] + by_time  # wrong by a few samples at most, which is enough to tell the turns apart
    return written + MODULUS * np.rint((expected - written) / MODULUS).astype(np.int64)


def runs_of(heard: np.ndarray) -> list[list[int]]:
    """[first, last] of each unbroken run of numbers."""
    heard = np.unique(heard)
    breaks = np.flatnonzero(np.diff(heard) != 1)
    return [[int(a), int(b)] for a, b in zip(heard[np.r_[0, breaks + 1]], heard[np.r_[breaks, -1]], strict=True)]
