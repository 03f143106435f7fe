"""A recording as a stream: anything that `mne.io.read_raw` opens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from protocol.errors import AlphaloomError

from .lsl import StreamFormat

CHUNK_S = 0.0625


class Recording:
    """The EEG channels of a recording. Raises AlphaloomError `unreadable_recording`."""

    def __init__(self, path: Path):
        import mne  # takes a second to import, and only replay needs it

        try:
            self._raw = mne.io.read_raw(path, preload=False, verbose="error")
            self._raw.pick("eeg", exclude=())
        except Exception as problem:  # every reader raises its own kinds
            reason = "there is no such file" if not Path(path).exists() else str(problem).splitlines()[0]
            raise AlphaloomError(
                "unreadable_recording",
                f"Cannot play {str(path)!r}: {reason}. Give a recording with EEG channels that MNE-Python reads "
                "(EDF, BDF, FIF, BrainVision, EEGLAB ...).",
                path=str(path),
            ) from None
        self.rate = float(self._raw.info["sfreq"])
        self.format = StreamFormat(Path(path).stem, self.rate, tuple(self._raw.ch_names), f"replay:{Path(path).name}")

    def chunks(self, loop: bool = False) -> Iterator[np.ndarray]:
        """(samples, channels) pieces in µV, once or, with `loop`, for ever."""
        size = max(1, round(CHUNK_S * self.rate))
        while True:
            for start in range(0, self._raw.n_times, size):
                yield self._raw[:, start : start + size][0].T * 1e6
            if not loop:
                return
