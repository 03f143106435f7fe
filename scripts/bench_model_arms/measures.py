"""What can be measured of a picture, (height, width, 3) uint8, beside what its words asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

Array = np.ndarray

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
FINE = 1.5
"""Pixels: what a Gaussian as wide takes away is grain, or an edge."""
LAYOUT = 6.0
"""Pixels: what is left behind a Gaussian as wide is where things are, and not what they look like."""


def luminance(picture: Array) -> Array:
    """(height, width), 0..255."""
    return picture @ LUMINANCE


def warmth(picture: Array) -> float:
    """Red less blue, -255..255."""
    return float((picture[..., 0].astype(float) - picture[..., 2]).mean())


def brightness(picture: Array) -> float:
    """0..255."""
    return float(luminance(picture).mean())


def contrast(picture: Array) -> float:
    """How far its pixels are from their mean, root mean square in RGB, of 255."""
    values = picture.astype(float)
    return float(np.sqrt(np.square(values - values.mean((0, 1))).sum(-1).mean()))


def coarseness(picture: Array) -> float:
    """log2 of the length of its waves, in pixels, weighted with their power."""
    power, frequency = _spectrum(picture)
    return float(-(power * np.log2(frequency)).sum())


def disorder(picture: Array) -> float:
    """Entropy of its power spectrum: low where few waves make all of it, because it repeats; high where nothing does."""
    power, _ = _spectrum(picture)
    return float(-(power * np.log(power + 1e-12)).sum())


def grain(picture: Array) -> float:
    """Median size of what is finer than FINE, of 255: a median hardly sees the edges of patterns."""
    grey = luminance(picture)
    return float(np.median(np.abs(grey - gaussian_filter(grey, FINE, mode="wrap"))))


ATTRIBUTES: dict[str, Callable[[Array], float]] = {
    "turbulence": disorder,
    "warmth": warmth,
    "brightness": brightness,
    "scale": coarseness,
    "contrast": contrast,
    "roughness": grain,
}
"""What grows with each attribute of `textures.PAIRS`."""


def _spectrum(picture: Array) -> tuple[Array, Array]:
    """Its waves' power, in all its colours, of 1; and their frequencies in cycles a pixel. Half of the plane says it all."""
    values = picture / 255
    power = np.square(np.abs(np.fft.rfft2(values - values.mean((0, 1)), axes=(0, 1)))).sum(-1)
    height, width = picture.shape[:2]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    power, frequency = power.ravel()[1:], frequency.ravel()[1:]
    return power / (power.sum() + 1e-12), frequency


def rank(ordered: Sequence[float], values: Sequence[float]) -> float:
    """Spearman's correlation; 0 where nothing changes, which is no order either."""
    found = spearmanr(ordered, values).statistic if np.ptp(values) > 0 else 0.0
    return round(float(found), 6)


def seams(picture: Array) -> list[tuple[float, float]]:
    """Of columns and of rows: the mean step from the last to the first by the median step between neighbours, and by the
    largest. Where a pattern has an edge at the picture's, the first is large and nothing wrong."""
    values = picture.astype(float)
    found = []
    for axis in (1, 0):
        inner = np.abs(np.diff(values, axis=axis)).mean((1 - axis, 2))
        seam = np.abs(values.take(0, axis) - values.take(-1, axis)).mean()
        # An eighth of an 8-bit step: a picture of one colour has no seam.
        by_median, by_largest = ((seam + 0.125) / (steps + 0.125) for steps in (np.median(inner), inner.max()))
        found.append((float(by_median), float(by_largest)))
    return found


def likeness(one: Array, other: Array) -> float:
    """Correlation of two pictures' layouts: of their luminance without what is finer than LAYOUT."""
    layouts = [gaussian_filter(luminance(picture), LAYOUT, mode="wrap").ravel() for picture in (one, other)]
    if min(np.ptp(layout) for layout in layouts) < 1e-6:
        return 0.0
    return float(np.corrcoef(*layouts)[0, 1])


def mean_square(one: Array, other: Array) -> float:
    """Mean squared difference, of 1."""
    return float(np.square((one.astype(float) - other) / 255).mean())
