"""Seeded synthetic EEG in microvolts: background, alpha, beta, blinks and mains hum, and what can go wrong with EEG.

The same seed gives the same samples however they are asked for: sample n uses the n-th draw. Artefacts draw from
generators of their own and are added to what was there: with the same seed, a schedule with an artefact and one
without it (its twin) have the same EEG underneath.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from protocol.errors import AlphaloomError

from . import artefacts
from .artefacts import Site

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
RATE = 256.0
RATES = (64.0, 20000.0)
FADE_S = 0.5
"""In a schedule, one state's rhythms give way to the next one's over this time."""


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
"""What the brain does. `artefacts.ARTEFACTS` and `gap` lie over one of these."""

GAP = "gap"
GAP_EVERY_S, GAP_S = 10.0, 1.5
NAMES = (*STATES, *artefacts.ARTEFACTS, GAP)

BACKGROUND = 7.0  # µV RMS of the 1/f part
MAINS_HZ, MAINS = 50.0, 3.0  # µV amplitude
BLINK_EVERY_S, BLINK, BLINK_S = 5.0, 90.0, 0.12  # mean interval, peak in µV at the forehead, width

# Poles and zeros that alternate on a logarithmic axis approximate a 1/f power spectrum over their range
# (Keshner, "1/f noise", Proc. IEEE 70, 1982).
_POLES_HZ = 0.3 * 4.0 ** np.arange(4)
_ZEROS_HZ = _POLES_HZ * 2


@dataclass(frozen=True)
class Segment:
    """A state from `start` to `end`, in seconds. `brain` is what goes on under an artefact or a gap."""

    name: str
    brain: str
    start: float
    end: float


def parse_schedule(text: str) -> tuple[Segment, ...]:
    """`relaxed:20,jaw:2,relaxed:20` (seconds per state), or one state's name alone for a stream without end.

    An artefact or a gap lies over the last state before it (`relaxed` where it comes first) and lasts its whole time.
    Raises AlphaloomError `bad_schedule`.
    """
    if text in NAMES:
        return (Segment(text, text if text in STATES else "relaxed", 0.0, np.inf),)
    segments: list[Segment] = []
    brain, end = "relaxed", 0.0
    for part in text.split(","):
        name, _, seconds = part.strip().partition(":")
        try:
            length = float(seconds)
        except ValueError:
            length = np.nan
        if name not in NAMES or not 0 < length < np.inf:
            raise AlphaloomError(
                "bad_schedule",
                f"{part.strip()!r} in {text!r} is no state with its seconds, such as 'relaxed:20'. States: {', '.join(NAMES)}.",
                part=part.strip(),
            )
        brain = name if name in STATES else brain
        segments.append(Segment(name, brain, end, end + length))
        end += length
    return tuple(segments)


class SyntheticEEG:
    """Synthetic EEG at `channels` (10-20 names), `rate` in Hz, in one of `NAMES` or by a schedule (`parse_schedule`).

    Raises AlphaloomError `bad_schedule`, `bad_channels` or `bad_rate`.
    """

    def __init__(self, seed: int = 0, state: str = "drifting", channels: Sequence[str] = CHANNELS, rate: float = RATE):
        if not RATES[0] <= rate <= RATES[1]:
            raise AlphaloomError("bad_rate", f"A rate of {rate:g} Hz is not from {RATES[0]:g} to {RATES[1]:g} Hz.", rate=rate)
        self.rate = float(rate)
        self.channels = tuple(channels)
        self.segments = parse_schedule(state)
        self.duration = self.segments[-1].end
        sites = artefacts.sites(self.channels)
        self._alpha_mix, self._beta_mix, self._blink_mix = (
            np.array([getattr(site, source) for site in sites]) for source in ("alpha", "beta", "blink")
        )
        self._artefacts = [
            (segment, self._artefact(segment, seed, sites)) for segment in self.segments if segment.name in artefacts.ARTEFACTS
        ]
        self._rng = np.random.default_rng([seed, 0])
        self._blinks = artefacts.Blinks(np.random.default_rng([seed, 1]), 1.0, BLINK_EVERY_S, (BLINK, BLINK), BLINK_S)
        self._position = 0
        poles, zeros = (np.exp(-2 * np.pi * hz / self.rate) for hz in (_POLES_HZ, _ZEROS_HZ))
        self._pink = np.poly(zeros), np.poly(poles)
        response = lfilter(*self._pink, np.eye(1, max(8192, int(32 * self.rate)))[0])
        self._pink_gain = BACKGROUND / np.sqrt(np.sum(response**2))
        self._pink_memory = np.zeros((len(_POLES_HZ), len(self.channels)))
        self._rhythms = [_Rhythm(10.0, 1.2, self.rate), _Rhythm(20.0, 5.0, self.rate)]

    def read(self, count: int) -> np.ndarray:
        """The next `count` samples, (count, channels), in µV; gaps are not left out, and the last state has no end."""
        time = (self._position + np.arange(count)) / self.rate
        first, self._position = self._position, self._position + count
        width = len(self.channels)
        draws = self._rng.standard_normal((count, width + 4))
        background, self._pink_memory = lfilter(*self._pink, draws[:, :width], axis=0, zi=self._pink_memory)
        alpha, beta = (r.read(draws[:, width + 2 * n : width + 2 * n + 2]) for n, r in enumerate(self._rhythms))
        alpha, beta = self._by_state(time, alpha, beta)
        eeg = (
            self._pink_gain * background
            + alpha[:, None] * self._alpha_mix
            + beta[:, None] * self._beta_mix
            + self._blinks.read(time)[:, None] * self._blink_mix
            + MAINS * np.sin(2 * np.pi * MAINS_HZ * time)[:, None]
        )
        for segment, artefact in self._artefacts:
            start, end = self._samples(segment)
            here = slice(max(0, start - first), max(0, min(count, end - first)))
            if here.start < here.stop:
                eeg[here] += artefact.read(here.stop - here.start)
        return eeg

    def chunks(self, size: int = 16) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(times (n,) in s from the start, values (n, channels) in µV), `size` samples or fewer, until the schedule ends.

        A gap's samples are left out: the times jump.
        """
        last = np.inf if self.duration == np.inf else round(self.duration * self.rate)
        while self._position < last:
            first = self._position
            values = self.read(int(min(size, last - first)))
            index = first + np.arange(len(values))
            there = ~self._in_gap(index)
            if there.any():
                yield index[there] / self.rate, values[there]

    def _artefact(self, segment: Segment, seed: int, sites: list[Site]) -> artefacts.Artefact:
        start, end = self._samples(segment)
        rng = np.random.default_rng([seed, 2, start])
        return artefacts.ARTEFACTS[segment.name](rng, sites, self.channels, self.rate, end - start)

    def _samples(self, segment: Segment) -> tuple[int, int]:
        """A segment's first sample and the one after its last."""
        return round(segment.start * self.rate), 2**62 if segment.end == np.inf else round(segment.end * self.rate)

    def _in_gap(self, index: np.ndarray) -> np.ndarray:
        found = np.zeros(len(index), bool)
        for segment in self.segments:
            if segment.name == GAP:
                start, end = self._samples(segment)
                # A gap without end would be no stream: on its own, it comes again and again.
                again = (index / self.rate) % GAP_EVERY_S >= GAP_EVERY_S - GAP_S if segment.end == np.inf else True
                found |= (index >= start) & (index < end) & again
        return found

    def _by_state(self, time: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both rhythms at the amplitudes of the states that `time` falls in."""
        changes = [b.start for a, b in zip(self.segments, self.segments[1:], strict=False) if a.brain != b.brain]
        brains = [self.segments[0].brain] + [s.brain for s in self.segments if s.start in changes]
        parts = []
        for n, brain in enumerate(brains):
            weight = np.ones(len(time))
            if n:
                weight = np.clip((time - changes[n - 1]) / FADE_S, 0.0, 1.0)
            if n < len(changes):
                weight = weight - np.clip((time - changes[n]) / FADE_S, 0.0, 1.0)
            if weight.any():
                state = STATES[brain]
                swung = alpha
                if state.swing:
                    swung = alpha * (0.5 - 0.5 * np.cos(2 * np.pi * time / state.swing)) * np.sqrt(8 / 3)
                parts.append((weight * (state.alpha * swung), weight * (state.beta * beta)))
        return sum((a for a, _ in parts), np.zeros(len(time))), sum((b for _, b in parts), np.zeros(len(time)))


class _Rhythm:
    """A narrow-band random oscillation of unit RMS: a complex first-order process, turning at `hz`."""

    def __init__(self, hz: float, bandwidth: float, rate: float):
        self._pole = np.exp((2j * np.pi * hz - np.pi * bandwidth) / rate)
        self._gain = np.sqrt(1 - abs(self._pole) ** 2)
        self._memory = np.zeros(1, complex)

    def read(self, draws: np.ndarray) -> np.ndarray:
        """(count, 2) normal draws in, (count,) out."""
        drive = self._gain * (draws[:, 0] + 1j * draws[:, 1])
        out, self._memory = lfilter([1], [1, -self._pole], drive, zi=self._memory)
        return out.real
