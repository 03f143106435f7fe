"""Against MNE-Python's reader."""

import sys
from pathlib import Path

import mne
import numpy as np
import pytest

from signals.brainvision import BrainVisionWriter

STARTED = 1_790_000_000.25


def writer(
    folder: Path, channels: tuple[str, ...] = ("TP9", "AF7"), units: tuple[str, ...] = ("µV", "µV"), rate: float = 256.0
):
    return BrainVisionWriter(folder / "eeg", channels, units, rate, STARTED)


def opened(folder: Path, name: str = "eeg") -> mne.io.Raw:
    return mne.io.read_raw_brainvision(folder / f"{name}.vhdr", preload=True, verbose="error")


def annotations(raw: mne.io.Raw) -> list[tuple[str, int, int]]:
    """Description, first sample and length of what was marked."""
    rate = raw.info["sfreq"]
    found = [(a["description"], round(a["onset"] * rate), round(a["duration"] * rate)) for a in raw.annotations]
    return [a for a in found if not a[0].startswith("New Segment")]


def test_samples_names_rate_and_date_come_back(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(0, 30, (500, 2))
    with writer(tmp_path) as file:
        file.write(values[:100])
        file.write(values[100:])
        assert file.count == 500
    raw = opened(tmp_path)
    assert raw.ch_names == ["TP9", "AF7"] and raw.info["sfreq"] == 256 and raw.get_channel_types() == ["eeg", "eeg"]
    np.testing.assert_allclose(raw.get_data().T * 1e6, values, rtol=1e-6)
    assert raw.info["meas_date"].timestamp() == STARTED


def test_a_filling_holds_the_last_value_and_is_an_annotation_that_mne_rejects(tmp_path: Path) -> None:
    with writer(tmp_path) as file:
        file.write(np.array([[1.0, 2.0], [3.0, 4.0]]))
        file.fill(70000, "gap")
        file.write(np.array([[5.0, 6.0]]))
    raw = opened(tmp_path)
    assert (raw.n_times, annotations(raw)) == (70003, [("Bad Interval/gap", 2, 70000)])
    np.testing.assert_allclose(raw.get_data()[:, [2, 70001, 70002]] * 1e6, [[3, 3, 5], [4, 4, 6]], rtol=1e-6)
    assert raw.get_data(reject_by_annotation="omit").shape == (2, 3)


def test_markers_keep_their_text_and_sample(tmp_path: Path) -> None:
    with writer(tmp_path) as file:
        file.write(np.zeros((100, 2)))
        file.mark(10, "eyes closed, at last\nÄ", "Stimulus")
        file.mark(99, "")
    assert annotations(opened(tmp_path)) == [("Stimulus/eyes closed, at last Ä", 10, 1), ("Comment/", 99, 1)]


def test_numbers_without_a_unit_keep_their_values_and_absent_ones_are_nan(tmp_path: Path) -> None:
    with writer(tmp_path, ("alpha", "log_alpha.frontal"), ("n/a", "n/a"), 10.0) as file:
        file.write(np.array([[0.5, np.nan], [0.25, -2.0]]))
    raw = opened(tmp_path)
    assert raw.get_channel_types() == ["misc", "misc"] and raw.info["sfreq"] == 10
    np.testing.assert_array_equal(raw.get_data(), [[0.5, 0.25], [np.nan, -2.0]])


def test_a_recording_is_never_written_over(tmp_path: Path) -> None:
    writer(tmp_path).close()
    with pytest.raises(FileExistsError):
        writer(tmp_path)


def test_a_writer_that_was_killed_leaves_all_that_it_was_given(tmp_path: Path, programs) -> None:
    script = (
        "import itertools, numpy as np\n"
        "from pathlib import Path\n"
        "from signals.brainvision import BrainVisionWriter\n"
        f"file = BrainVisionWriter(Path({str(tmp_path)!r}) / 'eeg', ['Cz', 'Oz'], ['µV', 'µV'], 250.0, 0.0)\n"
        "for n in itertools.count():\n"
        "    file.write(np.full((16, 2), float(n)))\n"
        "    file.mark(16 * n, f'chunk {n}')\n"
        "    if n == 50: print('written', flush=True)\n"
    )
    programs.start("writer", [sys.executable, "-c", script])
    programs.await_line("writer", "written", 60)
    programs.kill("writer")
    raw = opened(tmp_path)
    assert raw.n_times >= 51 * 16
    np.testing.assert_allclose(raw.get_data()[0] * 1e6, np.arange(raw.n_times) // 16, rtol=1e-5)
    assert ("Comment/chunk 50", 800, 1) in annotations(raw)
