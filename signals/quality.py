"""How far each channel can be trusted, 0..1, and what a person's body adds to EEG: blinks and jaw clenches.

Design notes
- Two looks: short blocks catch what strikes (a clench, a loose contact) before a tapered window lets it through;
  windows catch what lasts (hum, flat lines, amplifiers at their limit).
- Within one window a struck channel counts for nothing. Nothing is repaired: what cannot be trusted is not used.
- Blinks spoil slow activity at the forehead only: they mask it there and leave the rest alone.
"""

from __future__ import annotations

import functools
from collections import deque

import numpy as np

from protocol.model import Event, Signal

BLOCK_S = 0.125
FLAT_UV = (0.2, 0.5)
LOUD_UV = (60.0, 200.0)
HUM_RATIO = (30.0, 3000.0)
CLIPPED_SHARE = (0.01, 0.1)
MISSING_SHARE = (0.0, 0.05)
"""Each: where quality begins to fall, and where it has reached 0 (flat the other way round)."""

BURST_UV, BURST_TIMES, BURST_MOST_UV = 80.0, 6.0, 150.0
MUSCLE_UV, MUSCLE_TIMES = 15.0, 4.0
CALM_UV, TENSE_TIMES = 3.0, (1.5, 2.5)
"""Muscles that are not clenched, only tense: at least this is usual, and by so much over the usual quality falls."""
JAW_BLOCKS = 64
OCULAR_UV, OCULAR_TIMES = 20.0, 4.0
BLINK_UV, BLINK_S = 40.0, (0.04, 0.6)
SETTLING = 8
"""Blocks of a new segment in which filters settle: a notch rings at strong hum, which is no clench."""
_HISTORY = 240  # blocks, half a minute

GOOD = 0.5
"""A channel below it is left out; a feature below it moves nothing."""
LOST, LOST_AFTER_S = 0.3, 3.0


def _falling(value: np.ndarray, edges: tuple[float, float]) -> np.ndarray:
    return np.clip((edges[1] - value) / (edges[1] - edges[0]), 0, 1)


def window_quality(
    high_passed: np.ndarray, clean: np.ndarray, missing: np.ndarray, rate: float, mains_hz: list[float]
) -> np.ndarray:
    """(channels,) from a window of (channels, n) in µV: with mains, without; and where samples were no numbers."""
    n = clean.shape[1]
    eeg, loud = clean.std(axis=1), high_passed.std(axis=1)
    flat = np.clip((eeg - FLAT_UV[0]) / (FLAT_UV[1] - FLAT_UV[0]), 0, 1)
    seen = high_passed @ _tones(n, rate, tuple(mains_hz))
    hum = (seen[:, ::2] ** 2 + seen[:, 1::2] ** 2).max(axis=1, initial=0) / 2
    with np.errstate(divide="ignore"):
        humming = _falling(np.log(hum / np.maximum(eeg, 1e-9) ** 2), _log(HUM_RATIO))
        loudness = _falling(np.log(loud), _log(LOUD_UV))
    return flat * humming * loudness * _falling(missing.mean(axis=1), MISSING_SHARE)


@functools.cache
def _tones(n: int, rate: float, mains_hz: tuple[float, ...]) -> np.ndarray:
    """(n, 2 per line): a window times it gives the amplitude of a line's cosine and sine."""
    angle = 2 * np.pi * np.outer(np.arange(n) / rate, mains_hz)
    taper = np.sin(np.pi * np.arange(n) / n)[:, None, None] ** 2
    return (np.stack([np.cos(angle), np.sin(angle)], axis=2) * taper * 2 / taper.sum()).reshape(n, -1)


def clipped(raw: np.ndarray) -> np.ndarray:
    """(channels,) quality from how often (channels, n) raw samples stand at their own highest or lowest value."""
    at_ends = (raw == raw.max(axis=1, keepdims=True)) | (raw == raw.min(axis=1, keepdims=True))
    return _falling(at_ends.mean(axis=1) - 2 / raw.shape[1], CLIPPED_SHARE)


