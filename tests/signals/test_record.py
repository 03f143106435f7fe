"""The recorder on its own, and as a process beside real LSL streams; what it wrote is opened with MNE-Python."""

import json
import sys
from pathlib import Path

import mne
import numpy as np
import processes
import pytest

from protocol.errors import AlphaloomError
from protocol.model import Event, Feature, Frame, Performer
from signals.features import possible_features
from signals.record import MAX_FILL_S, Recorder
from signals.recordings import Recording
from signals.stream import StreamFormat
from signals.synth import CHANNELS, SyntheticEEG

RATE = 256.0
FORMAT = StreamFormat("Band", RATE, CHANNELS, "band-1")
PERFORMER = Performer("Band", RATE, dict(zip(CHANNELS, ["temporal", "frontal", "frontal", "temporal"], strict=True)))
START = 500.0
"""The first sample's time on the samples' clock."""


def opened(folder: Path, name: str) -> mne.io.Raw:
    return mne.io.read_raw_brainvision(folder / f"{name}.vhdr", preload=True, verbose="error")


def annotations(raw: mne.io.Raw) -> list[tuple[str, int, int]]:
    rate = raw.info["sfreq"]
    found = [(a["description"], round(a["onset"] * rate), round(a["duration"] * rate)) for a in raw.annotations]
    return [a for a in found if not a[0].startswith("New Segment")]


def feed(recorder: Recorder, times: np.ndarray, values: np.ndarray, format: StreamFormat = FORMAT, size: int = 37) -> None:
    for n in range(0, len(times), size):
        recorder.take(format, START + times[n : n + size], values[n : n + size])


def frame(at: float, features: dict[str, float], events: tuple[Event, ...] = ()) -> Frame:
    return Frame(at, {n: Feature(v, None, 1.0, at) for n, v in features.items()}, "Band", events=events)


def test_a_stream_is_recorded_sample_by_sample_in_microvolts(tmp_path: Path) -> None:
    values = SyntheticEEG(1).read(2000)
    with Recorder(tmp_path / "new" / "folder", epoch=1_790_000_000.0) as recorder:
        feed(recorder, np.arange(2000) / RATE, values)
    raw = opened(tmp_path / "new" / "folder", "eeg")
    np.testing.assert_allclose(raw.get_data().T * 1e6, values, rtol=1e-5, atol=1e-4)
    assert (tuple(raw.ch_names), annotations(raw)) == (CHANNELS, [])
    assert raw.info["meas_date"].timestamp() == pytest.approx(1_790_000_500.0)


