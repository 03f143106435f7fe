"""Samples in, frames out. No streams, no clocks of its own: the same samples give the same features.

One way through: stamps to segments (`timeline`), to microvolts (`units`), filters, windows, quality, features, frame.
"""

from __future__ import annotations

import time as wall
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from protocol.errors import AlphaloomError
from protocol.model import Event, Feature, Frame, Latency, Performer

from . import filters, quality, spectrum, units
from .baseline import REFERENCE, Baseline
from .features import SLOW_S, Averages, Layout, Slow, asymmetries, band_powers, emg_bins
from .stream import StreamFormat
from .timeline import Grid, Timeline

RATES = (32.0, 100_000.0)
GUESSED_RATE = 250.0
"""Of an irregular stream, until it has been measured."""
IMPLAUSIBLE_S = 5
FEWEST_TO_AVERAGE = 3
"""Good channels that an average reference needs; with fewer it would take the signal itself away."""
MOST_EVENTS = 50  # between two frames
_ALPHA = list(spectrum.BANDS).index("alpha")
LIMIT_UV = 1e6
"""No sample is larger; what is, is no measurement."""


@dataclass(frozen=True)
class Options:
    """How EEG is processed. `mains_hz` 0 takes out both 50 and 60; `unit` goes before what the stream says."""

    window_s: float = 2.0
    updates_hz: float = 10.0
    high_pass_hz: float = filters.HIGH_PASS_HZ
    mains_hz: float = 0.0
    reference: Literal["none", "average"] = "none"
    only_bands: bool = False
    """Band powers only: no quality, no events, nothing slow."""
    unit: str = ""
    alpha_peak: float | None = None
    """In Hz, what the bands are anchored to; None is the baseline's, or the fixed bands."""


def usable(rate: float, name: str) -> float:
    """The rate in Hz. Raises AlphaloomError `unusable_rate` when it cannot carry alpha."""
    if not RATES[0] <= rate <= RATES[1]:
        raise AlphaloomError(
            "unusable_rate",
            f"The stream {name!r} has {rate:g} Hz; EEG needs {RATES[0]:g} to {RATES[1]:g} Hz. Name the EEG stream itself, "
            "or set the rate in its program.",
            rate=rate,
        )
    return rate


@dataclass(frozen=True)
class _Arrival:
    """When a chunk came, on the stamps' clock; that clock's zero in seconds since 1970; when work on it began."""

    at: float
    epoch: float
    started: float

    def latency(self, known: Latency, end: float) -> Latency:
        """Of a window that ends at `end` and has been computed by now."""
        return replace(known, chunk=max(0.0, self.at - end), compute=wall.perf_counter() - self.started)


