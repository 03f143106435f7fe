"""Features of one window: named, averaged over the channels that can be trusted, with confidence.

Design notes
- Everything that can be said per channel is: a (kinds, channels) table. Groups of channels (all, and each region)
  are averages over its columns.
- A channel that drops out must not move an average only because it stood higher or lower than the others. What is
  missing is filled with the channel's own slow mean, moved as the remaining ones have moved, each by its own measure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from protocol.model import Performer

from . import montage
from .quality import GOOD
from .spectrum import BANDS, above_fit, aperiodic, lempel_ziv

POSTERIOR_REASON = "no parietal or occipital channel"
CENTRE_S = 20.0
"""Time constant of a channel's slow mean, and of how far it usually is from it."""
SPREAD = 0.01
"""That distance's beginning and least."""
SLOW_S = 4.0
"""Time constant of the spectrum that the 1/f fit is made of."""
COMPLEXITY_HZ = 128.0

_LOG = tuple(f"log_{band}" for band in BANDS)
_SHARE = tuple(BANDS)
KINDS = (*_LOG, *_SHARE, "engage", "emg")
REGIONAL = len(_LOG) + len(_SHARE)
"""The first kinds are also given per region."""
MEASURED = (*_LOG, "emg")
"""What is measured of each channel; the other kinds are made of it."""


@dataclass(frozen=True)
class Layout:
    """What a set of channels can give. `missing` says why not the rest."""

    channels: tuple[str, ...]
    regions: tuple[str, ...]
    groups: dict[str, np.ndarray]
    """Suffix (empty: all; `.frontal` ...) to (channels,) of bool."""
    pairs: dict[str, tuple[int, int]]
    """`asymmetry.AF8/AF7` to the indices (left, right)."""
    posterior: np.ndarray
    missing: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, channels: tuple[str, ...], rate: float) -> Layout:
        regions = tuple(montage.region(name) for name in channels)
        groups = {"": np.array([bool(r) for r in regions]) if any(regions) else np.ones(len(channels), bool)}
        groups |= {f".{r}": np.array([q == r for q in regions]) for r in montage.REGIONS if r in regions}
        pairs = {
            f"asymmetry.{channels[right]}/{channels[left]}": (left, right) for left, right in montage.frontal_pairs(channels)
        }
        posterior = np.array([r in montage.POSTERIOR for r in regions])
        missing = {}
        if not any(regions):
            missing["regions"] = "no channel has the name of a 10-20 site"
        if not posterior.any():
            missing["calm"] = POSTERIOR_REASON
        if not pairs:
            missing["asymmetry"] = "no two channels at mirrored frontal sites"
        if not groups.get(".frontal", np.zeros(1)).any():
            missing["blink"] = "no frontal channel"
        if emg_band(rate) is None:
            missing["emg"] = f"{rate:g} Hz is too slow for muscles: 170 Hz would do"
        slow = [band for band, (_, top) in BANDS.items() if top > 0.48 * rate]
        affected = [f"log_{band}" for band in slow] + (list(_SHARE) if slow else []) + (["engage"] if "beta" in slow else [])
        missing |= dict.fromkeys(affected, f"{rate:g} Hz is too slow for {' and '.join(slow)}")
        return cls(channels, regions, groups, pairs, posterior, missing)


def emg_band(rate: float) -> tuple[float, float] | None:
    """Where `emg` is measured, in Hz: 65 to 120, as far as the rate goes."""
    high = min(120.0, 0.45 * rate)
    return (65.0, high) if high > 75 else None


def emg_bins(hz: np.ndarray, rate: float) -> np.ndarray:
    """(bins,) of bool: in `emg_band`, away from the mains' harmonics."""
    low, high = emg_band(rate) or (0.0, 0.0)
    away = np.all([np.abs(hz - line) > 2 for line in (100, 120)], axis=0)
    return (hz >= low) & (hz < high) & away


def _table(logs: np.ndarray) -> np.ndarray:
    """(kinds, channels) from (measured, channels) log10 powers."""
    powers = 10 ** logs[:5]
    _, theta, alpha, beta, _ = powers
    # Engagement: beta over alpha plus theta (Pope, Bogart and Bartolome, Biol. Psychol. 40, 1995), its logarithm.
    engage = np.log(beta / (alpha + theta))
    return np.vstack([logs[:5], powers / powers.sum(axis=0), engage, logs[5:]])


def band_powers(layout: Layout, powers: np.ndarray) -> dict[str, float]:
    """What (channels, bands) powers in µV² say of all channels together, whatever their quality."""
    logs = np.log10(np.maximum(powers[layout.groups[""]].T, 1e-12))
    means = _table(logs).mean(axis=1).tolist()
    return {kind: mean for kind, mean in zip(KINDS[:-1], means, strict=True) if kind not in layout.missing}


