"""An arm of the `eeg` benchmark: what a scientist writes with pylsl and scipy. NAME CHANNELS RATE SECONDS."""

from __future__ import annotations

import sys
import time

import numpy as np
import pylsl
from record import BANDS, UPDATES_HZ, Recorder
from scipy.signal import butter, iirnotch, sosfilt, tf2sos, welch


def main(name: str, channels: int, rate: float, seconds: float) -> None:
    recorder = Recorder(rate, seconds, pylsl.local_clock)
    inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", name, timeout=20)[0], processing_flags=pylsl.proc_clocksync)
    inlet.open_stream(timeout=20)

    sos = np.vstack([butter(2, 1, "highpass", fs=rate, output="sos"), tf2sos(*iirnotch(50, 30, rate))])
    state = np.zeros((len(sos), 2, channels))
    length = int(2 * rate)
    window = np.zeros((0, channels))
    hz = np.fft.rfftfreq(length, 1 / rate)
    masks = {band: (hz >= low) & (hz < high) for band, (low, high) in BANDS.items()}

    due = time.monotonic()
    while not recorder.done:
        due = max(due + 1 / UPDATES_HZ, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        samples, stamps = inlet.pull_chunk(timeout=0.0, max_samples=4096, as_numpy=True)
        if not len(stamps):
            continue
        recorder.heard(stamps, samples[:, 0])
        filtered, state = sosfilt(sos, samples, axis=0, zi=state)
        window = np.concatenate([window, filtered])[-length:]
        if len(window) < length:
            continue
        _, density = welch(window, rate, "hann", nperseg=length, axis=0)
        powers = {band: density[mask].sum(axis=0) * (hz[1] - hz[0]) for band, mask in masks.items()}
        recorder.update(stamps[-1], powers["alpha"].mean())
    recorder.finish()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
