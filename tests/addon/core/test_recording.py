"""Recorded features, read back and brought to a scene's frames."""

from pathlib import Path

import numpy as np
import pytest

from addon.core import recording
from addon.core.shared import errors
from signals.brainvision import BrainVisionWriter


def written(folder: Path, values: np.ndarray, rate: float = 20.0) -> Path:
    folder.mkdir(exist_ok=True)
    with BrainVisionWriter(folder / "features", ["alpha", "log_alpha, left"], ["n/a"] * 2, rate, 0.0) as writer:
        writer.write(values)
    return folder


def test_what_the_recorder_wrote_is_read(tmp_path: Path) -> None:
    values = np.array([[0.5, 1], [0.25, np.nan], [0, 3]])
    for path in (written(tmp_path / "one", values), tmp_path / "one" / "features.vhdr"):
        found = recording.read(path)
        assert (found.rate, found.names) == (20, ("alpha", "log_alpha, left"))
        np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found.feature("alpha"), [0.5, 0.25, 0])
    with pytest.raises(errors.AlphaloomError, match="no feature 'beta'; it has alpha") as caught:
        found.feature("beta")
    assert caught.value.code == "no_feature"


@pytest.mark.parametrize("content", [None, "", "no header", "[Common Infos]\nNumberOfChannels=x\n"])
def test_what_is_no_recording_is_said_with_its_name(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "features.vhdr").write_text(content)
    with pytest.raises(errors.AlphaloomError, match="signals record") as caught:
        recording.read(tmp_path)
    assert caught.value.code == "bad_recording" and str(tmp_path) in caught.value.message


def test_a_recording_that_was_cut_off_in_a_row_has_the_rows_before(tmp_path: Path) -> None:
    folder = written(tmp_path / "one", np.ones((5, 2)))
    data = (folder / "features.eeg").read_bytes()
    (folder / "features.eeg").write_bytes(data[:-3])
    assert recording.read(folder).values.shape == (4, 2)
    (folder / "features.eeg").write_bytes(data[:9])
    with pytest.raises(errors.AlphaloomError, match="1 rows"):
        recording.read(folder)


def test_a_recording_without_a_rate_is_no_recording(tmp_path: Path) -> None:
    header = written(tmp_path / "one", np.ones((5, 2))) / "features.vhdr"
    text = header.read_text(encoding="utf-8")
    rate = next(line for line in text.splitlines() if line.startswith("SamplingInterval"))
    header.write_text(text.replace(rate, "SamplingInterval=0"), encoding="utf-8")
    with pytest.raises(errors.AlphaloomError, match="signals record"):
        recording.read(tmp_path / "one")


@pytest.mark.parametrize("rate", [10.0, 20.0, 24.0, 60.0, 250.0])
@pytest.mark.parametrize("fps", [24.0, 23.976, 60.0])
def test_a_sine_is_itself_at_every_frame(rate: float, fps: float) -> None:
    values = np.sin(2 * np.pi * np.arange(int(10 * rate)) / rate)
    found = recording.at_frames(values, rate, fps)
    times = np.arange(len(found)) / fps
    assert times[-1] > 9.8
    off = np.abs(found - np.sin(2 * np.pi * times))[2:-2]
    assert off.max() < (0.01 if rate >= 20 else 0.03)


def test_what_is_faster_than_frames_does_not_fold_over() -> None:
    fast = np.sin(2 * np.pi * 25 * np.arange(2500) / 250)  # taken as it is, 24 frames a second would show it at 1 Hz
    assert np.abs(recording.at_frames(fast, 250, 24))[1:-1].max() < 0.1


def test_a_gap_stays_a_gap_and_harms_nothing_beside_it() -> None:
    values = np.array([0, 1, 2, np.nan, np.nan, 5, 6, 7], float)
    found = recording.at_frames(values, 10, 20)
    np.testing.assert_allclose(found[[0, 1, 2, 3, 4, 10, 11, 12, 14]], [0, 0.5, 1, 1.5, 2, 5, 5.5, 6, 7])
    assert np.isnan(found[5:10]).all()
