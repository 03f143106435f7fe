"""Seeded synthetic EEG in microvolts: background, alpha, beta, blinks and mains hum.

The same seed gives the same samples however they are asked for: sample n uses the n-th draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
RATE = 256.0


@dataclass(frozen=True)
class State:
    """Rhythms' root-mean-square amplitudes in µV. `swing` > 0 lets alpha come and go with that period in s."""

    alpha: float
    beta: float
    swing: float = 0.0


STATES = {
    "relaxed": State(alpha=16.0, beta=2.0),
    "aroused": State(alpha=2.5, beta=8.0),
    "drifting": State(alpha=12.0, beta=4.0, swing=24.0),
}

BACKGROUND = 7.0  # µV RMS of the 1/f part
MAINS_HZ, MAINS = 50.0, 3.0  # µV amplitude
BLINK_EVERY_S, BLINK, BLINK_S = 5.0, 90.0, 0.12  # mean interval, peak in µV at the forehead, width

# How strongly each channel of CHANNELS sees a source.
_ALPHA_MIX = np.array([1.0, 0.55, 0.55, 1.0])
_BETA_MIX = np.array([0.7, 1.0, 1.0, 0.7])
_BLINK_MIX = np.array([0.12, 1.0, 1.0, 0.12])

# Poles and zeros that alternate on a logarithmic axis approximate a 1/f power spectrum over their range
# (Keshner, "1/f noise", Proc. IEEE 70, 1982).
_POLES_HZ = 0.3 * 4.0 ** np.arange(4)
_ZEROS_HZ = _POLES_HZ * 2


class SyntheticEEG:
    """An endless recording of `CHANNELS` at `RATE` Hz in one of `STATES`."""

    def __init__(self, seed: int = 0, state: str = "drifting"):
        self.state = STATES[state]
        self._rng = np.random.default_rng([seed, 0])
        self._blink_rng = np.random.default_rng([seed, 1])
        self._position = 0
        poles, zeros = (np.exp(-2 * np.pi * hz / RATE) for hz in (_POLES_HZ, _ZEROS_HZ))
        self._pink = np.poly(zeros), np.poly(poles)
        response = lfilter(*self._pink, np.eye(1, 8192)[0])
        self._pink_gain = BACKGROUND / np.sqrt(np.sum(response**2))
        self._pink_memory = np.zeros((len(_POLES_HZ), len(CHANNELS)))
        self._rhythms = [_Rhythm(10.0, 1.2), _Rhythm(20.0, 5.0)]
        self._blinks: list[float] = []

    def read(self, count: int) -> np.ndarray:
        """The next `count` samples, (count, 4), in µV."""
        time = (self._position + np.arange(count)) / RATE
        self._position += count
        draws = self._rng.standard_normal((count, len(CHANNELS) + 4))
        background, self._pink_memory = lfilter(*self._pink, draws[:, :4], axis=0, zi=self._pink_memory)
        alpha, beta = (r.read(draws[:, 4 + 2 * n : 6 + 2 * n]) for n, r in enumerate(self._rhythms))
        if self.state.swing:
            alpha = alpha * (0.5 - 0.5 * np.cos(2 * np.pi * time / self.state.swing)) * np.sqrt(8 / 3)
        return (
            self._pink_gain * background
            + self.state.alpha * alpha[:, None] * _ALPHA_MIX
            + self.state.beta * beta[:, None] * _BETA_MIX
            + self._blink(time)[:, None] * _BLINK_MIX
            + MAINS * np.sin(2 * np.pi * MAINS_HZ * time)[:, None]
        )

    def chunks(self, size: int = 16) -> Iterator[np.ndarray]:
        while True:
            yield self.read(size)

    def _blink(self, time: np.ndarray) -> np.ndarray:
        while not self._blinks or self._blinks[-1] < time[-1] + 1:
            last = self._blinks[-1] if self._blinks else 0.0
            self._blinks.append(last + 1.0 + self._blink_rng.exponential(BLINK_EVERY_S - 1))
        near = [b for b in self._blinks if time[0] - 1 < b < time[-1] + 1]
        return sum((BLINK * np.exp(-0.5 * ((time - b) / BLINK_S) ** 2) for b in near), np.zeros(len(time)))


class _Rhythm:
    """A narrow-band random oscillation of unit RMS: a complex first-order process, turning at `hz`."""

    def __init__(self, hz: float, bandwidth: float):
        self._pole = np.exp((2j * np.pi * hz - np.pi * bandwidth) / RATE)
        self._gain = np.sqrt(1 - abs(self._pole) ** 2)
        self._memory = np.zeros(1, complex)

    def read(self, draws: np.ndarray) -> np.ndarray:
        """(count, 2) normal draws in, (count,) out."""
        drive = self._gain * (draws[:, 0] + 1j * draws[:, 1])
        out, self._memory = lfilter([1], [1, -self._pole], drive, zi=self._memory)
        return out.real
