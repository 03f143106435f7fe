"""A performer, live: real streams of other processes that come, end and change."""

import time
from collections.abc import Callable

import numpy as np
import pylsl
import pytest
from data import columns, muse

from protocol.model import Frame
from signals.engine import Options
from signals.listen import Listener
from signals.lsl import Query


@pytest.fixture
def listen(stream_name: str):
    listeners = []

    def make(**options) -> Listener:
        listeners.append(Listener(Query("name", stream_name), **options))
        return listeners[-1]

    yield make
    for listener in listeners:
        listener.close()


def until(listener: Listener, good: Callable[[Frame], bool]) -> list[Frame]:
    """Frames up to the first that is as asked for."""
    found: list[Frame] = []
    for _ in range(600):
        for frame in listener.poll(0.1):
            found.append(frame)
            if good(frame):
                return found
    raise AssertionError(f"did not come among {len(found)} frames; {listener.problem}")


def test_a_synthetic_stream_arrives_as_frames(programs, stream_name: str, listen) -> None:
    programs.synth(stream_name, "--state", "relaxed")
    listener = listen()
    frames = until(listener, lambda f: f.features["alpha"].value > 0.2)
    assert frames[0].stream == stream_name and frames[0].signal == "good"
    assert frames[0].quality.keys() == {"TP9", "AF7", "AF8", "TP10"}
    assert listener.problem == "" and listener.performer and "calm" in listener.performer.missing


def test_before_there_is_a_stream_it_says_that_it_looks_and_finds_it_later(programs, stream_name: str, listen) -> None:
    listener = listen()
    assert listener.poll(0.2) == [] and stream_name in listener.problem
    programs.synth(stream_name)
    until(listener, lambda f: bool(f.features))
    assert listener.problem == ""


def test_a_stream_that_is_killed_is_lost_and_one_that_comes_back_is_followed(programs, stream_name: str, listen) -> None:
    programs.synth(stream_name)
    listener = listen()
    until(listener, lambda f: bool(f.features))
    programs.kill("synth")
    frames = until(listener, lambda f: f.signal == "lost")
    assert "held" in [f.signal for f in frames] and frames[-1].age > 3 and not frames[-1].features
    assert stream_name in listener.problem
    programs.synth(stream_name, name="again")
    frames = until(listener, lambda f: f.signal == "good")
    assert listener.problem == "" and frames[-1].age < 3


def test_a_stream_that_comes_back_with_other_channels_and_another_rate_is_followed(programs, stream_name, listen) -> None:
    programs.synth(stream_name)
    listener = listen()
    until(listener, lambda f: bool(f.features))
    programs.kill("synth")
    programs.synth(stream_name, "--channels", "Fp1,O1,O2", "--rate", "500", name="other")
    frames = until(listener, lambda f: "calm" in f.features)
    assert frames[-1].quality.keys() == {"Fp1", "O1", "O2"} and listener.performer.rate == 500


def test_a_gap_in_the_stream_is_told(programs, stream_name: str, listen) -> None:
    programs.synth(stream_name, "--schedule", "relaxed:4,gap:1,relaxed:60", "--wait")
    frames = until(listen(), lambda f: any(e.kind == "gap" for e in f.events))
    assert frames[-1].signal == "good" or frames[-1].features == {}


def test_a_real_recording_that_is_replayed_has_all_its_gaps_and_no_window_spans_one(programs, stream_name: str, listen) -> None:
    times, _ = columns(muse("gaps.csv"))
    steps = np.diff(times)
    gaps = np.flatnonzero(steps > 0.02 + 1 / 256) + 1
    assert len(gaps) == 3
    listener = listen()
    programs.replay(stream_name, muse("gaps.csv"), "--speed", "4", "--wait")
    frames = until(listener, lambda f: f.signal == "lost")  # the recording is over
    heard = [(e.time, f) for f in frames for e in f.events if e.kind == "gap"]
    assert np.diff([at for at, _ in heard]) == pytest.approx(np.diff(times[gaps]), abs=2e-3)
    ends = [next(iter(f.features.values())).time for f in frames if f.features]
    assert ends and not any(at + 0.005 < end < at + 2 - 0.05 for at, _ in heard for end in ends)


def test_a_stream_with_dropouts_too_close_for_a_window_is_not_silently_stale(programs, stream_name: str, listen) -> None:
    programs.synth(stream_name, "--schedule", ",".join(["relaxed:1.5,gap:0.1"] * 30), "--wait")
    frames = until(listen(), lambda f: f.signal == "lost")
    assert not any(f.features for f in frames) and frames[-1].age < 1
    assert "gap" in [e.kind for f in frames for e in f.events]


def test_stamps_of_another_clock_are_told_and_moved_to_ours(stream_name: str, listen) -> None:
    info = pylsl.StreamInfo(stream_name, "EEG", 1, 256, pylsl.cf_float32, stream_name)
    outlet = pylsl.StreamOutlet(info)
    listener = listen(options=Options(unit="uV"))
    while listener.problem:
        listener.poll(0.2)
    outlet.wait_for_consumers(20)
    now = time.time()
    outlet.push_chunk(np.random.default_rng(0).standard_normal((1024, 1)) * 10, list(now - 4 + np.arange(1024) / 256))
    frames = until(listener, lambda f: bool(f.features))
    assert "clock" in [e.kind for f in frames for e in f.events]
    assert abs(frames[-1].features["log_alpha"].time - pylsl.local_clock()) < 60


def test_a_mistake_in_the_analysis_is_told_and_the_listener_goes_on(programs, stream_name, listen, monkeypatch) -> None:
    programs.synth(stream_name)
    listener = listen()
    until(listener, lambda f: bool(f.features))
    with monkeypatch.context() as broken:
        broken.setattr(listener.engine, "push", lambda *_: 1 / 0)
        while "division by zero" not in listener.problem:
            listener.poll(0.2)
    until(listener, lambda f: bool(f.features))
    assert listener.problem == ""


def test_a_stream_of_unknown_unit_says_how_to_state_it(programs, stream_name: str, listen) -> None:
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(stream_name, "EEG", 1, 100, pylsl.cf_float32, stream_name))
    listener = listen()
    while "--unit" not in listener.problem:
        assert listener.poll(0.2) == []
    stated = listen(options=Options(unit="uV"))
    while stated.problem:
        stated.poll(0.2)
    del outlet


def test_the_raw_samples_are_given_on_in_microvolts(programs, stream_name: str, listen) -> None:
    programs.synth(stream_name, "--unit", "volts")
    heard = []
    listener = listen(on_samples=lambda format, times, values: heard.append((format, times, values)))
    until(listener, lambda f: bool(f.features))
    assert heard[0][0].unit == "volts" and heard[0][2].shape == (len(heard[0][1]), 4)
    assert 5 < heard[0][2].std() < 100


def test_two_performers_are_heard_at_once(programs, stream_name: str) -> None:
    names = [f"{stream_name[:50]}-{n}" for n in (1, 2)]
    for name, state in zip(names, ("relaxed", "aroused"), strict=True):
        programs.synth(name, "--state", state, name=name)
    listeners = [Listener(Query("name", name)) for name in names]
    found = [until(listener, lambda f: bool(f.features))[-1] for listener in listeners]
    assert [f.stream for f in found] == names
    assert found[0].features["alpha"].value > found[1].features["alpha"].value
    for listener in listeners:
        listener.close()
