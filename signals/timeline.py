"""Time stamps to a steady clock, one unbroken segment at a time.

Design notes
- A stamp is when a sample was taken as the sender says; it jitters, often by packets. Within a segment samples are
  evenly spaced, so a straight line through many stamps is the better clock.
- A step of more than the tolerance is a gap, at once: a window that spans one would be wrong, and nobody can know yet
  whether the stamps come back. Where they keep coming back (jitter, nothing lost), the tolerance grows.
- What is lost within the jitter shows in the line: a whole block that lies off it is a gap too, found late.
- The line bends only at block ends, counted in samples: how samples are chunked changes nothing.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from protocol.model import Event

GAP_S = 0.02
GAP_SAMPLES = 2.5
"""A step between stamps that exceeds both is a gap."""
BLOCK_S = 1.0
BLOCKS = 20
RATE_ERROR, GROSS_ERROR = 0.02, 0.1
"""The stream's rate is not what it said when the one measured over four blocks is off by more than the first part, or
over two by more than the second: packets' jitter takes no line that far."""
RATES = (16.0, 100_000.0)
"""Hz. What stamps say beyond that is no rate: they are of no use."""
_FALSE_ALARMS, _FALSE_ALARMS_S, _MAX_TOLERANCE_S = 3, 10.0, 0.25
_LONELY = 16  # samples in a row that each have a gap behind them: the stream is simply slower


@dataclass(frozen=True)
class Span:
    """Samples `start` to `stop` of a pushed chunk, evenly spaced at `times`; `events` happened before the first."""

    start: int
    stop: int
    times: np.ndarray
    rate: float
    events: tuple[Event, ...] = ()
    """Any of them means that this span continues nothing."""


