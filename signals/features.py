"""Relative band powers from a sliding window."""

from __future__ import annotations

import numpy as np

BANDS = {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}
"""Band edges in Hz: lower inclusive, upper exclusive."""

WINDOW_S = 2.0
UPDATES_HZ = 10.0


def relative_band_powers(window: np.ndarray, rate: float) -> dict[str, float]:
    """Each band's share of the power in all `BANDS`, averaged over channels; the shares sum to 1.

    `window` is (samples, channels) in any unit, `rate` in Hz. The spectrum is a Hann-windowed periodogram of the
    mean-free signal. A flat or non-finite channel is left out; with none left the result is empty.
    """
    usable = window[:, np.isfinite(window).all(axis=0) & (window.std(axis=0) > 0)]
    if not usable.size:
        return {}
    taper = np.hanning(len(usable) + 1)[:-1, None]  # periodic
    power = np.abs(np.fft.rfft((usable - usable.mean(axis=0)) * taper, axis=0)) ** 2
    hz = np.fft.rfftfreq(len(usable), 1 / rate)
    bands = np.stack([power[(hz >= low) & (hz < high)].sum(axis=0) for low, high in BANDS.values()])
    shares = (bands / bands.sum(axis=0)).mean(axis=1)
    return {name: float(share) for name, share in zip(BANDS, shares, strict=True)}


class BandPowers:
    """Turns chunks of any length into features ten times a second of signal."""

    def __init__(self, rate: float, channels: int):
        self.rate = rate
        self._window = np.empty((0, channels))
        self._length = round(WINDOW_S * rate)
        self._hop = max(1, round(rate / UPDATES_HZ))
        self._fresh = 0

    def push(self, chunk: np.ndarray) -> list[dict[str, float]]:
        """Add (samples, channels); return the features of every window that this completes, oldest first."""
        done = []
        for start in range(0, len(chunk), self._hop):
            for piece in self._cut(chunk[start : start + self._hop]):
                self._window = np.concatenate([self._window, piece])[-self._length :]
                self._fresh += len(piece)
                if self._fresh >= self._hop:
                    self._fresh = 0
                    if len(self._window) == self._length and (features := relative_band_powers(self._window, self.rate)):
                        done.append(features)
        return done

    def _cut(self, piece: np.ndarray) -> list[np.ndarray]:
        """Split where the next update falls due, so that results do not depend on the chunks' lengths."""
        due = self._hop - self._fresh
        return [p for p in (piece[:due], piece[due:]) if len(p)]