class Averages:
    """Averages over groups of channels, unmoved by who is missing."""

    def __init__(self, layout: Layout, updates_hz: float):
        self._members, self._missing = layout.groups, layout.missing
        self._near = np.equal.outer(layout.regions, layout.regions).astype(float)
        self._centre = self._spread = np.full((len(MEASURED), len(layout.channels)), np.nan)
        self._rate = 1 / (CENTRE_S * updates_hz)

    def push(
        self, powers: np.ndarray, emg: np.ndarray, quality: np.ndarray, ocular: np.ndarray
    ) -> dict[str, tuple[float, float]]:
        """(channels, bands) and (channels,) powers in µV² to name -> (value, confidence).

        Channels whose (channels,) `quality` is below `GOOD` are missing; where the eyes moved (`ocular`, per channel)
        theta is, and delta everywhere.
        """
        logs = np.log10(np.maximum(np.vstack([powers.T, emg]), 1e-12))
        good = quality >= GOOD
        use = np.repeat(good[None], len(logs), axis=0)
        use[0] &= not ocular.any()
        use[1] &= ~ocular
        whole = self._complete(logs, use)
        values, known = _table(whole), ~np.isnan(whole[2])
        # The bands, their shares, engage, emg: delta and theta are also as shares what they are as powers.
        sure = np.vstack([use[:5], use[:5], good, use[5:]]) * quality
        found = {}
        for suffix, members in self._members.items():
            there = members & known
            if not (there & good).any():
                continue
            means = values[:, there].mean(axis=1)
            confidences = sure[:, members].mean(axis=1)
            for kind, value, confidence in zip(KINDS[: REGIONAL if suffix else None], means, confidences, strict=False):
                if confidence > 0 and kind not in self._missing and np.isfinite(value):
                    found[kind + suffix] = (float(value), float(confidence))
        return found

    def _complete(self, logs: np.ndarray, use: np.ndarray) -> np.ndarray:
        """`logs` with what is missing filled, and the slow means and spreads brought up to date."""
        new = use & np.isnan(self._centre)
        self._centre, self._spread = np.where(new, logs, self._centre), np.where(new, SPREAD, self._spread)
        off = np.where(use, logs - self._centre, 0)
        moved = np.where(use, off / self._spread, 0)
        near = use @ self._near
        with np.errstate(invalid="ignore", divide="ignore"):
            everywhere = moved.sum(axis=1, keepdims=True) / np.maximum(use.sum(axis=1, keepdims=True), 1)
            off = np.where(use, off, np.where(near > 0, moved @ self._near / near, everywhere) * self._spread)
        whole = np.where(use, logs, self._centre + off)
        self._centre = self._centre + self._rate * off
        self._spread = self._spread + self._rate * np.where(use, np.abs(off) + SPREAD - self._spread, 0)
        return whole


class Slow:
    """What is computed once a second: the 1/f part of the spectrum, calm's reference, and complexity."""

    def __init__(self, layout: Layout, hz: np.ndarray, rate: float):
        self._layout, self._hz = layout, hz
        self._every = max(1, round(rate / COMPLEXITY_HZ))
        self.density: np.ndarray | None = None
        """(channels, bins) averaged over about `SLOW_S`, in µV²/Hz."""
        self.posterior_fit: tuple[float, float] | None = None

    def push(self, density: np.ndarray, clean: np.ndarray, quality: np.ndarray) -> dict[str, tuple[float, float]]:
        """A (channels, bins) density and the (channels, n) window it is of. name -> (value, confidence)."""
        use = (quality >= GOOD) & self._layout.groups[""]
        rate = 1 - np.exp(-1 / SLOW_S)
        if self.density is None:
            self.density = np.full(density.shape, np.nan)
        new = use & np.isnan(self.density[:, 0])
        self.density[new] = density[new]
        self.density[use] += rate * (density - self.density)[use]
        if not use.any():
            return {}
        confidence = float((quality * use)[self._layout.groups[""]].mean())
        _, exponent = aperiodic(self._hz, _geometric_mean(self.density[use]))
        behind = use & self._layout.posterior
        self.posterior_fit = aperiodic(self._hz, _geometric_mean(self.density[behind])) if behind.any() else None
        thinned = _thin(clean[use], self._every)
        parsed = [lempel_ziv(row > np.median(row)) for row in thinned]
        return {"exponent": (exponent, confidence), "complexity": (float(np.mean(parsed)), confidence)}

    def calm(self, density: np.ndarray, quality: np.ndarray, alpha: tuple[float, float]) -> tuple[float, float] | None:
        """Posterior alpha above the 1/f fit, in log10 units, with confidence."""
        use = (quality >= GOOD) & self._layout.posterior
        if self.posterior_fit is None or not use.any():
            return None
        value = above_fit(self._hz, _geometric_mean(density[use]), self.posterior_fit, alpha)
        return value, float((quality * use)[self._layout.posterior].mean())


def asymmetries(layout: Layout, alpha: np.ndarray, quality: np.ndarray) -> dict[str, tuple[float, float]]:
    """ln of right over left alpha power at mirrored frontal sites, from (channels,) µV². Both must be good."""
    found = {}
    for name, (left, right) in layout.pairs.items():
        confidence = float(min(quality[left], quality[right]))
        if confidence >= GOOD:
            found[name] = (float(np.log(alpha[right] / alpha[left])), confidence)
    return found


def _geometric_mean(density: np.ndarray) -> np.ndarray:
    return np.exp(np.log(np.maximum(density, 1e-20)).mean(axis=0))


def _thin(window: np.ndarray, every: int) -> np.ndarray:
    """Every n-th sample after a linear-phase low-pass: complexity depends on the rate, so all are brought near one."""
    from scipy import signal

    return window if every == 1 else signal.decimate(window, every, ftype="fir")


def possible_features(performer: Performer) -> list[str]:
    """The names of all features that a stream may give at some time."""
    layout = Layout.of(tuple(performer.channels), performer.rate)
    names = [kind + suffix for suffix in layout.groups for kind in KINDS[: REGIONAL if suffix else None]]
    return [n for n in (*names, *layout.pairs, "calm", "exponent", "complexity") if n not in performer.missing]
