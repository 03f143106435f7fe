"""Everything that touches the Lab Streaming Layer: one outlet, one inlet, found on loopback too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pylsl

from protocol.errors import AlphaloomError

# liblsl finds streams by multicast, which many machines do not deliver to themselves; asking loopback
# directly finds the local ones as well. It must be said before liblsl is first used.
pylsl.set_config_content("[lab]\nKnownPeers = {127.0.0.1}\n[log]\nlevel = -2\n")

MAX_PULL = 4096
BUFFER_S = 60


@dataclass(frozen=True)
class StreamFormat:
    """What a stream carries: `rate` in Hz, one name per channel, `unit` as LSL's metadata spells it."""

    name: str
    rate: float
    channels: tuple[str, ...]
    source_id: str = ""
    unit: str = "microvolts"


class Outlet:
    """An LSL outlet of type EEG with channel names and units in its metadata."""

    def __init__(self, stream: StreamFormat):
        info = pylsl.StreamInfo(
            stream.name, "EEG", len(stream.channels), stream.rate, pylsl.cf_float32, stream.source_id or stream.name
        )
        channels = info.desc().append_child("channels")
        for label in stream.channels:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", stream.unit)
            channel.append_child_value("type", "EEG")
        self._outlet = pylsl.StreamOutlet(info)

    def play(self, chunks: Iterator[np.ndarray], rate: float, speed: float = 1.0) -> None:
        """Push (samples, channels) chunks at `rate` Hz times `speed`, until they end.

        A sample's time stamp is when it is due, so a late wake-up does not shift the stream.
        """
        start, pushed = pylsl.local_clock(), 0
        for chunk in chunks:
            pushed += len(chunk)
            due = start + np.arange(pushed - len(chunk) + 1, pushed + 1) / (rate * speed)
            time.sleep(max(0.0, due[-1] - pylsl.local_clock()))
            self._outlet.push_chunk(chunk, due)


class Inlet:
    """An LSL inlet for one EEG stream, picked by name or else the first of type EEG.

    Raises AlphaloomError `no_stream` when none is there within `timeout` seconds.
    """

    def __init__(self, name: str | None = None, timeout: float = 10.0):
        found = pylsl.resolve_byprop(*(("name", name) if name else ("type", "EEG")), timeout=timeout)
        if not found:
            asked = f"named {name!r}" if name else "of type EEG"
            raise AlphaloomError(
                "no_stream",
                f"No LSL stream {asked} within {timeout:g} s. Start the headset's LSL program, or "
                "'python -m signals synth' for a synthetic one.",
                name=name,
                timeout=timeout,
            )
        # Clock sync only: liblsl's dejitter would smear a gap over its neighbours.
        stream = found[0]
        if stream.channel_format() == pylsl.cf_string or stream.nominal_srate() <= 0:
            raise AlphaloomError(
                "unusable_stream",
                f"The LSL stream {stream.name()!r} is no regularly sampled signal (rate {stream.nominal_srate():g} Hz, "
                f"{stream.channel_count()} channels). Name the EEG stream itself, not its markers.",
                name=stream.name(),
            )
        self._inlet = pylsl.StreamInlet(stream, max_buflen=BUFFER_S, processing_flags=pylsl.proc_clocksync)
        try:
            info = self._inlet.info(timeout=timeout)
            self._inlet.open_stream(timeout=timeout)
        except (pylsl.util.TimeoutError, pylsl.util.LostError) as problem:
            raise AlphaloomError(
                "no_stream", f"The LSL stream {stream.name()!r} was announced but does not answer: {problem}."
            ) from None
        self.format = StreamFormat(info.name(), info.nominal_srate(), tuple(_labels(info)), info.source_id(), _unit(info))

    def pull(self, timeout: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
        """What has come since: values (samples, channels), times (samples,) in seconds of the local LSL clock.

        Waits up to `timeout` seconds for the first sample. Raises AlphaloomError `stream_lost`.
        """
        try:
            values, times = self._inlet.pull_chunk(timeout=timeout, max_samples=MAX_PULL, min_samples=1)
        except pylsl.util.LostError:
            raise AlphaloomError("stream_lost", f"The LSL stream {self.format.name!r} is gone.") from None
        if not len(times):
            return np.empty((0, len(self.format.channels))), np.empty(0)
        return np.asarray(values, float), np.asarray(times, float)

    def close(self) -> None:
        self._inlet.close_stream()


def _labels(info: pylsl.StreamInfo) -> list[str]:
    labels = info.get_channel_labels() or []
    return [label or f"channel {n + 1}" for n, label in enumerate(labels)] or [
        f"channel {n + 1}" for n in range(info.channel_count())
    ]


def _unit(info: pylsl.StreamInfo) -> str:
    units = info.get_channel_units() or []
    return units[0] if units and units[0] else ""
