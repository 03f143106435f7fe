"""Against real LSL streams."""

import numpy as np
import pylsl
import pytest

from protocol.errors import AlphaloomError
from signals.lsl import Inlet, Markers, Query
from signals.outlet import Outlet
from signals.stream import StreamFormat

FORMATS = ["int8", "int16", "int32", "int64", "float32", "double64"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        (None, Query("type", "EEG")),
        ("", Query("type", "EEG")),
        ("Muse-1234", Query("name", "Muse-1234")),
        ("name=type=x", Query("name", "type=x")),
        ("type=ExG", Query("type", "ExG")),
        ("id=abc", Query("source_id", "abc")),
        ("x=y", Query("name", "x=y")),
        ("type=", Query("name", "type=")),
    ],
)
def test_a_stream_is_meant_by_name_type_or_source_id(text: str | None, query: Query) -> None:
    assert Query.parse(text) == query


def test_the_inlet_knows_channels_rate_units_and_types(programs, stream_name: str) -> None:
    programs.synth(stream_name)
    for query in (stream_name, f"name={stream_name}"):
        inlet = Inlet(Query.parse(query).find(20))
        assert inlet.format == StreamFormat(
            stream_name, 256.0, ("TP9", "AF7", "AF8", "TP10"), "synth:drifting:0", "microvolts", (), ("EEG",) * 4
        )
        inlet.close()


def test_a_stream_is_found_by_its_source_id(stream_name: str) -> None:
    outlet = Outlet(StreamFormat("any", 100.0, ("Cz",), stream_name))
    inlet = Inlet(Query.parse(f"id={stream_name}").find(20))
    assert inlet.format.name == "any" and inlet.format.channels == ("Cz",)
    inlet.close()
    del outlet


def test_no_stream_within_the_timeout_says_what_to_do(stream_name: str) -> None:
    with pytest.raises(AlphaloomError, match="python -m signals synth") as caught:
        Inlet(Query.parse(stream_name).find(0.3))
    assert caught.value.code == "no_stream"


def test_a_marker_stream_is_refused_as_eeg_and_eeg_as_markers(stream_name: str) -> None:
    texts = pylsl.StreamOutlet(pylsl.StreamInfo(stream_name, "Markers", 1, 0, pylsl.cf_string, stream_name))
    with pytest.raises(AlphaloomError, match="carries texts"):
        Inlet(Query.parse(stream_name).find(20))
    numbers = Outlet(StreamFormat(stream_name + "-eeg", 100.0, ("Cz",)))
    with pytest.raises(AlphaloomError, match="carries no texts"):
        Markers(Query("name", stream_name + "-eeg").find(20))
    del texts, numbers


@pytest.mark.parametrize("format", FORMATS)
def test_every_numeric_format_arrives(format: str, stream_name: str) -> None:
    kind = getattr(pylsl, f"cf_{format}")
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(stream_name[:50] + format, "EEG", 2, 100, kind, stream_name + format))
    inlet = Inlet(Query.parse(stream_name[:50] + format).find(20))
    outlet.wait_for_consumers(20)
    outlet.push_chunk([[1, -2], [3, 100]], [1.0, 2.0])
    values, times = inlet.pull(20, 2)
    assert values.dtype == float and values.tolist() == [[1, -2], [3, 100]]
    assert times[1] - times[0] == pytest.approx(1)
    assert inlet.format.channels == ("channel 1", "channel 2") and inlet.format.unit == ""
    inlet.close()


def test_samples_keep_the_stamps_they_were_given_and_a_backlog_comes_whole(stream_name: str) -> None:
    outlet = Outlet(StreamFormat(stream_name, 1000.0, ("A", "B")))
    inlet = Inlet(Query.parse(stream_name).find(20))
    assert outlet.wait_for_listener(20)
    times = np.arange(9000) / 1000
    times[5000:] += 2.0  # a gap that must not be smeared
    outlet.play([(times[n : n + 500], np.repeat(np.arange(n, n + 500)[:, None], 2, 1)) for n in range(0, 9000, 500)], speed=1e6)
    values, stamps = np.empty((0, 2)), np.empty(0)
    while len(values) < 9000:
        more, when = inlet.pull(20, 100)
        assert len(when)
        values, stamps = np.concatenate([values, more]), np.concatenate([stamps, when])
    np.testing.assert_array_equal(values[:, 0], np.arange(9000))
    np.testing.assert_allclose(stamps - stamps[0], times, atol=1e-3)
    inlet.close()


def test_a_stream_that_ends_is_told(stream_name: str) -> None:
    outlet = Outlet(StreamFormat(stream_name, 100.0, ("A",)))
    inlet = Inlet(Query.parse(stream_name).find(20))
    del outlet
    with pytest.raises(AlphaloomError) as caught:
        for _ in range(100):
            inlet.pull(0.2)
    assert caught.value.code == "stream_lost"


def test_markers_arrive_with_their_times(stream_name: str) -> None:
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(stream_name, "Markers", 1, 0, pylsl.cf_string, stream_name))
    markers = Markers(Query("name", stream_name).find(20))
    outlet.wait_for_consumers(20)
    when = pylsl.local_clock()
    outlet.push_sample(["begin"], when)
    found: list = []
    while not found:
        found = markers.pull()
    assert found == [(pytest.approx(when, abs=1e-3), "begin")]
    markers.close()
