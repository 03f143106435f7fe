"""What lies over synthetic EEG: blinks, jaw clenches, a loose electrode. And where on the head each source is seen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from protocol.errors import AlphaloomError


@dataclass(frozen=True)
class Site:
    """How strongly an electrode sees each source."""

    alpha: float
    beta: float
    blink: float
    jaw: float


_SITES = {
    "FP": Site(0.5, 1.0, 1.0, 0.5),
    "AF": Site(0.55, 1.0, 1.0, 0.5),
    "F": Site(0.55, 1.0, 0.5, 0.35),
    "FT": Site(0.6, 0.9, 0.3, 0.9),
    "FC": Site(0.6, 0.9, 0.25, 0.3),
    "T": Site(0.8, 0.8, 0.15, 1.0),
    "C": Site(0.7, 0.9, 0.12, 0.25),
    "TP": Site(1.0, 0.7, 0.12, 1.0),
    "CP": Site(0.85, 0.8, 0.08, 0.3),
    "A": Site(0.6, 0.5, 0.1, 0.9),  # ear lobe
    "M": Site(0.6, 0.5, 0.1, 0.9),  # mastoid
    "P": Site(1.15, 0.7, 0.06, 0.35),
    "PO": Site(1.25, 0.6, 0.04, 0.4),
    "O": Site(1.3, 0.6, 0.03, 0.45),
    "I": Site(1.1, 0.6, 0.03, 0.5),
}
_NAME = re.compile(r"(FP|AF|FT|FC|TP|CP|PO|F|T|C|A|M|P|O|I)(Z|[1-9]|10)", re.IGNORECASE)

EDGE_S = 0.05
"""An artefact comes and goes over this time within its segment."""


def is_electrode(name: str) -> bool:
    """Whether a channel is called like an electrode of the 10-20 system (`Fp1`, `TP10`, `Oz`)."""
    return _NAME.fullmatch(name.strip()) is not None


def sites(channels: Sequence[str]) -> list[Site]:
    """Each channel's site. Raises AlphaloomError `bad_channels` for a name that is not in the 10-20 system."""
    found = [_NAME.fullmatch(name) for name in channels]
    wrong = [name for name, match in zip(channels, found, strict=True) if not match]
    if wrong or not channels or len({name.upper() for name in channels}) < len(channels):
        what = f"{wrong[0]!r} is no electrode of the 10-20 system" if wrong else "Channels must be there, and each only once"
        raise AlphaloomError(
            "bad_channels", f"{what}. Give names such as Fp1,Fz,C3,O2 or TP9,AF7,AF8,TP10.", channels=list(channels)
        )
    return [_SITES[match[1].upper()] for match in found if match]