def test_gaps_are_filled_and_marked_so_that_what_follows_stands_at_its_time(tmp_path: Path) -> None:
    index = np.concatenate([np.arange(0, 1000), np.arange(1300, 2000), np.arange(2010, 3000)])
    values = SyntheticEEG(1).read(3000)
    with Recorder(tmp_path) as recorder:
        feed(recorder, index / RATE, values[index])
    raw = opened(tmp_path, "eeg")
    assert annotations(raw) == [("Bad Interval/gap", 1000, 300), ("Bad Interval/gap", 2000, 10)]
    data = raw.get_data().T * 1e6
    np.testing.assert_allclose(data[index], values[index], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(data[1000:1300], np.tile(data[999], (300, 1)))


def test_jitter_that_looks_like_gaps_does_not_stretch_the_recording(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    late = np.repeat(rng.uniform(0, 0.04, 500) * (rng.uniform(size=500) < 0.1), 12)  # packets of 12
    with Recorder(tmp_path) as recorder:
        feed(recorder, np.arange(6000) / RATE + late, np.zeros((6000, 4)))
        assert recorder.samples == pytest.approx(6000, abs=12)


def test_markers_stand_at_their_samples_even_when_they_come_first_or_late(tmp_path: Path) -> None:
    index = np.concatenate([np.arange(0, 1000), np.arange(1300, 2000)])
    with Recorder(tmp_path) as recorder:
        recorder.mark(START, "nobody records yet")
        feed(recorder, index[:500] / RATE, np.zeros((500, 4)))
        recorder.mark(START + 1500 / RATE, "ahead of its sample")
        recorder.mark(START + 100 / RATE, "late")
        recorder.mark(START - 1.0, "before the first sample")
        feed(recorder, index[500:] / RATE, np.zeros((1200, 4)))
        recorder.mark(START + 60.0, "its sample never came")
    assert annotations(opened(tmp_path, "eeg")) == [
        ("Comment/late", 100, 1),
        ("Bad Interval/gap", 1000, 300),
        ("Comment/ahead of its sample", 1500, 1),
    ]


def test_other_channels_begin_new_files(tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        feed(recorder, np.arange(300) / RATE, np.zeros((300, 4)))
        feed(recorder, 2 + np.arange(300) / RATE, np.ones((300, 1)), StreamFormat("Band", RATE, ("Cz",)))
    assert opened(tmp_path, "eeg").n_times == 300
    assert opened(tmp_path, "eeg-2").ch_names == ["Cz"]
    session = json.loads((tmp_path / "session.json").read_text())
    assert [entry["eeg"] for entry in session["files"]] == ["eeg.vhdr", "eeg-2.vhdr"]


def test_a_stream_that_changes_its_rate_begins_new_files(tmp_path: Path) -> None:
    times = np.concatenate([np.arange(2560) / RATE, 10 + np.arange(5000) / 500])
    with Recorder(tmp_path) as recorder:
        feed(recorder, times, np.zeros((len(times), 4)))
    assert opened(tmp_path, "eeg").info["sfreq"] == RATE
    assert opened(tmp_path, "eeg-2").info["sfreq"] == 500


def test_a_gap_of_hours_begins_new_files_instead_of_filling_the_disk(tmp_path: Path) -> None:
    times = np.concatenate([np.arange(300) / RATE, 2 * MAX_FILL_S + np.arange(300) / RATE])
    with Recorder(tmp_path) as recorder:
        feed(recorder, times, np.zeros((600, 4)))
    assert [opened(tmp_path, name).n_times for name in ("eeg", "eeg-2")] == [300, 300]


def test_irregular_samples_are_recorded_on_an_even_grid(tmp_path: Path) -> None:
    times = np.sort(np.arange(2000) / 200 + np.random.default_rng(0).uniform(0, 0.002, 2000))
    with Recorder(tmp_path) as recorder:
        feed(recorder, times, np.sin(2 * np.pi * times)[:, None], StreamFormat("Odd", 0.0, ("Cz",)))
    raw = opened(tmp_path, "eeg")
    assert raw.info["sfreq"] == pytest.approx(200, rel=0.01)
    np.testing.assert_allclose(raw.get_data()[0] * 1e6, np.sin(2 * np.pi * (times[0] + raw.times)), atol=0.02)


def test_features_have_a_channel_each_and_are_nan_where_absent(tmp_path: Path) -> None:
    with Recorder(tmp_path, epoch=1000.0) as recorder:
        recorder.note(PERFORMER, [frame(1500.0, {"alpha": 0.5, "beta": 0.25}), frame(1500.1, {"alpha": 0.75})])
        recorder.note(PERFORMER, [frame(1500.4, {}, (Event("jaw", 500.1, "89 µV"),)), frame(1500.4, {"alpha": 9.0})])
    raw = opened(tmp_path, "features")
    assert raw.info["sfreq"] == 10 and set(possible_features(PERFORMER)) <= set(raw.ch_names)
    np.testing.assert_array_equal(raw.get_data(["alpha"])[0], [0.5, 0.75, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(raw.get_data(["beta"])[0], [0.25, np.nan, np.nan, np.nan, np.nan])
    assert annotations(raw) == [("Comment/jaw: 89 µV", 1, 1), ("Bad Interval/no frames", 2, 2)]


def test_a_feature_that_nobody_expected_begins_new_files(tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        recorder.note(PERFORMER, [frame(1500.0, {"alpha": 0.5}), frame(1500.1, {"alpha": 0.5, "surprise": 1.0})])
    assert "surprise" not in opened(tmp_path, "features").ch_names
    assert opened(tmp_path, "features-2").get_data(["surprise"]).tolist() == [[1.0]]


def test_a_folder_with_a_recording_is_left_alone(tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        feed(recorder, np.arange(300) / RATE, np.zeros((300, 4)))
    with pytest.raises(AlphaloomError, match="another folder") as caught:
        Recorder(tmp_path)
    assert caught.value.code == "folder_in_use"


# -- as a process -------------------------------------------------------------------------------------------


def record(programs, folder: Path, stream: str, *options: str) -> None:
    programs.start("record", [sys.executable, "-m", "signals", "record", "--out", folder, "--name", stream, *options])
    programs.await_line("record", "recording", 60)


def await_samples(folder: Path, count: int) -> None:
    """Until the recorder has written so many samples of four channels."""
    for _ in processes.until(60):
        if (folder / "eeg.eeg").exists() and (folder / "eeg.eeg").stat().st_size >= 16 * count:
            return
    raise AssertionError("the recorder writes nothing")


def as_played(raw: mne.io.Raw, seed: int, state: str) -> np.ndarray:
    """The samples that were played, from the first that was recorded on."""
    data = raw.get_data().T * 1e6
    played = SyntheticEEG(seed, state).read(int(120 * RATE))
    first = next(n for n in range(len(played)) if np.allclose(played[n], data[0], atol=1e-3))
    return played[first : first + len(data)]


def test_a_live_stream_is_recorded_whole_until_ctrl_c(programs, stream_name: str, tmp_path: Path) -> None:
    programs.synth(stream_name, "--state", "relaxed", "--seed", "7")
    record(programs, tmp_path / "out", stream_name)
    await_samples(tmp_path / "out", 1000)
    programs.end("record")
    raw = opened(tmp_path / "out", "eeg")
    np.testing.assert_allclose(raw.get_data().T * 1e6, as_played(raw, 7, "relaxed"), atol=1e-3)
    assert annotations(raw) == []
    alpha = opened(tmp_path / "out", "features").get_data(["alpha"])[0]
    assert len(alpha) > 5 and ((alpha > 0) & (alpha < 1)).all()
    session = json.loads((tmp_path / "out" / "session.json").read_text())
    assert session["files"][0]["name"] == stream_name and session["files"][0]["unit"] == "microvolts"


def test_a_recorder_that_was_killed_leaves_what_it_heard(programs, stream_name: str, tmp_path: Path) -> None:
    programs.synth(stream_name, "--state", "relaxed", "--seed", "7")
    record(programs, tmp_path / "out", stream_name)
    await_samples(tmp_path / "out", 1000)
    programs.kill("record")
    raw = opened(tmp_path / "out", "eeg")
    assert raw.n_times >= 1000
    np.testing.assert_allclose(raw.get_data().T * 1e6, as_played(raw, 7, "relaxed"), atol=1e-3)
    assert opened(tmp_path / "out", "features").n_times >= 1
    assert json.loads((tmp_path / "out" / "session.json").read_text())["files"]


def test_gaps_and_markers_of_a_replayed_recording_come_back(programs, stream_name: str, tmp_path: Path) -> None:
    index = np.concatenate([np.arange(0, 2000), np.arange(2256, 4000)])
    rows = [f"{n / RATE:.6f},{n % 50},1,2,{-(n % 50)},{5 if n == 1024 else 0}" for n in index]
    (tmp_path / "in.csv").write_text("\n".join(["timestamps,TP9,AF7,AF8,TP10,Marker0", *rows]))
    programs.replay(stream_name, tmp_path / "in.csv", "--speed", "6", "--wait", "--loop")
    record(programs, tmp_path / "out", stream_name, "--markers", f"{stream_name}-markers")
    await_samples(tmp_path / "out", 7000)
    programs.end("record")
    raw = opened(tmp_path / "out", "eeg")
    found = annotations(raw)
    assert ("Bad Interval/gap", 2000, 256) in found
    assert [(text, start % 4000) for text, start, _ in found if text.startswith("Comment")][:1] == [("Comment/5", 1024)]
    data = raw.get_data()[0] * 1e6
    np.testing.assert_allclose(data[2256:4000], np.arange(2256, 4000) % 50, atol=1e-4)
    again = Recording(tmp_path / "out" / "eeg.vhdr")
    times = np.concatenate([times for times, _ in again.chunks()])
    np.testing.assert_allclose(times[: len(index)], index / RATE, atol=1e-6)
    assert any(text == "Comment/5" for _, text in again.markers)


def test_a_recording_ends_by_itself_after_its_seconds(programs, stream_name: str, tmp_path: Path) -> None:
    programs.synth(stream_name)
    record(programs, tmp_path / "out", stream_name, "--seconds", "1")
    programs.await_line("record", "samples in", 60)
    with pytest.raises(processes.ChildError, match=r"ended \(0\)"):
        programs.await_line("record", "no such line", 60)
    assert opened(tmp_path / "out", "eeg").n_times >= 250


def test_a_stream_that_was_lost_is_recorded_on_when_it_comes_back(programs, stream_name: str, tmp_path: Path) -> None:
    programs.synth(stream_name, "--state", "relaxed")
    record(programs, tmp_path / "out", stream_name)
    await_samples(tmp_path / "out", 600)
    programs.kill("synth")
    before = (tmp_path / "out" / "eeg.eeg").stat().st_size // 16
    programs.await_line("record", "is gone", 60)
    programs.synth(stream_name, "--state", "relaxed")
    programs.await_line("record", "is back", 60)
    await_samples(tmp_path / "out", before + 1200)
    programs.end("record")
    (gap,) = [a for a in annotations(opened(tmp_path / "out", "eeg")) if a[0] == "Bad Interval/gap"]
    assert gap[1] >= 600 and gap[2] > 10