class Timeline:
    """`rate` in Hz is the nominal one; `Timeline.rate` follows a stream that has another or changes it."""

    def __init__(self, rate: float):
        self.rate = rate
        self._last: float | None = None
        self._alarms: list[tuple[float, float]] = []
        self._tolerance = max(GAP_S, GAP_SAMPLES / rate)
        self._old_line: tuple[float, float] | None = None
        self._lonely: list[float] = []

    def push(self, stamps: np.ndarray) -> list[Span]:
        """Cut (n,) stamps in seconds into spans. Stamps that are no numbers take the even stream's."""
        spans: list[Span] = []
        start = 0
        if not np.isfinite(stamps).all():
            stamps = self._filled_in(stamps)
            start = int(np.isnan(stamps).sum())  # before the first that is a number
        while start < len(stamps):
            events: tuple[Event, ...] = ()
            if self._last is None:
                self._begin(stamps[start])
            elif (event := self._broken(stamps[start])) or (self._filled == self._block and (event := self._end_block())):
                events = (event,)
                self._begin(stamps[start])
            stop = min(len(stamps), start + self._block - self._filled)
            piece = stamps[start:stop]
            breaks = np.flatnonzero(self._is_step(np.diff(piece)))
            if len(breaks):
                stop = start + int(breaks[0]) + 1
                piece = stamps[start:stop]
            times = self._origin + self._slope * (self._filled + 1 + np.arange(len(piece)))
            self._stamps[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            self._last = float(piece[-1])
            spans.append(Span(start, stop, times, self.rate, events))
            start = stop
        return spans

    def _filled_in(self, stamps: np.ndarray) -> np.ndarray:
        """Stamps that are no numbers replaced by what an even stream would say."""
        stamps, last = stamps.copy(), np.nan if self._last is None else self._last
        for n, stamp in enumerate(stamps):
            last = stamps[n] = stamp if np.isfinite(stamp) else last + 1 / self.rate
        return stamps

    def _is_step(self, steps: np.ndarray) -> np.ndarray:
        return (steps > self._tolerance + 1 / self.rate) | (steps < -5 * self._tolerance)

    def _broken(self, stamp: float) -> Event | None:
        assert self._last is not None
        stamp = float(stamp)
        step = stamp - self._last
        if not self._is_step(np.array([step]))[0]:
            return None
        self._judge_alarm()
        level = float(np.median(self._stamps[: self._filled] - np.arange(self._filled) / self.rate))
        self._old_line = (level + (self._filled - 1) / self.rate, step)
        self._lonely = [*self._lonely, step] if step > 0 and self._filled == 1 else []
        if len(self._lonely) >= _LONELY:
            return self._change_rate(1 / max(float(np.median(self._lonely)), 1e-9))
        if step < 0:
            return Event("clock_jump", stamp, f"the stamps went back by {-step:.3f} s")
        return Event("gap", stamp, f"{step - 1 / self.rate:.3f} s")

    def _begin(self, stamp: float) -> None:
        self._block = max(2, round(BLOCK_S * self.rate))
        self._slope = 1 / self.rate
        self._origin = float(stamp) - self._slope
        self._filled = 0
        self._stamps = np.empty(self._block)
        self._ends: list[tuple[float, float]] = []
        self._count = 0
        self._slopes: list[float] = []

    def _end_block(self) -> Event | None:
        """Bend the line to what the last blocks say, or tell that the samples have left it."""
        index = np.arange(self._block)
        centre, mean = (self._block - 1) / 2, float(self._stamps.mean())
        slope = float(np.polyfit(index - centre, self._stamps, 1)[0])
        end = self._origin + self._slope * self._block
        off = mean - (end - self._slope * (self._block - 1 - centre))
        self._judge_alarm()
        self._slopes = [*self._slopes, slope][-2:]
        if slope_now := self._other_slope(mean, centre):
            return self._change_rate(1 / slope_now)
        if self._ends and abs(off) > max(2 * self._tolerance, 4 / self.rate) and abs(slope * self.rate - 1) <= RATE_ERROR:
            return Event("gap", self._last or 0.0, f"{off:.3f} s were lost unseen within the last second")
        self._ends = [*self._ends, (self._count + centre, mean)][-BLOCKS:]
        self._count += self._block
        at, means = np.array(self._ends).T
        if len(self._ends) >= 3:
            long_slope, level = np.polyfit(at - at.mean(), means, 1)
        else:
            long_slope, level = 1 / self.rate, means.mean()
        target = level + long_slope * (self._count + self._block - 1 - at.mean())
        self._origin = end
        self._slope = max((target - end) / self._block, 0.2 / self.rate)
        self._filled = 0
        return None

    def _other_slope(self, mean: float, centre: float) -> float:
        """Seconds a sample, where the last blocks agree that it is another than expected; else 0."""
        errors = [s * self.rate - 1 for s in self._slopes]
        if len(errors) == 2 and (min(errors) > GROSS_ERROR or max(errors) < -GROSS_ERROR):
            return max(sum(self._slopes) / 2, 1e-9)
        if len(self._ends) >= 3:
            at, means = np.array([*self._ends[-3:], (self._count + centre, mean)]).T
            steps = np.diff(means) / np.diff(at) * self.rate - 1
            if min(steps) > RATE_ERROR / 2 or max(steps) < -RATE_ERROR / 2:
                slope = float(np.polyfit(at - at.mean(), means, 1)[0])
                return max(slope, 1e-9) if abs(slope * self.rate - 1) > RATE_ERROR else 0.0
        return 0.0

    def _change_rate(self, measured: float) -> Event:
        self._old_line, self._lonely = None, []
        last = self._last or 0.0
        if not RATES[0] <= measured <= RATES[1]:
            return Event("bad_stamps", last, f"they say {measured:.3g} Hz: neither a rate nor times in seconds")
        was, self.rate = self.rate, _round_rate(measured)
        self._tolerance = max(self._tolerance, GAP_SAMPLES / self.rate)
        return Event("rate", last, f"{was:g} Hz was expected, {self.rate:g} Hz came")

    def _judge_alarm(self) -> None:
        """Whether the last gap was none: the samples since lie on the line from before it."""
        if self._old_line is None or not self._filled:
            return
        (end, step), self._old_line = self._old_line, None
        expected = end + (np.arange(self._filled) + 1) / self.rate
        if abs(float((self._stamps[: self._filled] - expected).mean())) > max(1.5 / self.rate, GAP_S / 2):
            return
        now = float(self._stamps[self._filled - 1])
        self._alarms = [a for a in self._alarms if now - a[0] < _FALSE_ALARMS_S] + [(now, step)]
        if len(self._alarms) >= _FALSE_ALARMS:
            self._tolerance = min(_MAX_TOLERANCE_S, max(self._tolerance, 1.25 * max(s for _, s in self._alarms)))


def _round_rate(rate: float) -> float:
    """The whole number next to a measured rate when it is near, else the rate to a tenth of a Hz."""
    return float(round(rate)) if abs(rate - round(rate)) < 0.005 * rate else round(rate, 1)


class Grid:
    """Samples that come irregularly, interpolated linearly to an even grid.

    The rate is the mean one of the first `MEASURE_S` seconds. Across a step of more than `GAP_S` and five mean
    intervals nothing is interpolated: the grid starts anew behind it.
    """

    MEASURE_S = 3.0

    def __init__(self) -> None:
        self.rate: float | None = None
        self._times = np.empty(0)
        self._values: np.ndarray | None = None
        self._next = 0.0

    def push(self, times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) stamps and (n, channels) in; the grid's that they complete out. Nothing while the rate is measured."""
        keep = np.isfinite(times)
        times, values = times[keep], values[keep]
        self._values = values if self._values is None else np.concatenate([self._values, values])
        self._times = np.concatenate([self._times, times])
        empty = np.empty(0), np.empty((0, values.shape[1]))
        if self.rate is None:
            if not len(self._times) or self._times[-1] - self._times[0] < self.MEASURE_S:
                return empty
            # Of a fixed number of seconds, so that it does not matter how much came at once.
            first = int(np.argmax(self._times - self._times[0] >= self.MEASURE_S))
            self.rate = _round_rate(max(1.0, first) / max(float(self._times[first] - self._times[0]), 1e-6))
            self._next = self._times[0]
        grid_times, grid_values = [empty[0]], [empty[1]]
        steps = np.diff(self._times)
        breaks = np.flatnonzero((steps > max(GAP_S, 5 / self.rate)) | (steps < 0)) + 1
        edges = [0, *breaks.tolist(), len(self._times)]
        for first, last in itertools.pairwise(edges):
            if first:
                self._next = self._times[first]
            count = int(np.floor((self._times[last - 1] - self._next) * self.rate)) + 1
            if count > 0:
                at = self._next + np.arange(count) / self.rate
                columns = [np.interp(at, self._times[first:last], v) for v in self._values[first:last].T]
                grid_times.append(at)
                grid_values.append(np.stack(columns, axis=1))
                self._next = at[-1] + 1 / self.rate
        self._times, self._values = self._times[-1:], self._values[-1:]
        return np.concatenate(grid_times), np.concatenate(grid_values)
