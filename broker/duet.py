"""The first two performers together: their engines run on threads of their own, their synchrony is one."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from protocol.model import Feature, Frame

if TYPE_CHECKING:
    from signals.engine import Engine

NAME = "synchrony"
CHANCE, SPREAD = 0.2, 0.2
"""Nobody has a baseline for two. People who have nothing to do with each other reach about 0.2 by chance: that is the
middle, and 0.6 is a z of 2."""
STALE_S = 2.0
"""A window that ended so long ago is of a performer who has gone."""
HOLD_S, HELD = 8.0, 0.4
"""While there is none, the last one stays for so long, with a confidence that holds and does not move."""


class Duet:
    def __init__(self) -> None:
        from signals.synchrony import Synchrony

        self._synchrony = Synchrony()
        self._lock = threading.Lock()
        self._last: Feature | None = None

    def join(self, number: int, engine: Engine) -> None:
        """Performer 1 or 2 is heard by this engine from now on."""
        engine.on_clean = partial(self._push, number - 1)

    def _push(self, performer: int, times: np.ndarray, clean: np.ndarray, quality: np.ndarray) -> None:
        with self._lock:
            self._synchrony.push(performer, times, clean, quality)

    def add(self, frame: Frame) -> Frame:
        """The frame with `synchrony`, where both are heard well enough; not in the frame of a stream that is silent."""
        if not frame.features:
            return frame
        with self._lock:
            found = self._synchrony.feature()
        newest = max(frame.features.values(), key=lambda one: one.time)
        if found is not None and abs(found.time - newest.time) <= STALE_S:
            latency = replace(newest.latency, half_window=found.latency.half_window)
            self._last = replace(found, z=(found.value - CHANCE) / SPREAD, latency=latency)
            return replace(frame, features=frame.features | {NAME: self._last})
        # A clench of one is in the other's windows too, and no reason to go back to neutral: it holds.
        if self._last and abs(newest.time - self._last.time) <= HOLD_S:
            return replace(frame, features=frame.features | {NAME: replace(self._last, confidence=HELD)})
        return frame
