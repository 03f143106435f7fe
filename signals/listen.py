"""Features from a live stream, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Iterator

from protocol.model import Frame

from .features import BandPowers
from .lsl import Inlet


def frames(inlet: Inlet, poll: float = 0.05) -> Iterator[Frame | None]:
    """Frames as their samples arrive; None at least every `poll` seconds without, so that the caller may stop."""
    bands = BandPowers(inlet.format.rate, len(inlet.format.channels))
    while True:
        values, _ = inlet.pull(poll)
        found = bands.push(values)
        # Of a backlog only the newest window is now; the older ones are already history.
        yield Frame(time.time(), found[-1], inlet.format.name) if found else None
