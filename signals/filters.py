"""Causal filters that remember: the same output however the samples are chunked."""

from __future__ import annotations

import numpy as np
from scipy import signal

HIGH_PASS_HZ = 0.5
NOTCH_Q = 25.0
HIGHEST = 0.48
"""Of the rate: what lies above is not filtered."""


def high_pass(rate: float, hz: float = HIGH_PASS_HZ) -> np.ndarray:
    """Second-order sections of a Butterworth high-pass of order 2."""
    return signal.butter(2, hz, "highpass", fs=rate, output="sos")


def notches(rate: float, mains_hz: list[float]) -> np.ndarray:
    """Second-order sections of notches at each of `mains_hz` and its first harmonic, as far as the rate goes."""
    lines = [n * hz for hz in mains_hz for n in (1, 2) if n * hz < HIGHEST * rate]
    return np.array([signal.tf2sos(*signal.iirnotch(hz, NOTCH_Q, fs=rate))[0] for hz in lines]).reshape(-1, 6)


def muscles(rate: float) -> np.ndarray | None:
    """Second-order sections of a band-pass where muscles are heard and EEG hardly: 30 to 110 Hz, as far as the rate
    goes. None below 85 Hz."""
    high = min(110.0, 0.45 * rate)
    return signal.butter(4, (30.0, high), "bandpass", fs=rate, output="sos") if high > 38 else None


def group_delay(sections: np.ndarray, rate: float, hz: float = 10.0) -> float:
    """Seconds by which the sections delay what is at `hz`: minus the phase's derivative."""
    around = np.array([hz - 0.05, hz + 0.05])
    _, response = signal.sosfreqz(sections, around, fs=rate)
    return float(-np.diff(np.unwrap(np.angle(response)))[0] / (2 * np.pi * np.diff(around)[0]))


class Filter:
    """A cascade with its state for each of `channels`."""

    def __init__(self, sections: np.ndarray, channels: int):
        self.sections = sections
        self._rest = np.repeat(signal.sosfilt_zi(sections)[:, None, :], channels, axis=1)
        self._state: np.ndarray | None = None

    def reset(self) -> None:
        """Forget what came: the next sample begins a new signal."""
        self._state = None

    def push(self, samples: np.ndarray) -> np.ndarray:
        """(channels, n) finite samples in, filtered out. A new signal counts as having stood at its first sample."""
        if not samples.shape[1]:
            return samples
        if self._state is None:
            self._state = self._rest * samples[:, 0][None, :, None]
        done, self._state = signal.sosfilt(self.sections, samples, axis=-1, zi=self._state)
        return done


class Ring:
    """The last `length` samples of each channel, in one piece."""

    def __init__(self, channels: int, length: int, dtype: type = np.float64):
        self._length = length
        self._room: np.ndarray = np.zeros((channels, 4 * length), dtype)
        self.clear()

    def clear(self) -> None:
        self._end = self.filled = 0

    def push(self, samples: np.ndarray) -> None:
        """(channels, n), n at most `length`."""
        count = samples.shape[1]
        if self._end + count > self._room.shape[1]:
            keep = min(self._end, self._length)
            self._room[:, :keep] = self._room[:, self._end - keep : self._end].copy()
            self._end = keep
        self._room[:, self._end : self._end + count] = samples
        self._end += count
        self.filled = min(self._length, self.filled + count)

    @property
    def window(self) -> np.ndarray:
        """(channels, `length`), a view; only when `filled` is `length`."""
        return self._room[:, self._end - self._length : self._end]

    def last(self, count: int) -> np.ndarray:
        """(channels, `count`), a view of the newest."""
        return self._room[:, self._end - count : self._end]