class Engine:
    """One performer's processing. Raises AlphaloomError `unknown_unit`, or `wrong_baseline` for another headset's."""

    def __init__(self, format: StreamFormat, options: Options | None = None, baseline: Baseline | None = None):
        self.options = options or Options()
        self.format = format
        self.baseline = baseline
        self.on_clean: Callable[[np.ndarray, np.ndarray, np.ndarray], None] | None = None
        """Called with (n,) times, (channels, n) filtered µV and (channels,) quality of the channels that count, for what
        needs several performers."""
        self.to_microvolts = np.array(units.scales(format, self.options.unit))
        """(channels,) what the stream's numbers are multiplied by."""
        self._grid = Grid() if format.rate <= 0 else None
        self._measured = False
        if baseline:
            baseline.check(format.channels, self.options.reference)
        self._vigil = quality.Vigil()
        self._events: list[Event] = []
        self._timeline = Timeline(usable(format.rate or GUESSED_RATE, format.name))
        self._plan(self._timeline.rate)

    @property
    def density(self) -> np.ndarray | None:
        """(channels, bins) in µV²/Hz, averaged over some seconds; None until there is one."""
        return self._slow.density

    @property
    def posterior(self) -> np.ndarray:
        """(channels,) of bool: parietal and occipital ones."""
        return self._layout.posterior

    @property
    def hz(self) -> np.ndarray:
        """(bins,) frequencies of `density`."""
        return self._spectrum.hz

    @property
    def until_update(self) -> int:
        """How many more samples the next frame needs."""
        return max(1, self._due - self._count)

    def push(
        self, times: np.ndarray, values: np.ndarray, arrived: float | None = None, epoch: float | None = None
    ) -> list[Frame]:
        """(n,) stamps in seconds and (n, channels) values in the stream's unit. The frames that they complete.

        `arrived` is when they came, on the stamps' clock; `epoch` that clock's zero in seconds since 1970. Without
        them the newest sample is taken to be now.
        """
        started = wall.perf_counter()
        if not len(times):
            return []
        times, values = np.asarray(times, float), np.asarray(values, float)
        if self._grid:
            times, values = self._grid.push(times, values)
            if self._grid.rate is None or not len(times):
                return []
            if not self._measured:
                self._measured = True
                self._timeline = Timeline(usable(self._grid.rate, self.format.name))
                self._plan(self._grid.rate)
        arrived = float(times[-1]) if arrived is None else arrived
        epoch = wall.time() - arrived if epoch is None else epoch
        frames = []
        for span in self._timeline.push(times):
            for event in span.events:
                self.tell(event)
                if event.kind == "rate":
                    self._plan(usable(span.rate, self.format.name))
                else:
                    self._restart()
            frames += self._take(span.times, values[span.start : span.stop], _Arrival(arrived, epoch, started))
        return frames

    def tell(self, event: Event) -> None:
        """Put an event into the next frame."""
        self._events = [*self._events[1 - MOST_EVENTS :], event]

    def silence(self, now: float, age: float, epoch: float) -> Frame:
        """The frame of a stream that sends nothing: no features, no quality. `now` on the stamps' clock."""
        nothing = dict.fromkeys(self.performer.channels, 0.0)
        return Frame(now + epoch, {}, self.format.name, nothing, self._vigil.step(now, 0.0), age, self._take_events())

    # -- set-up ---------------------------------------------------------------------------------------------

    def _plan(self, rate: float) -> None:
        """Everything that depends on the rate."""
        o = self.options
        channels = self.format.channels
        layout = self._layout = Layout.of(channels, rate)
        self._lines = [hz for hz in ((o.mains_hz,) if o.mains_hz else (50.0, 60.0)) if hz < filters.HIGHEST * rate]
        high_pass, notches = filters.high_pass(rate, o.high_pass_hz), filters.notches(rate, self._lines)
        whole = np.vstack([high_pass, notches])
        # Quality looks at the hum that the notches take out, so it needs what is between the two.
        self._high_pass = filters.Filter(whole if o.only_bands else high_pass, len(channels))
        self._notch = filters.Filter(notches, len(channels)) if len(notches) and not o.only_bands else None
        delay = filters.group_delay(whole, rate)
        self._length = round(o.window_s * rate)
        self._spectrum = spectrum.Spectrum(self._length, rate)
        peak = o.alpha_peak or (self.baseline.alpha_peak if self.baseline else None)
        self._bands = spectrum.anchored(peak)
        self._summing = self._spectrum.summing(list(self._bands.values()))
        self._emg = emg_bins(self._spectrum.hz, rate) * self._spectrum.step
        self._ring = filters.Ring(len(channels), self._length)
        self._averages = Averages(layout, o.updates_hz)
        self._slow = Slow(layout, self._spectrum.hz, rate)
        self._latency = Latency(group_delay=delay, half_window=o.window_s / 2)
        self._quality = np.ones(len(channels))
        self._unusual = 1.0
        if not o.only_bands:
            self._raw = filters.Ring(len(channels), self._length)
            self._hum = filters.Ring(len(channels), self._length)
            self._missing = filters.Ring(len(channels), self._length, bool)
            self._blocks = quality.Blocks(list(layout.regions), o.window_s)
            self._block = max(4, round(quality.BLOCK_S * rate))
            muscles = filters.muscles(rate)
            self._muscle = filters.Filter(muscles, len(channels)) if muscles is not None else None
            self._muscles = filters.Ring(len(channels), self._block)
            self._potato = quality.Potato()
        self._last = np.zeros(len(channels))
        self.performer = Performer(
            self.format.name,
            rate,
            dict(zip(channels, layout.regions, strict=True)),
            self.options.unit or self.format.unit,
            layout.missing,
            self.baseline.hash if self.baseline else "",
            peak,
        )
        self._restart()

    def _restart(self) -> None:
        """A segment begins: no filter and no window remembers the last one."""
        self._high_pass.reset()
        if self._notch:
            self._notch.reset()
        self._ring.clear()
        self._count = self._updates = self._last_due = 0
        self._due = self._length
        self._slow_due = self._implausible = 0
        self._slow_found: dict[str, Feature] = {}
        if not self.options.only_bands:
            for ring in (self._raw, self._hum, self._missing, self._muscles):
                ring.clear()
            self._blocks.clear()
            if self._muscle:
                self._muscle.reset()

    # -- samples --------------------------------------------------------------------------------------------

    def _take(self, times: np.ndarray, values: np.ndarray, arrival: _Arrival) -> list[Frame]:
        """Samples of one segment, cut where blocks end and updates fall due."""
        samples = (values * self.to_microvolts).T
        missing = ~np.isfinite(samples) | (np.abs(samples) > LIMIT_UV)
        if missing.any():
            samples = self._held(samples, missing)
        self._last = samples[:, -1].copy()
        hum = self._high_pass.push(samples)
        clean = self._notch.push(hum) if self._notch else hum
        muscle = self._muscle.push(clean) if not self.options.only_bands and self._muscle else None
        done = []
        start = 0
        while start < len(times):
            stop = min(len(times), start + self._due - self._count)
            if not self.options.only_bands:
                stop = min(stop, start + self._block - self._count % self._block)
            part = slice(start, stop)
            self._ring.push(clean[:, part])
            self._count += stop - start
            if not self.options.only_bands:
                self._raw.push(samples[:, part])
                self._hum.push(hum[:, part])
                self._missing.push(missing[:, part])
                self._muscles.push(muscle[:, part] if muscle is not None else np.zeros_like(clean[:, part]))
                if self._count % self._block == 0:
                    at = times[stop - 1] + (np.arange(self._block) - self._block + 1) / self.performer.rate
                    self._events += self._blocks.push(
                        at, *(ring.last(self._block) for ring in (self._raw, self._ring, self._muscles))
                    )
            if self._count == self._due:
                end = float(times[stop - 1])
                if not self.options.only_bands:
                    self._tell_missing(end, self._count - self._last_due)
                self._updates += 1
                self._last_due = self._due
                self._due = self._length + round(self._updates * self.performer.rate / self.options.updates_hz)
                done.append(self._frame(end, arrival))
            start = stop
        if self.on_clean:
            used = self._layout.groups[""]
            self.on_clean(times, clean[used], self._quality[used])
        return done

    def _held(self, samples: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """Samples that are no numbers replaced by the channel's last one, so that filters live on."""
        index = np.where(missing, -1, np.arange(samples.shape[1]))
        newest = np.maximum.accumulate(index, axis=1)
        padded = np.concatenate([self._last[:, None], np.where(missing, 0, samples)], axis=1)
        return np.take_along_axis(padded, newest + 1, axis=1)

    def _tell_missing(self, end: float, since: int) -> None:
        """Samples that were no numbers, among those `since` the last frame."""
        struck = self._missing.last(min(since, self._length)).any(axis=1)
        if struck.any():
            names = ", ".join(self.format.channels[n] for n in np.flatnonzero(struck))
            self._events.append(Event("not_finite", end, f"{names}: NaN, infinite or beyond 1 V"))

    # -- a window -------------------------------------------------------------------------------------------

    def _frame(self, end: float, arrival: _Arrival) -> Frame:
        """What the window that ends at `end` says."""
        window = self._ring.window
        if self.options.only_bands:
            bands = band_powers(self._layout, self._spectrum(window) @ self._summing)
            latency = arrival.latency(self._latency, end)
            features = {name: self._feature(name, value, 1.0, end, latency) for name, value in bands.items()}
            return Frame(end + arrival.epoch, features, self.format.name, age=max(0.0, arrival.at - end))
        used = self._layout.groups[""]
        good = self._trust(window, end)
        if self.options.reference == "average" and (good[used] >= quality.GOOD).sum() >= FEWEST_TO_AVERAGE:
            window = window - window[used & (good >= quality.GOOD)].mean(axis=0)
        density = self._spectrum(window)
        powers = density @ self._summing
        found = self._averages.push(powers, density @ self._emg, good, self._blocks.ocular)
        found |= asymmetries(self._layout, powers[:, _ALPHA], good)
        slow = self._slow.push(density, window, good) if self._count >= self._slow_due else None
        if (calm := self._slow.calm(density, good, self._bands["alpha"])) is not None:
            found["calm"] = calm
        latency = arrival.latency(self._latency, end)
        if slow is not None:
            self._slow_due = self._count + round(self.performer.rate)
            late = {"exponent": replace(latency, smoothing=SLOW_S)}
            self._slow_found = {name: self._feature(name, *one, end, late.get(name, latency)) for name, one in slow.items()}
        features = {name: self._feature(name, *one, end, latency) for name, one in found.items()}
        return Frame(
            end + arrival.epoch,
            features | self._slow_found,
            self.format.name,
            dict(zip(self.format.channels, np.round(good, 3).tolist(), strict=True)),
            self._vigil.step(end, float(good[used].mean()), self._blocks.echo),
            max(0.0, arrival.at - end),
            self._take_events(),
        )

    def _trust(self, window: np.ndarray, end: float) -> np.ndarray:
        """(channels,) quality of the window that the rings hold."""
        good = quality.window_quality(self._hum.window, window, self._missing.window, self.performer.rate, self._lines)
        good = np.where(self._blocks.struck, 0.0, good * quality.clipped(self._raw.window) * self._blocks.relaxed)
        if self._count >= self._slow_due:
            self._unusual = self._potato.look(window, self._layout.groups[""] & (good >= quality.GOOD))
            self._check_unit(window, end)
        self._quality = good * self._unusual
        return self._quality

    def _check_unit(self, window: np.ndarray, end: float) -> None:
        """Once a second: amplitudes that no EEG has, for some seconds on end, mean that the unit is wrong."""
        rms = float(np.median(window[self._layout.groups[""]].std(axis=1)))
        low, high = units.PLAUSIBLE_RMS
        self._implausible = 0 if low <= rms <= high else self._implausible + 1
        if self._implausible == IMPLAUSIBLE_S:
            text = f"{rms:.3g} µV RMS is no EEG. Is the unit really {self.performer.unit!r}? State it: --unit volts"
            self._events.append(Event("implausible", end, text))

    def _feature(self, name: str, value: float, confidence: float, end: float, latency: Latency) -> Feature:
        return Feature(value, (self.baseline or REFERENCE).z(name, value), confidence, end, latency)

    def _take_events(self) -> tuple[Event, ...]:
        events, self._events = tuple(self._events[-MOST_EVENTS:]), []
        return events
