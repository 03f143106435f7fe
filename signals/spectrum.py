"""Power spectra of windows and what is read from them. Pure; frequencies in Hz, powers in µV² or µV²/Hz."""

from __future__ import annotations

import numpy as np
from scipy import fft, signal, stats

BANDS = {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}
"""Band edges in Hz: lower inclusive, upper exclusive."""

HIGHEST_HZ = 130.0
"""No feature looks at what is above."""
PIECE = 32768
"""Samples that are transformed at once: what fits a core's cache, and no memory that is fetched and given back each time
(64 channels at 1 kHz: 0.5 against 0.6 to 1.3 ms)."""

FIT_HZ = (2.0, 40.0)
PEAK_HZ = (7.0, 13.0)
PEAK_HEIGHT = 0.15
"""log10 units above the 1/f fit that a clear alpha peak has."""


class Spectrum:
    """Power spectral density of windows of one length: mean-free, Hann taper (periodic), one-sided.

    The estimate is Welch's with one segment (IEEE Trans. Audio Electroacoust. 15, 1967): summed over a band and
    multiplied by the bins' distance, a sine of amplitude A gives A²/2 at any rate and length.
    """

    def __init__(self, length: int, rate: float):
        hz = fft.rfftfreq(length, 1 / rate)
        self.hz = hz[hz <= HIGHEST_HZ]
        self.step = rate / length
        self._taper = signal.get_window("hann", length)
        scale = np.full(len(hz), 2.0)
        scale[0] = 1.0
        if length % 2 == 0:
            scale[-1] = 1.0
        self._scale = scale[: len(self.hz)] / (rate * np.sum(self._taper**2))
        self._rows = max(1, PIECE // length)
        self._work = np.empty((self._rows, length))

    def __call__(self, window: np.ndarray) -> np.ndarray:
        """(channels, length) in µV to (channels, bins) in µV²/Hz, up to `HIGHEST_HZ`."""
        density = np.empty((len(window), len(self.hz)))
        for first in range(0, len(window), self._rows):
            rows = window[first : first + self._rows]
            work = np.subtract(rows, rows.mean(axis=1, keepdims=True), out=self._work[: len(rows)])
            work *= self._taper
            found = fft.rfft(work)[:, : len(self.hz)]
            density[first : first + self._rows] = (found.real**2 + found.imag**2) * self._scale
        return density

    def summing(self, bands: list[tuple[float, float]]) -> np.ndarray:
        """(bins, bands): `density @ summing` are the powers in the bands, in µV²."""
        return np.stack([((self.hz >= low) & (self.hz < high)) * self.step for low, high in bands], axis=1)


def anchored(alpha_peak: float | None) -> dict[str, tuple[float, float]]:
    """The bands moved with a person's alpha peak; `BANDS` for None and for 10 Hz.

    After Klimesch (Brain Res. Rev. 29, 1999), who counts theta and alpha from the individual alpha frequency: theta
    ends 2 Hz below it, alpha is from there to 3 Hz above.
    """
    if alpha_peak is None:
        return dict(BANDS)
    low, high, theta = alpha_peak - 2, alpha_peak + 3, alpha_peak - 6
    return {
        "delta": (1.0, max(2.0, theta)),
        "theta": (max(2.0, theta), low),
        "alpha": (low, high),
        "beta": (high, 30.0),
        "gamma": (30.0, 45.0),
    }


def aperiodic(hz: np.ndarray, density: np.ndarray) -> tuple[float, float]:
    """(offset, exponent) of the 1/f part: log10 density = offset - exponent * log10 hz, over `FIT_HZ`.

    A Theil-Sen line, which rhythms' peaks hardly bend, without `PEAK_HZ`'s bins. Of points on a logarithmic axis, so
    that the many high frequencies do not outvote the few low ones.
    """
    use = (hz >= FIT_HZ[0]) & (hz <= FIT_HZ[1]) & ((hz < PEAK_HZ[0]) | (hz > PEAK_HZ[1]))
    x, y = np.log10(hz[use]), np.log10(np.maximum(density[use], 1e-20))
    even = np.linspace(x[0], x[-1], 40)
    fit = stats.theilslopes(np.interp(even, x, y), even)
    return float(fit.intercept), float(-fit.slope)


def above_fit(hz: np.ndarray, density: np.ndarray, fit: tuple[float, float], band: tuple[float, float]) -> float:
    """How far the density in a band stands above the 1/f fit, in log10 units (mean over bins)."""
    use = (hz >= band[0]) & (hz < band[1])
    return float(np.mean(np.log10(np.maximum(density[use], 1e-20)) - (fit[0] - fit[1] * np.log10(hz[use]))))


def alpha_peak(hz: np.ndarray, density: np.ndarray) -> float | None:
    """The individual alpha frequency in Hz: the centre of gravity of a clear peak in `PEAK_HZ`, or None.

    Clear is a local maximum of the smoothed spectrum that stands `PEAK_HEIGHT` above the 1/f fit
    (smoothing and centre of gravity after Corcoran et al., Psychophysiology 55, 2018).
    """
    offset, exponent = aperiodic(hz, density)
    use = (hz >= PEAK_HZ[0] - 2) & (hz <= PEAK_HZ[1] + 2)
    above = np.log10(np.maximum(density[use], 1e-20)) - (offset - exponent * np.log10(hz[use]))
    above = signal.savgol_filter(above, min(len(above) // 2 * 2 - 1, 5), 2) if len(above) > 5 else above
    tops, found = signal.find_peaks(above, height=PEAK_HEIGHT, prominence=PEAK_HEIGHT)
    inside = [(height, top) for height, top in zip(found["peak_heights"], tops, strict=True) if _within(hz[use][top])]
    if not inside:
        return None
    centre = hz[use][max(inside)[1]]
    near = (hz >= centre - 1.5) & (hz <= centre + 1.5)
    weight = np.maximum(density[near] - 10 ** (offset - exponent * np.log10(hz[near])), 0)
    return float(np.sum(hz[near] * weight) / np.sum(weight)) if weight.any() else float(centre)


def _within(hz: float) -> bool:
    return PEAK_HZ[0] <= hz <= PEAK_HZ[1]


def lempel_ziv(bits: np.ndarray) -> float:
    """Complexity of (n,) zeros and ones: components of Lempel and Ziv's parsing (IEEE Trans. Inf. Theory 22, 1976)
    times log2(n)/n, which is near 1 for coin tosses and near 0 for what repeats itself."""
    text = bits.astype(np.uint8).tobytes()
    count, start, length = 0, 0, len(text)
    while start < length:
        size = 1
        # The component grows while it has been seen before, overlap allowed.
        while start + size <= length and text.find(text[start : start + size], 0, start + size - 1) >= 0:
            size += 1
        count, start = count + 1, start + size
    return count * np.log2(length) / length if length > 1 else 0.0
