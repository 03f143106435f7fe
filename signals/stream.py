"""What a stream of samples says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StreamFormat:
    """`rate` in Hz (0: irregular), one name per channel, `unit` as the stream's metadata spells it."""

    name: str
    rate: float
    channels: tuple[str, ...]
    source_id: str = ""
    unit: str = "microvolts"
    units: tuple[str, ...] = ()
    """Of each channel, where they differ; `unit` is then the first."""
    types: tuple[str, ...] = ()
    """Of each channel (`EEG`, `AUX` ...), where the stream says."""
