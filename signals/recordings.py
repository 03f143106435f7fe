"""Recordings with the times at which they were made: what `mne.io.read_raw` opens, XDF, and CSV as a Muse's is written."""

from __future__ import annotations

import bisect
import contextlib
import csv
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from protocol.errors import AlphaloomError

from .artefacts import is_electrode
from .brainvision import BAD_INTERVAL, GAP
from .stream import StreamFormat

CHUNK_S = 0.0625
USUAL_RATES = (100.0, 125.0, 128.0, 200.0, 220.0, 250.0, 256.0, 300.0, 500.0, 512.0, 600.0, 1000.0, 1024.0, 2000.0, 2048.0)
PLAUSIBLE_RATES = (20.0, 50000.0)
_TIME_COLUMN = re.compile(r"time_?stamps?|times?|seconds", re.IGNORECASE)
_MARKER_COLUMN = re.compile(r"markers?\d*", re.IGNORECASE)

Samples = Callable[[int, int], np.ndarray]
"""The samples `start` to `stop`: (n, channels) in the format's unit."""


@dataclass
class _Contents:
    """What a reader found. `times` (n,) in seconds on any clock."""

    format: StreamFormat
    times: np.ndarray
    samples: Samples
    markers: list[tuple[float, str]]
    warning: str = ""


class _UnusableError(Exception):
    """A recording that was read, and has nothing that could be played; the text says why."""


