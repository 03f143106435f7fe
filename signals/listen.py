"""Features from a live stream, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Iterator

from protocol.model import Frame

from .features import BandPowers
from .lsl import Inlet


def frames(inlet: Inlet, poll: float = 0.05) -> Iterator[Frame | None]:
    """Frames as their samples arrive; None when `poll` seconds brought none, so that the caller may stop."""
    bands = BandPowers(inlet.format.rate, len(inlet.format.channels))
    while True:
        values, _ = inlet.pull(poll)
        found = bands.push(values)
        # The window's newest sample is the backlog's newest: older windows of one pull are already history.
        yield Frame(time.time(), found[-1], inlet.format.name) if found else None
