"""Finding and pulling streams of the Lab Streaming Layer, on loopback too."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pylsl

from protocol.errors import AlphaloomError

from .stream import StreamFormat

MAX_PULL = 4096
BUFFER_S = 60
OTHERS_S = 0.6
ANSWER_S = 5.0
"""How long a stream that was found may take to answer."""
_OWN_CONFIG = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")


def configure(peers: str = "127.0.0.1") -> None:
    """Tell liblsl to ask these machines (names or addresses, with commas) for streams directly, before its first use.

    liblsl finds streams by multicast, which many machines do not deliver to themselves. A configuration of the user's
    own, in one of the places where liblsl looks, is left alone.
    """
    if os.environ.get("LSLAPICFG") or any(Path(place).expanduser().exists() for place in _OWN_CONFIG):
        return
    pylsl.set_config_content(f"[lab]\nKnownPeers = {{{peers}}}\n[log]\nlevel = -3\n")


configure(os.environ.get("ALPHALOOM_LSL_PEERS", "127.0.0.1"))


@dataclass(frozen=True)
class Query:
    """Which stream is meant: the value of one of LSL's properties `name`, `type` and `source_id`."""

    property: str = "type"
    value: str = "EEG"

    @classmethod
    def parse(cls, text: str | None) -> Query:
        """`NAME`, `type=EEG` or `id=SOURCE_ID`; None is the first stream of type EEG."""
        if not text:
            return cls()
        key, equals, value = text.partition("=")
        if equals and value and key in ("name", "type", "id"):
            return cls("source_id" if key == "id" else key, value)
        return cls("name", text)

    def __str__(self) -> str:
        return {"name": "named", "type": "of type", "source_id": "with the source id"}[self.property] + f" {self.value!r}"

    def find(self, timeout: float = 10.0) -> pylsl.StreamInfo:
        """A stream that fits, as soon as there is one. Raises AlphaloomError `no_stream` after `timeout` seconds."""
        found = pylsl.resolve_byprop(self.property, self.value, timeout=timeout)
        if not found:
            raise self.missing(timeout)
        return found[0]

    def missing(self, seconds: float) -> AlphaloomError:
        """`no_stream`: what to do, and which streams there are instead."""
        others = sorted({f"{stream.name()!r} ({stream.type()})" for stream in pylsl.resolve_streams(OTHERS_S)})
        heard = f"These are there: {', '.join(others)}." if others else "None at all is there."
        return AlphaloomError(
            "no_stream",
            f"No LSL stream {self} within {seconds:g} s. {heard} Start the headset's LSL program, or "
            "'python -m signals synth' for a synthetic one.",
            query=str(self),
            timeout=seconds,
        )

    def search(self) -> pylsl.ContinuousResolver:
        """Looks for streams that fit for as long as it is kept; its `results()` are those that are there."""
        return pylsl.ContinuousResolver(self.property, self.value, forget_after=2.0)


class Inlet:
    """An LSL inlet for one numeric stream that has been found. Raises AlphaloomError `no_stream` when it does not answer
    and `unusable_stream` for texts.

    It does not reconnect by itself, so that a stream that comes back with another format is noticed: `pull` raises
    `stream_lost`.
    """

    def __init__(self, stream: pylsl.StreamInfo):
        if stream.channel_format() == pylsl.cf_string:
            raise AlphaloomError(
                "unusable_stream",
                f"The LSL stream {stream.name()!r} carries texts, no signal. Name the EEG stream itself, not its markers.",
                name=stream.name(),
            )
        # Clock sync only: liblsl's dejitter would smear a gap over its neighbours (a gap of 2 s becomes a step of 4 ms).
        self._inlet = pylsl.StreamInlet(stream, max_buflen=BUFFER_S, recover=False, processing_flags=pylsl.proc_clocksync)
        try:
            info = self._inlet.info(timeout=ANSWER_S)
            self._inlet.open_stream(timeout=ANSWER_S)
        except (pylsl.util.TimeoutError, pylsl.util.LostError) as problem:
            raise AlphaloomError(
                "no_stream", f"The LSL stream {stream.name()!r} was announced but does not answer: {problem}."
            ) from None
        self.uid: str = info.uid()
        self.format = _format(info)

    def pull(self, timeout: float = 0.1, least: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """What has come since: values (samples, channels), times (samples,) in seconds of the local LSL clock.

        Waits up to `timeout` seconds until there are `least` samples. Raises AlphaloomError `stream_lost`.
        """
        try:
            least = min(least, MAX_PULL)
            values, times = self._inlet.pull_chunk(timeout, MAX_PULL, min_samples=least, as_numpy=True)
        except pylsl.util.LostError:
            raise AlphaloomError("stream_lost", f"The LSL stream {self.format.name!r} is gone.") from None
        return np.asarray(values, float), times

    def close(self) -> None:
        self._inlet.close_stream()


class Markers:
    """An inlet for a stream of texts that has been found. Raises AlphaloomError `unusable_stream`.

    Unlike EEG's it reconnects by itself: nothing of a text's format can have changed.
    """

    def __init__(self, stream: pylsl.StreamInfo):
        if stream.channel_format() != pylsl.cf_string:
            raise AlphaloomError("unusable_stream", f"The LSL stream {stream.name()!r} carries no texts.")
        self._inlet = pylsl.StreamInlet(stream, processing_flags=pylsl.proc_clocksync)
        self._inlet.open_stream(timeout=ANSWER_S)

    def pull(self) -> list[tuple[float, str]]:
        """(time in seconds of the local LSL clock, text) of what has come since."""
        texts, times = self._inlet.pull_chunk(0.0)
        return [(float(time), str(text[0])) for time, text in zip(times, texts, strict=True)]

    def close(self) -> None:
        self._inlet.close_stream()


def _format(info: pylsl.StreamInfo) -> StreamFormat:
    count = info.channel_count()

    def said(values: list[str] | None) -> tuple[str, ...]:
        return tuple(v or "" for v in values) if values and len(values) == count else ()

    labels = said(info.get_channel_labels()) or ("",) * count
    labels = tuple("" if label in labels[:n] else label for n, label in enumerate(labels))  # a name means one channel
    units = said(info.get_channel_units())
    return StreamFormat(
        info.name(),
        info.nominal_srate(),
        tuple(label or f"channel {n + 1}" for n, label in enumerate(labels)),
        info.source_id(),
        units[0] if units else "",
        units if len(set(units)) > 1 else (),
        said(info.get_channel_types()),
    )