class Recording:
    """The EEG channels and the markers of a recording. Raises AlphaloomError `unreadable_recording`.

    `format.unit` is microvolts; XDF's numbers are left in the unit that the file states. `stream` is the name of the
    EEG stream in an XDF file that has several. `warning` tells what was wrong with a file that can be played all the
    same, one that is cut short for example; it is empty for a sound one.
    """

    def __init__(self, path: Path | str, stream: str | None = None):
        path = Path(path)
        readers = {".csv": _read_csv, ".xdf": _read_xdf, ".xdfz": _read_xdf, ".gz": _read_xdf}
        read = readers.get(path.suffix.lower(), _read_with_mne)
        if path.suffix.lower() == ".gz" and not path.name.lower().endswith(".xdf.gz"):
            read = _read_with_mne
        try:
            if not path.exists():
                raise _UnusableError("there is no such file")
            found = read(path, stream)
            if not len(found.times):
                raise _UnusableError("it has no samples")
        except Exception as problem:  # every reader raises its own kinds
            reason = next(iter(str(problem).splitlines()), "") or type(problem).__name__
            raise AlphaloomError(
                "unreadable_recording",
                f"Cannot play {str(path)!r}: {reason.rstrip('.')}. Give a recording with EEG channels that MNE-Python reads "
                "(EDF, BDF, FIF, BrainVision, EEGLAB ...), an XDF file, or a CSV file with the columns 'timestamps' (in "
                "seconds) and TP9, AF7, AF8, TP10 or other electrodes (in µV).",
                path=str(path),
            ) from None
        self.format = found.format
        self.warning = found.warning
        self._times = found.times - found.times[0]
        self._samples = found.samples
        self._step = 1 / self.rate if self.rate else float(np.median(np.diff(self._times))) if len(self._times) > 1 else 0.0
        begin = float(found.times[0])
        self.markers = sorted((at - begin, text) for at, text in found.markers if 0 <= at - begin <= self.duration)

    @property
    def rate(self) -> float:
        """The nominal rate in Hz; 0 for samples that come irregularly."""
        return self.format.rate

    @property
    def channels(self) -> tuple[str, ...]:
        return self.format.channels

    @property
    def duration(self) -> float:
        """In seconds, from the first sample to one sample's length after the last."""
        return float(self._times.max() + self._step)

    def chunks(self, loop: bool = False) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(times (n,), values (n, channels)) in pieces of about 1/16 s, once or, with `loop`, for ever.

        Times are seconds since the first sample, exactly as they were recorded: jitter and gaps are in them. The second
        time round goes on where the first ended.
        """
        size = max(1, round(CHUNK_S / self._step)) if self._step > 0 else 16
        # A piece ends before a gap, so that what was before it is not held back until it is over.
        gaps = np.flatnonzero(np.diff(self._times) > CHUNK_S) + 1
        edges = np.union1d(np.arange(0, len(self._times), size), gaps).astype(int).tolist()
        begin = 0.0
        while True:
            for start, stop in pairwise([*edges, len(self._times)]):
                yield begin + self._times[start:stop], self._samples(start, stop)
            if not loop:
                return
            begin += self.duration

    def marker_times(self, loop: bool = False) -> Iterator[tuple[float, str]]:
        """`markers`, once or for ever, at the times of `chunks`."""
        begin = 0.0
        while self.markers:
            yield from ((begin + at, text) for at, text in self.markers)
            if not loop:
                return
            begin += self.duration


def _read_with_mne(path: Path, _: str | None) -> _Contents:
    import mne  # takes a second to import, and only recordings need it

    # MNE-Python says its warnings twice; the copy on stdout is nobody's.
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        raw = mne.io.read_raw(path, preload=False, verbose="warning")
    told = [str(c.message).splitlines()[0] for c in caught if issubclass(c.category, RuntimeWarning)]
    raw.pick("eeg", exclude=())
    rate = float(raw.info["sfreq"])
    count = _readable(raw) if told else raw.n_times
    heard = np.ones(count, bool)
    markers = []
    for annotation in raw.annotations:
        text = str(annotation["description"])
        # An annotation's onset counts from the measurement's date, the samples from the first that was kept.
        onset = float(annotation["onset"]) - raw.first_time
        if text == f"{BAD_INTERVAL}/{GAP}":
            # Our recorder filled what was never sent: played, it is a gap again.
            heard[max(0, round(onset * rate)) : max(0, round((onset + float(annotation["duration"])) * rate))] = False
        elif not text.startswith("New Segment/"):
            markers.append((onset, text))
    index = np.flatnonzero(heard)

    def samples(start: int, stop: int) -> np.ndarray:
        here = index[start:stop]
        return raw[:, here[0] : here[-1] + 1][0].T[here - here[0]] * 1e6

    format = StreamFormat(path.stem, rate, tuple(raw.ch_names), f"replay:{path.name}")
    return _Contents(format, index / rate, samples, markers, "; ".join(dict.fromkeys(told)))


def _readable(raw: Any) -> int:
    """How many samples of a file that is cut short can be read: its last piece may be there in part."""

    def reads(count: int) -> bool:
        try:
            return bool(raw[:, count - 1 : count][0].size)
        except Exception:  # whatever its reader raises
            return False

    return bisect.bisect_left(range(1, raw.n_times + 1), True, key=lambda count: not reads(count))


def _read_csv(path: Path, _: str | None) -> _Contents:
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.reader(file)
        header = [name.strip() for name in next(rows, [])]
        stamp = next((n for n, name in enumerate(header) if _TIME_COLUMN.fullmatch(name)), None)
        eeg = [n for n, name in enumerate(header) if is_electrode(name)]
        marks = [n for n, name in enumerate(header) if _MARKER_COLUMN.fullmatch(name)]
        if stamp is None or not eeg:
            lacks = "'timestamps'" if stamp is None else "an electrode's name, such as TP9"
            raise _UnusableError(f"its first line has no column called {lacks}, but {', '.join(map(repr, header[:8]))}")
        numbers: list[list[float]] = []
        markers: list[tuple[float, str]] = []
        bad: list[int] = []
        short = False
        for row in rows:
            if not row:
                continue
            short = len(row) < len(header)
            try:
                values = [float(row[n]) for n in (stamp, *eeg)]
                if not np.isfinite(values[0]):
                    raise ValueError
            except (ValueError, IndexError):
                bad.append(rows.line_num)
                continue
            numbers.append(values)
            markers += [(values[0], text) for n in marks if (text := _marker(row[n] if n < len(row) else ""))]
    told = []
    if short and bad and bad[-1] == rows.line_num:
        told.append(f"it is cut short: its last line ({bad.pop()}) is not whole")
    if bad:
        lines = ", ".join(map(str, bad[:8])) + (f" and {len(bad) - 8} more" if len(bad) > 8 else "")
        told.append(f"left out, because not all of their fields are numbers: line{'s' * (len(bad) > 1)} {lines}")
    table = np.array(numbers).reshape(-1, 1 + len(eeg))
    if not len(table) and bad:
        raise _UnusableError(told[-1])
    times = table[:, 0].copy()
    rate = _nominal(times)
    format = StreamFormat(path.stem, rate, tuple(header[n] for n in eeg), f"replay:{path.name}")
    return _Contents(format, times, lambda a, b: table[a:b, 1:], markers, "; ".join(told))


def _read_xdf(path: Path, name: str | None) -> _Contents:
    import pyxdf

    log = _Log()
    logger = logging.getLogger("pyxdf")
    logger.addHandler(log)
    was, logger.propagate = logger.propagate, False
    try:
        # Not dejittered: a line through the stamps would hide the gaps.
        streams, _ = pyxdf.load_xdf(path, dejitter_timestamps=False, verbose=False)
    finally:
        logger.removeHandler(log)
        logger.propagate = was
    numeric = [s for s in streams if _first(s["info"], "channel_format") != "string"]
    if name:
        chosen = [s for s in numeric if _first(s["info"], "name") == name]
    else:
        chosen = [s for s in numeric if _first(s["info"], "type").lower() == "eeg"]
    if not chosen:
        there = ", ".join(f"{_first(s['info'], 'name')!r} ({_first(s['info'], 'type')})" for s in streams) or "none at all"
        raise _UnusableError(f"it has no stream {f'named {name!r}' if name else 'of type EEG'}; its streams: {there}")
    eeg = chosen[0]
    info = eeg["info"]
    count = int(_first(info, "channel_count"))
    described = _channels(info, count)
    keep = [n for n, (label, kind, _) in enumerate(described) if kind.lower() in ("", "eeg") and "aux" not in label.lower()]
    if not keep:
        raise _UnusableError(f"no channel of its stream {_first(info, 'name')!r} is EEG")
    values = np.asarray(eeg["time_series"], float).reshape(-1, count)[:, keep]
    times = np.asarray(eeg["time_stamps"], float)
    rate = float(_first(info, "nominal_srate") or 0)
    units = [described[n][2] for n in keep]
    labels = tuple(described[n][0] for n in keep)
    format = StreamFormat(
        _first(info, "name") or path.stem,
        rate,
        labels,
        f"replay:{path.name}",
        units[0],
        tuple(units) if len(set(units)) > 1 else (),
    )
    markers = [
        (float(at), " ".join(map(str, np.atleast_1d(np.asarray(text, object)))))
        for s in streams
        if _first(s["info"], "channel_format") == "string"
        for at, text in zip(s["time_stamps"], s["time_series"], strict=False)
    ]
    return _Contents(format, times, lambda a, b: values[a:b], markers, "; ".join(dict.fromkeys(log.told)))


class _Log(logging.Handler):
    """Keeps what a library warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage().splitlines()[0])


