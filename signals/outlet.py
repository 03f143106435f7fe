"""An LSL outlet: what synthetic EEG and recordings are played through."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np
import pylsl

from . import lsl  # noqa: F401  (importing it configures liblsl, which must happen before its first use)
from .stream import StreamFormat

MARKERS_SUFFIX = "-markers"
MARKERS_S = 1.0
FINISH_S = 0.5


class Outlet:
    """An LSL outlet of type EEG with channel names and units in its metadata.

    With `markers`, a second one of type Markers (irregular, one string channel) called `NAME-markers` stands beside it.
    """

    def __init__(self, stream: StreamFormat, markers: bool = False):
        source = stream.source_id or stream.name
        info = pylsl.StreamInfo(stream.name, "EEG", len(stream.channels), stream.rate, pylsl.cf_float32, source)
        channels = info.desc().append_child("channels")
        for n, label in enumerate(stream.channels):
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            if unit := stream.units[n] if stream.units else stream.unit:
                channel.append_child_value("unit", unit)
            channel.append_child_value("type", "EEG")
        self._outlet = pylsl.StreamOutlet(info)
        self._markers: pylsl.StreamOutlet | None = None
        if markers:
            name = stream.name + MARKERS_SUFFIX
            marker_info = pylsl.StreamInfo(name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, source + MARKERS_SUFFIX)
            self._markers = pylsl.StreamOutlet(marker_info)

    def wait_for_listener(self, seconds: float) -> bool:
        """Wait until somebody listens to the samples; whether somebody does. Who also wants the markers gets a moment."""
        listens = bool(self._outlet.wait_for_consumers(seconds))
        if listens and self._markers:
            self._markers.wait_for_consumers(MARKERS_S)
        return listens

    def finish(self) -> None:
        """Give what was pushed last the time to arrive; a stream that ends at once takes it along."""
        if self._outlet.have_consumers():
            time.sleep(FINISH_S)

    def play(
        self,
        chunks: Iterable[tuple[np.ndarray, np.ndarray]],
        markers: Iterable[tuple[float, str]] = (),
        speed: float = 1.0,
    ) -> None:
        """Push (times (n,) in s, values (n, channels) in the stream's unit) until they end, each when its last is due.

        A sample's stamp is the start plus its own time: late wake-ups do not shift it, and jitter and gaps are heard as
        they were recorded. `speed` changes only how fast samples come, not how far apart their stamps are. `markers`,
        (time in s, text), are in order and go out at their times.
        """
        start = pylsl.local_clock()
        waiting: Iterator[tuple[float, str]] = iter(markers if self._markers else ())
        marker = next(waiting, None)
        for times, values in chunks:
            end = float(np.max(times))
            while self._markers and marker and marker[0] <= end:
                _wait(start + marker[0] / speed)
                self._markers.push_sample([marker[1]], start + marker[0])
                marker = next(waiting, None)
            _wait(start + end / speed)
            self._outlet.push_chunk(np.ascontiguousarray(values, np.float32), (start + times).tolist())


def _wait(due: float) -> None:
    """Until `due` on the LSL clock."""
    time.sleep(max(0.0, due - pylsl.local_clock()))
