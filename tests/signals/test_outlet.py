"""Against real LSL inlets."""

from collections.abc import Iterator

import numpy as np
import pylsl
import pytest

from signals.outlet import Outlet
from signals.stream import StreamFormat


@pytest.fixture
def stream(stream_name: str) -> StreamFormat:
    return StreamFormat(stream_name, 100.0, ("Fz", "Oz"), "test-id", "volts")


def listen(name: str) -> pylsl.StreamInlet:
    found = pylsl.resolve_byprop("name", name, timeout=20)
    inlet = pylsl.StreamInlet(found[0])
    inlet.open_stream(timeout=20)
    return inlet


def pull(inlet: pylsl.StreamInlet, count: int) -> tuple[list, np.ndarray]:
    """The next `count` samples, as soon as they are there."""
    samples, stamps = [], []
    while len(stamps) < count:
        sample, stamp = inlet.pull_sample(timeout=20)
        assert sample is not None, f"only {len(stamps)} of {count} samples came"
        samples.append(sample)
        stamps.append(stamp)
    return samples, np.array(stamps)


def chunks(times: np.ndarray, size: int = 10) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Samples whose value is their own number."""
    for start in range(0, len(times), size):
        piece = times[start : start + size]
        yield piece, np.repeat(start + np.arange(len(piece))[:, None], 2, axis=1)


def test_the_metadata_say_names_unit_and_rate(stream: StreamFormat) -> None:
    outlet = Outlet(stream)
    inlet = listen(stream.name)
    info = inlet.info(timeout=20)
    assert (info.type(), info.nominal_srate(), info.source_id()) == ("EEG", 100.0, "test-id")
    assert info.get_channel_labels() == ["Fz", "Oz"]
    assert info.get_channel_units() == ["volts", "volts"]
    del outlet


def test_a_unit_that_nobody_knows_is_not_made_up(stream_name: str) -> None:
    outlet = Outlet(StreamFormat(stream_name, 100.0, ("Fz",), unit=""))
    assert not any(listen(stream_name).info(timeout=20).get_channel_units() or [])
    del outlet


@pytest.mark.parametrize("speed", [1.0, 8.0])
def test_stamps_are_as_far_apart_as_they_were_recorded_at_any_speed(stream: StreamFormat, speed: float) -> None:
    times = np.arange(60) / 100
    times[25:] += 0.3  # a gap
    times[40:44] += [0.004, -0.015, 0.002, 0.0]  # jitter, a stamp that goes back
    outlet = Outlet(stream)
    inlet = listen(stream.name)
    assert outlet.wait_for_listener(20)
    outlet.play(chunks(times), speed=speed)
    samples, stamps = pull(inlet, 60)
    assert [s[0] for s in samples] == list(range(60))
    np.testing.assert_allclose(stamps - stamps[0], times, atol=1e-6)


def test_a_sample_is_never_sent_before_it_is_due(stream: StreamFormat) -> None:
    outlet = Outlet(stream)
    sent: list[tuple[float, float]] = []

    class Spy:
        def push_chunk(self, values: np.ndarray, stamps: list[float]) -> None:
            sent.append((stamps[-1], pylsl.local_clock()))

    outlet._outlet = Spy()
    outlet.play(chunks(np.arange(30) / 100))
    assert len(sent) == 3
    assert all(now >= stamp - 1e-3 for stamp, now in sent)


def test_a_chunk_of_one_sample_keeps_its_stamp(stream: StreamFormat) -> None:
    outlet = Outlet(stream)
    inlet = listen(stream.name)
    assert outlet.wait_for_listener(20)
    outlet.play(chunks(np.array([0.0, 0.05, 0.2]), size=1))
    np.testing.assert_allclose(np.diff(pull(inlet, 3)[1]), [0.05, 0.15], atol=1e-6)


def test_markers_go_out_beside_the_samples_on_their_clock(stream: StreamFormat) -> None:
    outlet = Outlet(stream, markers=True)
    inlet, marks = listen(stream.name), listen(stream.name + "-markers")
    info = marks.info(timeout=20)
    assert (info.type(), info.nominal_srate(), info.channel_format()) == ("Markers", 0.0, pylsl.cf_string)
    assert outlet.wait_for_listener(20)
    outlet.play(chunks(np.arange(50) / 100), [(0.0, "start"), (0.123, "été"), (0.2, "b"), (9.0, "too late")])
    _, stamps = pull(inlet, 50)
    texts, at = pull(marks, 3)
    assert texts == [["start"], ["été"], ["b"]]
    np.testing.assert_allclose(at - stamps[0], [0.0, 0.123, 0.2], atol=1e-6)
    assert marks.pull_sample(timeout=0.0) == (None, None)