class Artefact:
    """Over one segment of `length` samples, or without an end: read from its first sample on, chunk by chunk."""

    ENDLESS = 2**40
    """A length in samples that is no schedule's."""

    def __init__(self, rng: np.random.Generator, sites: Sequence[Site], channels: Sequence[str], rate: float, length: int):
        self.rng, self.sites, self.channels, self.rate, self.length = rng, sites, channels, rate, length
        self._position = 0

    def read(self, count: int) -> np.ndarray:
        """What the next `count` samples have on top, (count, channels), in µV."""
        index = self._position + np.arange(count)
        self._position += count
        from_edge = np.minimum(index, self.length - 1 - index) / self.rate
        return self._values(index / self.rate) * _ramp(from_edge / EDGE_S)[:, None]

    def _values(self, time: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class Blinks:
    """Blinks as bumps of `width` (standard deviation, s), at least `refractory` s apart and `every` s on average."""

    def __init__(
        self, rng: np.random.Generator, refractory: float, every: float, peak: tuple[float, float], width: float = 0.12
    ):
        self._rng, self._refractory, self._every, self._peak, self._width = rng, refractory, every, peak, width
        self._blinks: list[tuple[float, float]] = []

    def read(self, time: np.ndarray) -> np.ndarray:
        """µV at the forehead at `time` (n,), in s; later each time."""
        while len(time) and (not self._blinks or self._blinks[-1][0] < time[-1] + 1):
            last = self._blinks[-1][0] if self._blinks else 0.0
            at = last + self._refractory + self._rng.exponential(self._every - self._refractory)
            low, high = self._peak
            self._blinks.append((at, low if low == high else self._rng.uniform(low, high)))
        near = [(at, peak) for at, peak in self._blinks if time[0] - 1 < at < time[-1] + 1] if len(time) else []
        return sum((peak * np.exp(-0.5 * ((time - at) / self._width) ** 2) for at, peak in near), np.zeros(len(time)))


class ManyBlinks(Artefact):
    """A blink about every 1.5 s, of 90 to 150 µV at the forehead."""

    def __init__(self, *arguments: object):
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._blinks = Blinks(self.rng, 0.7, 1.5, (90.0, 150.0))
        self._mix = np.array([site.blink for site in self.sites])

    def _values(self, time: np.ndarray) -> np.ndarray:
        return self._blinks.read(time)[:, None] * self._mix


class Jaw(Artefact):
    """Clenches: 20-110 Hz noise, each clench with 60-150 µV RMS at the temples, half of it at the forehead.

    In a segment with an end it is one clench for all its time; without one, 1 s every 6 s.
    """

    BAND_HZ = (20.0, 110.0)
    RMS = (60.0, 150.0)
    EVERY_S, CLENCH_S, RISE_S = 6.0, 1.0, 0.1

    def __init__(self, *arguments: object):
        super().__init__(*arguments)  # type: ignore[arg-type]
        band = self.BAND_HZ[0], min(self.BAND_HZ[1], 0.45 * self.rate)
        self._filter = butter(4, band, "bandpass", fs=self.rate, output="sos")
        response = sosfilt(self._filter, np.eye(1, int(2 * self.rate))[0])
        self._gain = 1 / np.sqrt(np.sum(response**2))
        self._memory = np.zeros((len(self._filter), 2, len(self.sites)))
        self._mix = np.array([site.jaw for site in self.sites])
        self._noise = np.random.default_rng(self.rng.integers(2**63))
        self._levels: list[float] = []

    def _values(self, time: np.ndarray) -> np.ndarray:
        noise, self._memory = sosfilt(
            self._filter, self._noise.standard_normal((len(time), len(self._mix))), axis=0, zi=self._memory
        )
        if self.length < self.ENDLESS:
            clench, envelope = np.zeros(len(time), int), np.ones(len(time))
        else:
            # The clench is in the last second of each 6: the stream begins clean.
            clench = (time // self.EVERY_S).astype(int)
            into = time % self.EVERY_S - (self.EVERY_S - self.CLENCH_S)
            envelope = _ramp(np.minimum(into, self.CLENCH_S - into) / self.RISE_S)
        while len(self._levels) <= clench.max(initial=0):
            self._levels.append(self.rng.uniform(*self.RMS))
        return noise * (self._gain * envelope * np.array(self._levels)[clench])[:, None] * self._mix


class LooseElectrode(Artefact):
    """TP10, or the last channel where there is none, loses contact: hum, slow drift and noise; nothing on the others."""

    HUM_HZ, HUM = 50.0, 120.0  # µV amplitude
    DRIFT_HZ, DRIFT = 0.1, 200.0  # corner, µV RMS
    NOISE = 150.0  # µV RMS

    def __init__(self, *arguments: object):
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._which = self.channels.index("TP10") if "TP10" in self.channels else len(self.channels) - 1
        self._pole = np.exp(-2 * np.pi * self.DRIFT_HZ / self.rate)
        self._memory = np.array([self._pole * self.rng.standard_normal()])  # as if it had always drifted

    def _values(self, time: np.ndarray) -> np.ndarray:
        draws = self.rng.standard_normal((len(time), 2))
        gain = np.sqrt(1 - self._pole**2)
        drift, self._memory = lfilter([gain], [1, -self._pole], draws[:, 0], zi=self._memory)
        values = np.zeros((len(time), len(self.sites)))
        values[:, self._which] = (
            self.HUM * np.sin(2 * np.pi * self.HUM_HZ * time) + self.DRIFT * drift + self.NOISE * draws[:, 1]
        )
        return values


ARTEFACTS: dict[str, type[Artefact]] = {"blinks": ManyBlinks, "jaw": Jaw, "loose-electrode": LooseElectrode}


def _ramp(place: np.ndarray) -> np.ndarray:
    """0 up to 0, 1 from 1 on, a raised cosine between."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(place, 0.0, 1.0))
