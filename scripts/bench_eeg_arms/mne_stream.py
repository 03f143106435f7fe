"""An arm of the `eeg` benchmark: mne-lsl's StreamLSL, which filters and keeps the window. NAME CHANNELS RATE SECONDS."""

from __future__ import annotations

import sys
import time

import numpy as np
from mne_lsl.lsl import local_clock
from mne_lsl.stream import StreamLSL
from record import BANDS, UPDATES_HZ, Recorder
from scipy.signal import welch


def main(name: str, rate: float, seconds: float) -> None:
    recorder = Recorder(rate, seconds, local_clock)
    stream = StreamLSL(bufsize=2, name=name).connect(acquisition_delay=0.02, timeout=20)
    stream.filter(1.0, None, iir_params={"order": 2, "ftype": "butter", "output": "sos"})
    stream.notch_filter(50.0, iir_params={"order": 1, "ftype": "butter", "output": "sos"})

    hz = np.fft.rfftfreq(stream.n_buffer, 1 / rate)
    masks = {band: (hz >= low) & (hz < high) for band, (low, high) in BANDS.items()}
    last, due = 0.0, time.monotonic()
    while not recorder.done:
        due = max(due + 1 / UPDATES_HZ, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        window, stamps = stream.get_data()
        new = stamps[stamps > last]
        if not len(new):
            continue
        # The window is filtered, so the samples' numbers are read from their stamps, which mne-lsl leaves as they are.
        recorder.heard(new)
        last = new[-1]
        if stamps[0] == 0:  # not yet full
            continue
        _, density = welch(window, rate, "hann", nperseg=window.shape[1], axis=1)
        powers = {band: density[:, mask].sum(axis=1) * (hz[1] - hz[0]) for band, mask in masks.items()}
        recorder.update(last, powers["alpha"].mean())
    stream.disconnect()
    recorder.finish()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[3]), float(sys.argv[4]))
