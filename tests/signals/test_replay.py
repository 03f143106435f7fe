"""`python -m signals replay` and `synth` as processes, heard over LSL."""

import os
import sys
from pathlib import Path

import mne
import numpy as np
import processes
import pylsl
import pytest

from signals.recordings import Recording
from signals.synth import CHANNELS, RATE, SyntheticEEG

ROOT = Path(__file__).parents[2]
MUSE = Path(os.environ.get("ALPHALOOM_TEST_DATA", ROOT.parent / "shared/data")) / "muse"
needs_muse = pytest.mark.skipif(not MUSE.exists(), reason="the Muse recordings are not there (../shared/data/muse)")


class Heard:
    """What an inlet hears of a stream until `count` samples came."""

    def __init__(self, name: str, count: int):
        inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", name, timeout=30)[0])
        self.info = inlet.info(timeout=30)
        values, times = [], []
        while sum(map(len, times)) < count:
            chunk, stamps = inlet.pull_chunk(timeout=30, max_samples=4096, min_samples=1)
            assert len(stamps), f"{name} fell silent after {sum(map(len, times))} samples"
            values.append(np.array(chunk))
            times.append(np.array(stamps))
        self.values, self.times = np.concatenate(values)[:count], np.concatenate(times)[:count]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Ten seconds of EEG with a marker, as a FIF file in volts."""
    raw = mne.io.RawArray(
        SyntheticEEG(5).read(int(10 * RATE)).T * 1e-6, mne.create_info(CHANNELS, RATE, "eeg"), verbose="error"
    )
    raw.set_annotations(mne.Annotations([0.5], [0], ["eyes closed"]))
    path = tmp_path / "ten_raw.fif"
    raw.save(path, verbose="error")
    return path


def test_a_recording_is_heard_from_its_first_sample_on(recording: Path, programs, stream_name: str) -> None:
    programs.replay(stream_name, recording, "--speed", "8", "--wait", "--loop")
    heard = Heard(stream_name, 2600)
    once = SyntheticEEG(5).read(2560)
    np.testing.assert_allclose(heard.values, np.concatenate([once, once[:40]]), atol=1e-3)
    np.testing.assert_allclose(np.diff(heard.times), 1 / RATE, atol=1e-6)
    assert heard.info.get_channel_labels() == list(CHANNELS)


def test_markers_of_a_recording_are_a_stream_of_their_own(recording: Path, programs, stream_name: str) -> None:
    programs.replay(stream_name, recording, "--loop", "--speed", "8")
    inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", stream_name + "-markers", timeout=30)[0])
    assert inlet.pull_sample(timeout=30)[0] == ["eyes closed"]


@needs_muse
def test_the_gaps_of_a_real_recording_are_heard_as_they_were(programs, stream_name: str) -> None:
    whole = np.concatenate([times for times, _ in Recording(MUSE / "gaps.csv").chunks()])
    programs.replay(stream_name, MUSE / "gaps.csv", "--speed", "6", "--wait")
    heard = Heard(stream_name, len(whole))
    np.testing.assert_allclose(heard.times - heard.times[0], whole, atol=1e-4)
    assert np.count_nonzero(np.diff(heard.times) > 0.03) == 3


def test_a_cut_recording_plays_and_says_so(tmp_path: Path, programs, stream_name: str) -> None:
    path = tmp_path / "cut.csv"
    lines = [f"{n / 256:.4f},1,2,3,4" for n in range(512)]
    path.write_text("\n".join(["timestamps,TP9,AF7,AF8,TP10", *lines, "2.0000,1,2"]))
    programs.replay(stream_name, path, "--loop")
    assert "cut short" in programs.await_line("replay", str(path), 20)
    assert len(Heard(stream_name, 100).values) == 100


def test_synth_speaks_in_other_units_channels_and_rates(programs, stream_name: str) -> None:
    programs.synth(stream_name, "--channels", "Fz,O1", "--rate", "500", "--unit", "volts", "--state", "relaxed", "--wait")
    heard = Heard(stream_name, 200)
    assert heard.info.nominal_srate() == 500 and heard.info.get_channel_units() == ["volts", "volts"]
    np.testing.assert_allclose(
        heard.values * 1e6, SyntheticEEG(0, "relaxed", ("Fz", "O1"), 500.0).read(200), rtol=1e-4, atol=1e-4
    )


def test_a_schedule_is_heard_with_its_gap_and_then_the_program_ends(programs, stream_name: str) -> None:
    programs.start(
        "synth",
        [
            sys.executable,
            "-m",
            "signals",
            "synth",
            "--name",
            stream_name,
            "--schedule",
            "relaxed:0.5,gap:0.4,jaw:0.5",
            "--wait",
        ],
    )
    heard = Heard(stream_name, 150)
    assert np.diff(heard.times).max() == pytest.approx(0.4 + 1 / RATE, abs=0.005)
    with pytest.raises(processes.ChildError, match=r"ended \(0\)"):
        programs.await_line("synth", "no such line", 60)
