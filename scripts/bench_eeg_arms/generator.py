"""The stream that the arms of the `eeg` benchmark hear: NAME CHANNELS RATE CYCLE CYCLES.

1/f noise, mains hum and a 10 Hz sine whose amplitude is ten times higher in the second half of each cycle. The first
cycle begins some seconds after the first listener came. Every sample carries the time at which it was due, and its
number (see record.py).
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pylsl
from record import MODULUS, SCALE

LEAD_S = 2.5
"""From the first listener to the first cycle: an arm's window is full by then."""
CHUNK_S = 0.004
LOW, HIGH = 3.0, 30.0
"""Amplitudes of the sine in µV."""
ELECTRODES = """
Fp1 Fp2 C3 C4 P7 P8 O1 O2 AF7 AF3 F1 F3 F5 F7 FT7 FC5 FC3 FC1 C1 C5 T7 TP7 CP5 CP3 CP1 P1 P3 P5 P9 PO7 PO3 Iz
Oz POz Pz CPz Fpz AF8 AF4 AFz Fz F2 F4 F6 F8 FT8 FC6 FC4 FC2 FCz Cz C2 C6 T8 TP8 CP6 CP4 CP2 P2 P4 P6 P10 PO8 PO4
"""


def main(name: str, channels: int, rate: float, cycle: float, cycles: int) -> None:
    outlet = pylsl.StreamOutlet(stream_info(name, channels, rate))
    background = noise(channels, rate)
    start = pylsl.local_clock()
    begins = float("inf")
    step = max(1, round(CHUNK_S * rate))
    number, late, told = 0, [], False
    # It is ended from outside, after the arm: no arm shall see a lost stream. The limit is for when nobody ends it.
    while (now := pylsl.local_clock()) < min(begins, start + 60) + cycles * cycle + 60:
        if now > begins + cycles * cycle and not told:
            print("report " + json.dumps({"late": late}), flush=True)
            told = True
        if begins == float("inf") and outlet.have_consumers():
            begins = now + LEAD_S
            print(f"begins at {begins!r} start {start!r} clock {pylsl.local_clock() - time.monotonic()!r}", flush=True)
        due = int((now - start) * rate) + 1 - number
        if due < step:
            time.sleep(max(0.0, start + (number + step - 1) / rate - now))
            continue
        which = number + np.arange(due)
        stamps = start + which / rate
        high = (stamps >= begins) & (np.mod(stamps - min(begins, now), cycle) >= cycle / 2)
        values = (
            background[which % len(background)]
            + (np.where(high, HIGH, LOW) * np.sin(2 * np.pi * 10 * stamps) + np.sin(2 * np.pi * 50 * stamps))[:, None]
        )
        values[:, 0] = np.floor(values[:, 0] * 4) / 4 + which % MODULUS / SCALE
        outlet.push_chunk(values.astype(np.float32), stamps)
        number += due
        late.append((stamps[-1], pylsl.local_clock() - stamps[-1]))


def stream_info(name: str, channels: int, rate: float) -> pylsl.StreamInfo:
    info = pylsl.StreamInfo(name, "EEG", channels, rate, pylsl.cf_float32, name)
    described = info.desc().append_child("channels")
    for electrode in ELECTRODES.split()[:channels]:
        channel = described.append_child("channel")
        for key, value in (("label", electrode), ("unit", "microvolts"), ("type", "EEG")):
            channel.append_child_value(key, value)
    return info


def noise(channels: int, rate: float) -> np.ndarray:
    """Sixteen seconds of 1/f noise of 8 µV that go on seamlessly from their end to their start, (samples, channels)."""
    count = round(16 * rate)
    hz = np.fft.rfftfreq(count, 1 / rate)
    rng = np.random.default_rng(0)
    phases = np.exp(2j * np.pi * rng.random((channels, len(hz))))
    signal = np.fft.irfft(phases / np.sqrt(np.maximum(hz, 0.5)), count).T
    return 8 * signal / signal.std(axis=0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
