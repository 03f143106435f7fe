"""The last half minute of a performer's features, for curves. No `bpy`.

Design notes
- A frame costs one column of a ring of numbers: nothing is shifted, nothing grows.
- Time is the frames' own; what passes since the newest is told, so that curves move on when nothing comes any more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .arrays import Array, np
from .shared import model

SECONDS = 30.0
_ROOM = 640
"""Frames; twenty a second are the most that a broker sends."""
_SURE = 0.5
"""A feature's confidence from which the patch follows it."""
_BACK_S = 1.0
"""A clock that was set back by more begins a new history."""


@dataclass(frozen=True)
class Curve:
    """Of one feature, oldest first."""

    ages: Array
    """(n,) seconds."""
    levels: Array
    """(n,) 0..1: where it stands against its baseline; without one, between its lowest and its highest here. NaN: absent."""
    sure: Array
    """(n,) of bool: whether the signal was good."""


class History:
    def __init__(self) -> None:
        self._times = np.full(_ROOM, np.nan)
        self._known: dict[str, Array] = {}
        """(3, room) by feature: z, value, and whether it was sure."""
        self._next = 0
        self._newest = -math.inf
        self._heard = -math.inf

    def hear(self, frame: model.Frame, now: float) -> None:
        """`now` in seconds of a clock that is never set back."""
        if frame.time < self._newest - _BACK_S:
            self.__init__()  # type: ignore[misc]
        if frame.time <= self._newest:
            return
        self._newest, self._heard = frame.time, now
        at, self._next = self._next, (self._next + 1) % _ROOM
        self._times[at] = frame.time
        for known in self._known.values():
            known[:, at] = np.nan
        for name, feature in frame.features.items():
            if name not in self._known:
                self._known[name] = np.full((3, _ROOM), np.nan, np.float32)
            sure = frame.signal == "good" and feature.confidence >= _SURE
            self._known[name][:, at] = (math.nan if feature.z is None else feature.z, feature.value, sure)

    def names(self) -> set[str]:
        return set(self._known)

    def curve(self, name: str, now: float) -> Curve:
        order = (self._next + np.arange(_ROOM)) % _ROOM
        ages = self._newest + (now - self._heard) - self._times[order]
        there = ages <= SECONDS  # nor is it NaN
        if name not in self._known:
            return Curve(ages[there], np.full(int(there.sum()), np.nan), np.zeros(int(there.sum()), bool))
        z, values, sure = self._known[name][:, order[there]]
        levels = 0.5 + 0.5 * np.tanh(z / 2) if np.isfinite(z).any() else _between(values)
        return Curve(ages[there], levels, sure == 1)


def _between(values: Array) -> Array:
    there = values[np.isfinite(values)]
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)
    return (values - low) / (high - low) if high > low else np.where(np.isfinite(values), 0.5, np.nan)
