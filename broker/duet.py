"""The first two performers together: their engines run on threads of their own, their synchrony is one."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from protocol.model import Frame

if TYPE_CHECKING:
    from signals.engine import Engine

NAME = "synchrony"
CHANCE, SPREAD = 0.2, 0.2
"""Nobody has a baseline for two. People who have nothing to do with each other reach about 0.2 by chance: that is the
middle, and 0.6 is a z of 2."""
STALE_S = 2.0
"""A window that ended so long ago is of a performer who has gone."""


class Duet:
    def __init__(self) -> None:
        from signals.synchrony import Synchrony

        self._synchrony = Synchrony()
        self._lock = threading.Lock()

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
        if found is None or abs(found.time - max(one.time for one in frame.features.values())) > STALE_S:
            return frame
        return replace(frame, features=frame.features | {NAME: replace(found, z=(found.value - CHANCE) / SPREAD)})