def _channels(info: dict[str, Any], count: int) -> list[tuple[str, str, str]]:
    """Each channel's label, type and unit, as far as the stream describes them."""
    node: Any = info.get("desc")
    for key in ("channels", "channel"):
        node = node[0] if isinstance(node, list) and node else node
        node = node.get(key) if isinstance(node, dict) else None
    described = node if isinstance(node, list) else []
    found = []
    for n in range(count):
        channel = described[n] if n < len(described) and isinstance(described[n], dict) else {}
        found.append((_first(channel, "label") or f"channel {n + 1}", _first(channel, "type"), _first(channel, "unit")))
    return found


def _first(node: dict[str, Any], key: str) -> str:
    """XDF's header has every value in a list."""
    value = node.get(key)
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, str) else ""


def _marker(text: str) -> str:
    """A marker column's field as text; empty for 0, which means none."""
    try:
        number = float(text)
    except ValueError:
        return text.strip()
    return f"{number:g}" if number and np.isfinite(number) else ""


def _nominal(times: np.ndarray) -> float:
    """The rate that stamps were made at: the usual one within 1 %, else the measured one to three digits.

    Measured over about a second at a time, because single stamps are rounded to ms and jitter; as the median, because
    some of those seconds may have lost samples in them; and never across an obvious gap.
    """
    if len(times) < 2:
        raise _UnusableError("it has less than two samples that can be read")
    stretch = np.concatenate([[0], np.cumsum(np.diff(times) > 0.1)])
    lag = int(min(256, max(1, np.bincount(stretch).max() - 1)))
    took = (times[lag:] - times[:-lag])[stretch[lag:] == stretch[:-lag]]
    median = float(np.median(took)) if len(took) else 0.0
    rate = lag / median if median > 0 else 0.0
    if not PLAUSIBLE_RATES[0] <= rate <= PLAUSIBLE_RATES[1]:
        raise _UnusableError(f"by its time stamps, which must be in seconds, it has {rate:.4g} samples in a second")
    usual = min(USUAL_RATES, key=lambda r: abs(r - rate))
    return usual if abs(usual - rate) < 0.01 * rate else float(f"{rate:.3g}")
