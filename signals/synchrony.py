"""Two performers: whether their alpha rhythms keep step."""

from __future__ import annotations

from collections import deque

import numpy as np
from scipy import signal

from protocol.model import Feature, Latency

from .quality import GOOD

WINDOW_S = 4.0
RATE = 64.0
BAND = (8.0, 13.0)
_BAND_PASS = signal.butter(2, BAND, "bandpass", fs=RATE, output="sos")
_EDGE_S = 0.5  # of the window on both sides, where the band-pass and the Hilbert transform are not to be trusted


class Synchrony:
    """The phase-locking value (Lachaux et al., Hum. Brain Mapp. 8, 1999) of two performers' alpha, over `WINDOW_S`.

    Feed it what `Engine.on_clean` gives. Two people who have nothing to do with each other also have some by chance:
    about 0.2 in a window of this length and band.
    """

    def __init__(self) -> None:
        self._heard: tuple[deque[tuple[np.ndarray, np.ndarray]], ...] = (deque(), deque())
        self._quality = [0.0, 0.0]

    def push(self, performer: int, times: np.ndarray, clean: np.ndarray, quality: np.ndarray) -> None:
        """`performer` 0 or 1; (n,) times on the local LSL clock, (channels, n) µV, (channels,) quality.

        The mean of the channels that can be trusted stands for the performer.
        """
        good = quality >= GOOD
        heard = self._heard[performer]
        self._quality[performer] = float(quality.mean())
        mean = clean[good].mean(axis=0) if good.any() else np.full(len(times), np.nan)
        if heard and times[0] < heard[-1][0][-1]:  # a clock that was set back: nothing before it compares
            heard.clear()
        heard.append((times, mean))
        while heard and heard[0][0][-1] < times[-1] - 2 * WINDOW_S:
            heard.popleft()

    def feature(self) -> Feature | None:
        """The newest window that both have; None while one has not, or has gaps or bad signal in it."""
        if not all(self._heard):
            return None
        signals = [(np.concatenate([t for t, _ in heard]), np.concatenate([v for _, v in heard])) for heard in self._heard]
        end = min(times[-1] for times, _ in signals)
        grid = end - WINDOW_S + np.arange(1, round(WINDOW_S * RATE) + 1) / RATE
        phases = []
        for times, values in signals:
            inside = (times >= grid[0] - 0.1) & (times <= end + 0.1)
            times, values = times[inside], values[inside]
            if len(times) < 2 or times[0] > grid[0] or np.diff(times).max() > 0.1 or not np.isfinite(values).all():
                return None
            even = np.interp(grid, times, values)
            # Within one finished window, for phases that no filter has turned; never on the stream.
            phases.append(np.angle(signal.hilbert(signal.sosfiltfilt(_BAND_PASS, even - even.mean()))))
        edge = round(_EDGE_S * RATE)
        value = float(np.abs(np.mean(np.exp(1j * (phases[0] - phases[1])[edge:-edge]))))
        return Feature(value, None, min(self._quality), float(end), Latency(half_window=WINDOW_S / 2))