def _log(edges: tuple[float, float]) -> tuple[float, float]:
    return float(np.log(edges[0])), float(np.log(edges[1]))


class Blocks:
    """Looks at blocks of `BLOCK_S` and remembers, for `window_s`, which channels were struck.

    `regions` says where each channel is. `struck` (channels,) is bad for everything, `ocular` for slow activity.
    """

    def __init__(self, regions: list[str], window_s: float):
        self._temporal = np.array([r == "temporal" for r in regions])
        self._frontal = np.array([r == "frontal" for r in regions])
        self._span = int(np.ceil(window_s / BLOCK_S)) + 1
        self._levels: deque[np.ndarray] = deque(maxlen=_HISTORY)
        self._typical = np.full((3, len(regions)), np.nan)
        self._jaw, self._jaws = False, 0
        self._above: tuple[float, float, float] | None = None
        self.clear()

    def clear(self) -> None:
        """A new segment: its windows hold none of the old blocks."""
        n = len(self._frontal)
        self._struck: deque[np.ndarray] = deque([np.zeros(n, bool)], maxlen=self._span)
        self._ocular: deque[np.ndarray] = deque([np.zeros(n, bool)], maxlen=self._span)
        self._fast: deque[np.ndarray] = deque(maxlen=self._span)
        self._above = None
        self._settling = SETTLING

    @property
    def struck(self) -> np.ndarray:
        return np.any(self._struck, axis=0)

    @property
    def relaxed(self) -> np.ndarray:
        """(channels,) quality from how tense muscles have been in the window, by what is usual."""
        if not self._fast or not np.isfinite(self._typical).all():
            return np.ones(len(self._frontal))
        return _falling(np.mean(self._fast, axis=0) / np.maximum(self._typical[1], CALM_UV), TENSE_TIMES)

    @property
    def echo(self) -> bool:
        """Whether most channels are struck by what is over: the newest blocks are clean again."""
        return bool(self.struck.mean() > 0.5 and not np.any(list(self._struck)[-2:]))

    @property
    def ocular(self) -> np.ndarray:
        return np.any(self._ocular, axis=0)

    def push(self, times: np.ndarray, raw: np.ndarray, clean: np.ndarray, muscle: np.ndarray) -> list[Event]:
        """One block: (n,) times, (channels, n) samples as they came, filtered, and in the muscles' band. What happened."""
        slow = np.abs(clean.mean(axis=1))
        levels = np.stack([np.sqrt((clean**2).mean(axis=1)), np.sqrt((muscle**2).mean(axis=1)), slow])
        broad, fast, _ = levels
        typical = np.where(np.isfinite(self._typical), self._typical, 0)
        tense = fast > np.maximum(MUSCLE_UV, MUSCLE_TIMES * typical[1])
        burst = broad > np.maximum(BURST_UV, np.minimum(BURST_TIMES * typical[0], BURST_MOST_UV))
        eyes = self._frontal & ~tense & (slow > np.maximum(OCULAR_UV, OCULAR_TIMES * typical[2]))
        group = self._temporal if self._temporal.any() else np.ones_like(tense)
        settled = self._settling <= 0
        self._settling -= 1
        jaw = bool(tense[group].mean() > 0.5) and settled
        # An amplifier that has stopped repeats its last sample: a filter would still give something for a while.
        flat = raw.std(axis=1) < FLAT_UV[0]
        self._struck.append(np.ones_like(tense) if jaw else tense | flat | (burst & ~eyes))
        self._ocular.append(eyes)
        self._fast.append(fast)
        events = [Event("jaw", float(times[0]))] if jaw and not self._jaw else []
        self._jaw = jaw
        self._jaws = self._jaws + 1 if jaw else 0
        # What lasts is no clench but how this electrode is: it becomes the usual.
        if settled and (not jaw or self._jaws > JAW_BLOCKS):
            self._levels.append(levels)
        if settled and not jaw:
            events += self._blinks(times, clean[self._frontal & ~self._struck[-1]])
        if (len(self._levels) >= 8 and len(self._levels) % 8 == 0) or len(self._levels) == _HISTORY:
            self._typical = np.median(self._levels, axis=0)
        return events

    def _blinks(self, times: np.ndarray, forehead: np.ndarray) -> list[Event]:
        """Positive swings of most of the forehead's (channels, n), `BLINK_S` long; the event's time is the peak's."""
        if not len(forehead):
            return []
        forehead = np.median(forehead, axis=0)
        found = []
        for time, value in zip(times, forehead, strict=True) if forehead.max() > BLINK_UV / 2 or self._above else ():
            if self._above is None:
                if value > BLINK_UV:
                    self._above = (float(time), float(time), float(value))
                continue
            since, peak_at, peak = self._above
            if value > peak:
                self._above = (since, float(time), float(value))
            elif value < peak / 3:
                self._above = None
                if BLINK_S[0] <= time - since <= BLINK_S[1]:
                    found.append(Event("blink", peak_at, f"{peak:.0f} µV"))
        return found


