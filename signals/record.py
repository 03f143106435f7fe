"""Raw EEG, features and markers to files that MNE-Python opens. Nothing else in the project writes EEG to a disk."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pylsl

from protocol.errors import AlphaloomError
from protocol.model import Frame, Performer

from .baseline import Baseline
from .brainvision import GAP, BrainVisionWriter
from .engine import Options
from .features import possible_features
from .listen import Cues, Listener
from .lsl import Query
from .stream import StreamFormat
from .timeline import Grid, Timeline

MAX_FILL_S = 600.0
"""A gap that is longer is not filled: new files begin behind it."""
SESSION = "session.json"


class Recorder:
    """Writes what it is given to `folder`: `eeg`, `features` (both BrainVision) and `session.json`.

    When the stream's rate or channels change, or after a gap of `MAX_FILL_S`, files with the next number begin:
    `eeg-2`, `features-2`. `epoch` is the zero of the samples' clock in seconds since 1970. No LSL in here. Raises
    AlphaloomError `folder_in_use` for a folder that has a recording.
    """

    def __init__(self, folder: Path, options: Options | None = None, baseline: str = "", epoch: float = 0.0):
        self.folder, self.options = folder, options or Options()
        self.samples = 0
        """Samples of EEG that were written, fillings too."""
        self._baseline, self._epoch = baseline, epoch
        self._sets: list[dict[str, Any]] = []
        self._eeg: _EEG | None = None
        self._features: _Features | None = None
        self._numbers = {"eeg": 0, "features": 0}
        if any(folder.glob("*.vhdr")) or (folder / SESSION).exists():
            raise AlphaloomError(
                "folder_in_use", f"There is a recording in {str(folder)!r} already. Name another folder.", folder=str(folder)
            )
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, format: StreamFormat, times: np.ndarray, values: np.ndarray) -> None:
        """(n,) stamps in seconds and (n, channels) samples in µV."""
        if self._eeg and self._eeg.format != format:
            self._eeg.close()
            self._eeg = None
        if not self._eeg:
            self._eeg = _EEG(format, self._open_eeg)
        self.samples += self._eeg.take(times, values)

    def note(self, performer: Performer | None, frames: Iterable[Frame]) -> None:
        """Frames of one performer, oldest first."""
        for frame in frames:
            if self._features and not self._features.fits(performer, frame):
                self._features.close()
                self._features = None
            if not self._features and performer:
                stem = self._stem("features")
                self._features = _Features(stem, performer, frame, self.options)
                self._say({"features": f"{stem.name}.vhdr", "stream": performer.stream, "started": _iso(frame.time)})
            if self._features:
                self._features.take(frame, self._epoch)

    def mark(self, at: float, text: str) -> None:
        """A marker at a time on the samples' clock. Markers from before the first sample are dropped."""
        if self._eeg:
            self._eeg.mark(at, text)

    def close(self) -> None:
        for part in (self._eeg, self._features):
            if part:
                part.close()

    def _open_eeg(self, format: StreamFormat, rate: float, start: float) -> BrainVisionWriter:
        stem, started = self._stem("eeg"), start + self._epoch
        writer = BrainVisionWriter(stem, format.channels, ["µV"] * len(format.channels), rate, started)
        unit = self.options.unit or format.unit
        self._say({"eeg": writer.header.name, **asdict(replace(format, unit=unit, rate=rate)), "started": _iso(started)})
        return writer

    def _stem(self, name: str) -> Path:
        self._numbers[name] += 1
        number = self._numbers[name]
        return self.folder / (name if number == 1 else f"{name}-{number}")

    def _say(self, files: dict[str, Any]) -> None:
        """What was recorded and how, for people and programs; always whole, however the recorder ends."""
        self._sets.append(files)
        session = {"files": self._sets, "options": asdict(self.options), "baseline": self._baseline or None}
        part = self.folder / f"{SESSION}.part"
        part.write_text(json.dumps(session, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(part, self.folder / SESSION)


class _EEG:
    """One stream's samples on an even grid of samples, gaps filled."""

    def __init__(self, format: StreamFormat, opener: Callable[[StreamFormat, float, float], BrainVisionWriter]):
        self.format, self._opener = format, opener
        self._grid = Grid() if format.rate <= 0 else None
        self._timeline = Timeline(format.rate) if format.rate > 0 else None
        self._writer: BrainVisionWriter | None = None
        self._end = 0.0  # the last sample's time
        self._debt = 0  # samples too many: what was taken for a gap was jitter
        self._waiting: list[tuple[float, str]] = []

    def take(self, times: np.ndarray, values: np.ndarray) -> int:
        if self._grid:
            times, values = self._grid.push(np.asarray(times, float), np.asarray(values, float))
            if self._timeline is None and self._grid.rate:
                self._timeline = Timeline(self._grid.rate)
        if self._timeline is None or not len(times):
            return 0
        written = 0
        for span in self._timeline.push(times):
            if self._writer and span.rate != self._writer.rate:
                self._close_writer()
            if self._writer and span.events:
                written += self._bridge(float(span.times[0]))
            if not self._writer:
                self._writer, self._debt = self._opener(self.format, span.rate, float(span.times[0])), 0
            self._writer.write(values[span.start : span.stop])
            written += span.stop - span.start
            self._end = float(span.times[-1])
        self._mark_due()
        return written

    def mark(self, at: float, text: str) -> None:
        self._waiting.append((at, text))
        self._mark_due()

    def close(self) -> None:
        self._close_writer()

    def _bridge(self, begin: float) -> int:
        """Fill up to `begin`, the time of the first sample behind a gap."""
        assert self._writer
        missing = round((begin - self._end) * self._writer.rate) - 1 - self._debt
        if abs(missing) > MAX_FILL_S * self._writer.rate:
            self._close_writer()
            return 0
        self._debt = max(0, -missing)
        self._writer.fill(missing, GAP)
        return max(0, missing)

    def _mark_due(self) -> None:
        """Write the markers that lie within the samples; later ones wait for theirs."""
        while self._writer and self._waiting and min(self._waiting)[0] <= self._end:
            at, text = min(self._waiting)
            self._waiting.remove((at, text))
            sample = self._writer.count - 1 + round((at - self._end) * self._writer.rate)
            if sample >= 0:
                self._writer.mark(sample, text)

    def _close_writer(self) -> None:
        if self._writer:
            self._writer.close()
        self._writer = None


class _Features:
    """One performer's features, a channel each, `updates_hz` a second."""

    def __init__(self, stem: Path, performer: Performer, first: Frame, options: Options):
        self._performer, self._hz, self._begin = performer, options.updates_hz, first.time
        names = possible_features(performer)
        self._names = names + [name for name in first.features if name not in names]
        self._writer = BrainVisionWriter(stem, self._names, ["n/a"] * len(self._names), self._hz, first.time)

    def fits(self, performer: Performer | None, frame: Frame) -> bool:
        """Whether the frame can go into this file: the same stream, no feature without a channel, no long gap."""
        same = performer is None or (performer.stream, performer.rate, performer.channels) == (
            self._performer.stream, self._performer.rate, self._performer.channels
        )  # fmt: skip
        late = self._row(frame.time) - self._writer.count
        return same and frame.features.keys() <= set(self._names) and abs(late) <= MAX_FILL_S * self._hz

    def take(self, frame: Frame, epoch: float) -> None:
        row = self._row(frame.time)
        if row >= self._writer.count:
            self._writer.fill(row - self._writer.count, "no frames", np.nan)
            values = [frame.features[n].value if n in frame.features else np.nan for n in self._names]
            self._writer.write(np.array([values]))
        for event in frame.events:
            at = self._row(event.time + epoch) if event.time else row
            self._writer.mark(max(0, min(at, self._writer.count - 1)), ": ".join(filter(None, (event.kind, event.text))))

    def _row(self, at: float) -> int:
        return round((at - self._begin) * self._hz)

    def close(self) -> None:
        self._writer.close()


def record(
    folder: Path,
    query: str | None = None,
    options: Options | None = None,
    baseline: Path | None = None,
    markers: Iterable[str] = (),
    seconds: float = np.inf,
    timeout: float = 10.0,
    say: Callable[[str], None] = print,
) -> None:
    """Record a live stream until `seconds` after its first sample, or until the caller is interrupted.

    Raises AlphaloomError: `no_stream` when there is none within `timeout` seconds, `cannot_write`, and Recorder's.
    """
    known = Baseline.load(baseline) if baseline else None
    try:
        epoch = time.time() - pylsl.local_clock()
        with Recorder(folder, options, known.hash if known else "", epoch) as recorder:
            listener = Listener(Query.parse(query), options, known, recorder.take)
            ears = [Cues(Query.parse(text)) for text in markers]
            try:
                asked, first, problem = time.monotonic(), None, ""
                while first is None or time.monotonic() - first < seconds:
                    recorder.note(listener.performer, listener.poll(0.1))
                    for at, text in (found for ear in ears for found in ear.pull()):
                        recorder.mark(at, text)
                    now = time.monotonic()
                    if first is None and recorder.samples:
                        first = now
                        say(f"recording {listener.performer.stream if listener.performer else ''!r} to {folder}")
                    elif first is None and now - asked > timeout:
                        if listener.performer is None:
                            raise listener.query.missing(timeout)
                        raise AlphaloomError("no_stream", listener.problem or "The stream sends no samples.")
                    elif first is not None and listener.problem != problem:
                        problem = listener.problem
                        say(problem or "the stream is back")
            finally:
                listener.close()
                for ear in ears:
                    ear.close()
                if recorder.samples:
                    say(f"{recorder.samples} samples in {folder}")
    except OSError as problem:
        raise AlphaloomError(
            "cannot_write", f"Cannot record to {str(folder)!r}: {problem.strerror or problem}.", folder=str(folder)
        ) from None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
