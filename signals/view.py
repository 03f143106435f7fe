"""A live look at one performer in the terminal: features, channels, signal, events."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
import pylsl

from protocol.errors import AlphaloomError
from protocol.model import Event, Feature, Frame, Performer

from .baseline import Baseline
from .engine import Options
from .features import possible_features
from .listen import Listener
from .lsl import Query
from .stream import StreamFormat

Paint = Callable[[str, str], str]

FLAT_UV = 0.2
GOOD, POOR = 0.5, 0.3
BAR = 24
EVENTS = 5
FIRST_WINDOW = "waiting for the first window"
PER_LINE = 6  # channels
REDRAW_S, LINE_S = 0.1, 1.0
SILENT_S = 0.4
_RED, _YELLOW, _GREEN, _DIM, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[0m"
_ORDER = (
    "delta",
    "theta",
    "alpha",
    "beta",
    "gamma",
    "calm",
    "engage",
    "asymmetry",
    "exponent",
    "complexity",
    "emg",
    "synchrony",
)
_SHARES = frozenset(_ORDER[:5])


def main_features(features: Iterable[str]) -> list[str]:
    """Those worth a line: no logarithms, no single regions, in the order of the bands."""
    kinds = {name: name.partition(".")[0] for name in features}
    chosen = [n for n, kind in kinds.items() if kind in _ORDER and (n == kind or kind == "asymmetry")]
    return sorted(chosen, key=lambda n: (_ORDER.index(kinds[n]), n))


def quality_word(quality: float, rms: float | None = None) -> str:
    """What a channel is like: `good`, `poor`, `noisy`, or `flat` where its RMS in µV says so."""
    if rms is not None and rms < FLAT_UV:
        return "flat"
    return "good" if quality >= GOOD else "poor" if quality >= POOR else "noisy"


def screen(
    performer: Performer | None,
    problem: str,
    frame: Frame | None,
    events: Sequence[Event] = (),
    levels: Mapping[str, float] | None = None,
    now: float = 0.0,
    colour: bool = False,
) -> str:
    """The whole picture as lines of text. `events` are the last ones and `now` is their clock's time in seconds;
    `levels` are channels' RMS in µV; `colour` puts ANSI colours in."""

    def paint(text: str, ink: str) -> str:
        return f"{ink}{text}{_PLAIN}" if colour and ink else text

    if performer is None:
        return paint(problem or "looking for a stream", _YELLOW) + "\n"
    lines = [_headline(performer)]
    if problem:
        lines.append(paint(problem, _RED))
    if frame is None:
        lines.append(FIRST_WINDOW)
    else:
        lines += ["", _signal(frame, paint), *_channels(frame, levels or {}, paint), ""]
        # A row for each that may come: a picture whose rows jump cannot be read.
        for name in main_features({*possible_features(performer), *frame.features}):
            feature = frame.features.get(name)
            if feature is None:
                lines.append(paint(f"{name:<18}       –", _DIM))
                continue
            line = f"{name:<18}{feature.value:8.3f}  {_z(feature):>7}  {_bar(name, feature)}  {feature.confidence:4.0%}"
            lines.append(paint(line, _DIM if feature.confidence < GOOD else ""))
        lines.append("")
    for name, reason in sorted(performer.missing.items()):
        lines.append(paint(f"no {name}: {reason}", _DIM))
    for event in list(events)[-EVENTS:]:
        lines.append(f"{max(0.0, now - event.time):6.1f} s ago  {event.kind} {event.text}".rstrip())
    return "\n".join(lines) + "\n"


def line(performer: Performer | None, problem: str, frame: Frame | None, levels: Mapping[str, float] | None = None) -> str:
    """The same on one line, for a pipe or a log."""
    if performer is None or frame is None:
        return problem or (f"{performer.stream}, {FIRST_WINDOW}" if performer else "looking for a stream")
    parts = [f"signal {frame.signal}", f"age {frame.age:.2f} s"]
    parts += [f"{n} {frame.features[n].value:.3f} ({_z(frame.features[n])})" for n in main_features(frame.features)]
    parts += [f"{name} {quality_word(q, (levels or {}).get(name))}" for name, q in frame.quality.items()]
    return ", ".join([performer.stream, *parts, *([problem] if problem else [])])


def _headline(performer: Performer) -> str:
    peak = f"alpha peak {performer.alpha_peak:.1f} Hz" if performer.alpha_peak else "fixed bands"
    baseline = f"baseline {performer.baseline[:8]}" if performer.baseline else "no baseline"
    return f"{performer.stream}  {performer.rate:g} Hz  {performer.unit or 'unit not stated'}  {baseline}  {peak}"


def _signal(frame: Frame, paint: Paint) -> str:
    if not frame.features and frame.age > SILENT_S:
        return paint(f"signal {frame.signal}: nothing has come for {frame.age:.1f} s", _RED)
    text, ink = {
        "good": ("signal good", _GREEN),
        "held": ("signal held: too poor to move anything", _YELLOW),
        "lost": ("signal lost", _RED),
    }[frame.signal]
    return f"{paint(text, ink)}  newest sample {frame.age * 1000:.0f} ms old"


