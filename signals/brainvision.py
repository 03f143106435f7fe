"""BrainVision Core Data Format 1.0, written as the samples come: at any moment the files can be opened.

Design notes
- The header says how many channels there are, not how many samples; readers take that from the data file's size. So
  nothing has to be put right at the end, and a recorder that was killed leaves a sound recording.
- Each call writes whole samples straight to the file, past Python's buffers.
- The format: https://www.brainproducts.com/support-resources/brainvision-core-data-format-1-0/
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

FILL_AT_ONCE = 65536
GAP = "gap"
"""What a Bad Interval is called that was filled because the stream was silent."""
BAD_INTERVAL = "Bad Interval"


class BrainVisionWriter:
    """`STEM.vhdr`, `STEM.eeg` (32-bit floats) and `STEM.vmrk`. A context manager. Never writes over a file.

    `units` are the channels' units; what is none of electric potential, such as `n/a`, MNE-Python reads as kind misc.
    `started` is the first sample's time in seconds since 1970. Raises OSError.
    """

    def __init__(self, stem: Path, channels: Sequence[str], units: Sequence[str], rate: float, started: float):
        self.header = stem.with_name(f"{stem.name}.vhdr")
        self.channels, self.rate = tuple(channels), rate
        self.count = 0
        """Samples that were written."""
        self._last = np.full(len(channels), np.nan, "<f4")
        self._marks = 0
        data, markers = stem.with_name(f"{stem.name}.eeg"), stem.with_name(f"{stem.name}.vmrk")
        infos = [f"Ch{n}={_field(name)},,1,{unit}" for n, (name, unit) in enumerate(zip(channels, units, strict=True), 1)]
        with open(self.header, "x", encoding="utf-8", newline="\r\n") as file:
            file.write(
                "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
                f"DataFile={data.name}\nMarkerFile={markers.name}\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
                f"NumberOfChannels={len(channels)}\nSamplingInterval={1e6 / rate!r}\n\n"
                "[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n\n[Channel Infos]\n" + "\n".join(infos) + "\n"
            )
        self._markers = open(markers, "xb", buffering=0)  # noqa: SIM115  (open as long as the writer lives)
        _write_all(
            self._markers,
            b"Brain Vision Data Exchange Marker File, Version 1.0\r\n\r\n[Common Infos]\r\nCodepage=UTF-8\r\n"
            + f"DataFile={data.name}\r\n\r\n[Marker Infos]\r\n".encode(),
        )
        self.mark(0, "", "New Segment", date=f",{datetime.fromtimestamp(started, UTC):%Y%m%d%H%M%S%f}")
        self._data = open(data, "xb", buffering=0)  # noqa: SIM115

    def __enter__(self) -> BrainVisionWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, values: np.ndarray) -> None:
        """Append (n, channels)."""
        if len(values):
            samples = np.ascontiguousarray(values, "<f4")
            _write_all(self._data, samples.tobytes())
            self._last = samples[-1].copy()
            self.count += len(samples)

    def fill(self, count: int, text: str, value: float | None = None) -> None:
        """Append `count` samples that nobody measured, with the last value or with `value`, as a Bad Interval."""
        if count <= 0:
            return
        self.mark(self.count, text, BAD_INTERVAL, count)
        row = self._last if value is None else np.full(len(self.channels), value, "<f4")
        for start in range(0, count, FILL_AT_ONCE):
            self.write(np.tile(row, (min(FILL_AT_ONCE, count - start), 1)))

    def mark(self, sample: int, text: str, kind: str = "Comment", length: int = 1, date: str = "") -> None:
        """A marker at a sample, counted from 0. MNE-Python makes an annotation `KIND/TEXT` of it."""
        self._marks += 1
        line = f"Mk{self._marks}={kind},{_field(text)},{sample + 1},{length},0{date}\r\n"
        _write_all(self._markers, line.encode())

    def close(self) -> None:
        self._data.close()
        self._markers.close()


def _write_all(file: io.FileIO, content: bytes) -> None:
    """A disk that is nearly full takes a part; the rest then raises OSError instead of being lost unseen."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _field(text: str) -> str:
    """A text as one field of one line: the format's own way to write a comma."""
    return " ".join(text.split()).replace(",", r"\1")