class Vigil:
    """Says `held` when quality falls below `GOOD`, `lost` when it has been below `LOST` for `LOST_AFTER_S`."""

    def __init__(self) -> None:
        self._time: float | None = None
        self._poor_s = 0.0

    def step(self, time: float, quality: float, echo: bool = False) -> Signal:
        """`time` in seconds of any steady clock. An `echo`, bad only because the window still holds what is over,
        does not count towards `lost`."""
        passed = 0.0 if self._time is None or echo else max(0.0, time - self._time)
        self._time = time
        self._poor_s = 0.0 if quality >= LOST else self._poor_s + passed
        if self._poor_s >= LOST_AFTER_S:
            return "lost"
        return "good" if quality >= GOOD else "held"


class Potato:
    """A Riemannian potato over a performer's channels (Barachant, Andreev, Congedo, TOBI 2013), by pyriemann.

    It learns what this person's covariances are like from clean windows, and tells how unusual a new one is.
    """

    LEARN = 30
    KEEP = 120
    REFIT = 15
    MOST_CHANNELS = 16
    """Of more, every second or third ... is looked at."""
    UNUSUAL = (4.0, 8.0)
    """Standard deviations of the log-distance where quality begins to fall, and where it has reached 0."""

    def __init__(self) -> None:
        self._seen: deque[np.ndarray] = deque(maxlen=self.KEEP)
        self._potato: object | None = None
        self._channels: tuple[int, ...] = ()
        self._age = 0

    def look(self, clean: np.ndarray, good: np.ndarray) -> float:
        """The quality, 0..1, of a (channels, n) window in µV as far as its `good` channels go; 1 while it learns."""
        every = -(-len(clean) // self.MOST_CHANNELS)
        clean, good = clean[::every], good[::every]
        channels = tuple(np.flatnonzero(good).tolist())
        if len(channels) < 2:
            return 1.0
        covariance = np.cov(clean)
        quality = 1.0
        if len(self._seen) >= self.LEARN:
            part = np.ix_(channels, channels)
            if channels != self._channels or self._age >= self.REFIT:
                self._fit(np.array([_regular(seen[part]) for seen in self._seen]))
                self._channels, self._age = channels, 0
            if self._potato is not None:
                z = float(self._potato.transform(_regular(covariance[part])[None])[0])  # type: ignore[attr-defined]
                quality = float(_falling(np.array(z), self.UNUSUAL)) if np.isfinite(z) else 1.0
        # Unusual ones too: the fit rejects outliers, and what stays unusual becomes the usual.
        self._seen.append(covariance)
        self._age += 1
        return quality

    def _fit(self, covariances: np.ndarray) -> None:
        from pyriemann.artifact_detection import Potato  # brings scikit-learn: a second that a bare loop need not wait

        try:
            self._potato = Potato(threshold=3).fit(covariances)
        except (ValueError, np.linalg.LinAlgError):  # too few different ones: nothing can be said yet
            self._potato = None


def _regular(covariance: np.ndarray) -> np.ndarray:
    """A little of the mean variance on the diagonal: some references leave covariances without full rank."""
    return covariance + 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
