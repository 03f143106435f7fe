from pathlib import Path

import mne
import numpy as np
import pytest

from protocol.errors import AlphaloomError
from signals.lsl import Inlet
from signals.replay import Recording
from signals.synth import CHANNELS, RATE, SyntheticEEG


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Ten seconds of EEG and one other channel, as a FIF file in volts."""
    info = mne.create_info([*CHANNELS, "STI"], RATE, ["eeg"] * 4 + ["stim"])
    samples = SyntheticEEG(5).read(int(10 * RATE)).T * 1e-6
    path = tmp_path / "ten_raw.fif"
    mne.io.RawArray(np.vstack([samples, np.zeros(samples.shape[1])]), info, verbose="error").save(path, verbose="error")
    return path


def test_a_recording_comes_back_in_microvolts_without_its_other_channels(recording: Path) -> None:
    found = Recording(recording)
    samples = np.concatenate(list(found.chunks()))
    assert found.format.channels == CHANNELS
    np.testing.assert_allclose(samples, SyntheticEEG(5).read(int(10 * RATE)), atol=1e-3)


def test_a_looped_recording_starts_again(recording: Path) -> None:
    chunks = Recording(recording).chunks(loop=True)
    first = next(chunks)
    for chunk in chunks:
        if np.array_equal(chunk, first):
            return


def test_replay_streams_at_speed(recording: Path, programs, stream_name: str) -> None:
    programs.replay(stream_name, recording, "--speed", "4", "--loop")
    inlet = Inlet(stream_name, timeout=20)
    assert inlet.format.channels == CHANNELS
    inlet.pull(1)
    times = np.concatenate([inlet.pull(0.5)[1] for _ in range(8)])
    assert np.median(np.diff(times)) == pytest.approx(1 / RATE / 4, rel=0.1)
    inlet.close()


@pytest.mark.parametrize("content", [None, b"this is no EEG"])
def test_an_unreadable_recording_says_so(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.edf"
    if content:
        path.write_bytes(content)
    with pytest.raises(AlphaloomError, match=r"broken\.edf") as caught:
        Recording(path)
    assert caught.value.code == "unreadable_recording"


def test_a_recording_without_eeg_says_so(tmp_path: Path) -> None:
    path = tmp_path / "other_raw.fif"
    mne.io.RawArray(np.zeros((1, 500)), mne.create_info(["x"], 100.0, "misc"), verbose="error").save(path, verbose="error")
    with pytest.raises(AlphaloomError, match="other_raw"):
        Recording(path)
