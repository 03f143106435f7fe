"""Against real LSL streams of other processes."""

import time

import numpy as np
import pylsl
import pytest

from protocol.errors import AlphaloomError
from signals.listen import frames
from signals.lsl import Inlet, Outlet, StreamFormat


def first_frames(name: str, count: int) -> list:
    inlet = Inlet(name, timeout=20)
    found = []
    for frame in frames(inlet):
        found += [frame] if frame else []
        if len(found) == count:
            break
    inlet.close()
    return found


def test_a_synthetic_stream_arrives_as_frames(programs, stream_name: str) -> None:
    programs.synth(stream_name, "--state", "relaxed")
    found = first_frames(stream_name, 5)
    assert found[0].stream == stream_name
    assert all(0.1 < frame.features["alpha"] < 0.95 for frame in found)
    assert found[-1].time > found[0].time


def test_the_inlet_knows_channels_rate_and_unit(programs, stream_name: str) -> None:
    programs.synth(stream_name)
    inlet = Inlet(stream_name, timeout=20)
    assert inlet.format == StreamFormat(stream_name, 256.0, ("TP9", "AF7", "AF8", "TP10"), "synth:drifting:0", "microvolts")
    inlet.close()


def test_no_stream_within_the_timeout_says_what_to_do(stream_name: str) -> None:
    with pytest.raises(AlphaloomError, match="python -m signals synth") as caught:
        Inlet(stream_name, timeout=0.3)
    assert caught.value.code == "no_stream"


def test_a_marker_stream_is_refused(stream_name: str) -> None:
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(stream_name, "Markers", 1, 0, pylsl.cf_string, stream_name))
    with pytest.raises(AlphaloomError, match="no regularly sampled signal"):
        Inlet(stream_name, timeout=20)
    del outlet


def test_samples_are_stamped_when_they_are_due(stream_name: str) -> None:
    rate = 100.0
    outlet = Outlet(StreamFormat(stream_name, rate, ("A", "B")))
    inlet = Inlet(stream_name, timeout=20)
    outlet.play(iter([np.full((10, 2), n) for n in range(5)]), rate)
    values, times = np.empty((0, 2)), np.empty(0)
    end = time.monotonic() + 10
    while len(values) < 50 and time.monotonic() < end:
        more, stamps = inlet.pull(0.1)
        values, times = np.concatenate([values, more]), np.concatenate([times, stamps])
    np.testing.assert_array_equal(values[:, 0], np.repeat(np.arange(5), 10))
    np.testing.assert_allclose(np.diff(times), 1 / rate, atol=1e-4)
    inlet.close()