def _channels(frame: Frame, levels: Mapping[str, float], paint: Paint) -> list[str]:
    inks = {"good": _GREEN, "poor": _YELLOW, "noisy": _RED, "flat": _RED, "-": _DIM}
    silent = not frame.features and frame.age > SILENT_S
    words = {n: "-" if silent else quality_word(quality, levels.get(n)) for n, quality in frame.quality.items()}
    shown = [f"{name:>6} {paint(f'{word:<6}', inks[word])}" for name, word in words.items()]
    return ["".join(shown[n : n + PER_LINE]).rstrip() for n in range(0, len(shown), PER_LINE)]


def _z(feature: Feature) -> str:
    return "z   -  " if feature.z is None else f"z {feature.z:+5.1f}"


def _bar(name: str, feature: Feature) -> str:
    """From the middle to the side for z of ±3, from the left for a share without z."""
    half = BAR // 2
    if feature.z is not None and math.isfinite(feature.z):
        long = round(half * min(1.0, abs(feature.z) / 3))
        left, right = (long, 0) if feature.z < 0 else (0, long)
        return " " * (half - left) + "█" * left + "│" + "█" * right + " " * (half - right)
    if name in _SHARES and math.isfinite(feature.value):
        long = round((BAR + 1) * min(1.0, max(0.0, feature.value)))
        return "▒" * long + " " * (BAR + 1 - long)
    return " " * (BAR + 1)


class Levels:
    """Channels' RMS over about the last two seconds, to tell a flat channel from a noisy one."""

    SECONDS = 2.0

    def __init__(self) -> None:
        self._format: StreamFormat | None = None
        self._values = np.empty((0, 0))

    def take(self, format: StreamFormat, times: np.ndarray, values: np.ndarray) -> None:
        """(n, channels) in µV."""
        if format != self._format:
            self._format, self._values = format, np.empty((0, len(format.channels)))
        keep = int(self.SECONDS * (format.rate or 250))
        self._values = np.concatenate([self._values, values])[-keep:]

    def rms(self) -> dict[str, float]:
        """µV, of each channel, its offset left out; a channel that is not finite is not there."""
        if self._format is None or not len(self._values):
            return {}
        with np.errstate(invalid="ignore", over="ignore"):
            found = self._values.std(axis=0)
        return {name: float(v) for name, v in zip(self._format.channels, found, strict=True) if np.isfinite(v)}


class Terminal:
    """Draws over its last picture without a flicker; plain lines where `out` is no terminal. A context manager."""

    def __init__(self, out: TextIO | None = None):
        self._out = out or sys.stdout
        self.live = self._out.isatty()

    def __enter__(self) -> Terminal:
        if self.live:
            self._out.write("\x1b[?25l\x1b[?7l\x1b[2J")
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self._out.write(f"{_PLAIN}\x1b[?7h\x1b[?25h\n")
            self._out.flush()

    def show(self, text: str) -> None:
        """A whole picture on a terminal; a line elsewhere."""
        if self.live:
            height = shutil.get_terminal_size().lines - 1
            rows = text.splitlines()[:height]
            text = "\x1b[H" + "".join(f"{row}\x1b[K\n" for row in rows) + "\x1b[J"
            self._out.write(text)
        else:
            self._out.write(text.rstrip("\n") + "\n")
        self._out.flush()


def view(
    query: str | None = None,
    options: Options | None = None,
    baseline: Path | None = None,
    seconds: float = math.inf,
    timeout: float = 10.0,
) -> None:
    """Show a live stream for `seconds`, or until the caller is interrupted. Raises AlphaloomError `no_stream`."""
    options = options or Options()
    levels = Levels()
    listener = Listener(Query.parse(query), options, Baseline.load(baseline) if baseline else None, levels.take)
    events: list[Event] = []
    frame: Frame | None = None
    started, shown = time.monotonic(), -math.inf
    try:
        while listener.performer is None:
            listener.poll(min(1.0, timeout))
            if listener.performer is None and time.monotonic() - started > timeout:
                raise listener.query.missing(timeout) if listener.looking else AlphaloomError("no_stream", listener.problem)
        with Terminal() as terminal:
            started = time.monotonic()
            while time.monotonic() - started < seconds:
                fresh = listener.poll(REDRAW_S)
                for frame in fresh:
                    events = [*events, *frame.events][-EVENTS:]
                    if not terminal.live:
                        for event in frame.events:
                            terminal.show(f"{event.kind} {event.text}".rstrip())
                # Every new frame is drawn: a clock of our own would miss every second one.
                if not (terminal.live and fresh) and time.monotonic() - shown < LINE_S:
                    continue
                shown = time.monotonic()
                heard = listener.performer, listener.problem, frame
                if terminal.live:
                    terminal.show(screen(*heard, events, levels.rms(), pylsl.local_clock(), colour=True))
                else:
                    terminal.show(line(*heard, levels.rms()))
    finally:
        listener.close()
