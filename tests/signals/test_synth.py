import numpy as np
import pytest
from scipy.signal import welch

from signals.features import relative_band_powers
from signals.synth import RATE, STATES, SyntheticEEG


def test_the_same_seed_gives_the_same_samples_however_they_are_asked_for() -> None:
    whole = SyntheticEEG(3).read(2000)
    eeg = SyntheticEEG(3)
    pieces = np.concatenate([eeg.read(n) for n in (1, 7, 600, 92, 1300)])
    np.testing.assert_allclose(pieces, whole, atol=1e-9)


def test_another_seed_gives_other_samples() -> None:
    assert not np.allclose(SyntheticEEG(3).read(100), SyntheticEEG(4).read(100))


def test_amplitudes_are_those_of_real_eeg() -> None:
    rms = SyntheticEEG(0, "relaxed").read(int(60 * RATE)).std(axis=0)
    assert (rms > 8).all() and (rms < 60).all()


def test_the_background_falls_with_frequency() -> None:
    hz, power = welch(SyntheticEEG(1, "aroused").read(int(120 * RATE))[:, 0], RATE, nperseg=1024)
    low, high = (power[(hz > a) & (hz < b)].mean() for a, b in ((2, 4), (60, 100)))
    assert low > 5 * high


def test_mains_hum_is_there() -> None:
    hz, power = welch(SyntheticEEG(1).read(int(60 * RATE))[:, 0], RATE, nperseg=1024)
    assert hz[np.argmax(power * (hz > 40))] == pytest.approx(50, abs=0.5)


def test_blinks_show_at_the_forehead_and_hardly_behind_the_ears() -> None:
    peaks = SyntheticEEG(2, "aroused").read(int(60 * RATE)).max(axis=0)
    assert peaks[1] > 75 and peaks[1] > 1.5 * peaks[0]


def test_relaxed_has_more_alpha_and_less_beta_than_aroused() -> None:
    powers = {s: relative_band_powers(SyntheticEEG(0, s).read(int(30 * RATE)), RATE) for s in STATES}
    assert powers["relaxed"]["alpha"] > 2 * powers["aroused"]["alpha"]
    assert powers["aroused"]["beta"] > 2 * powers["relaxed"]["beta"]


def test_drifting_alpha_comes_and_goes() -> None:
    eeg = SyntheticEEG(0, "drifting").read(int(24 * RATE))
    quarter = int(6 * RATE)
    start, middle = (relative_band_powers(eeg[n : n + quarter], RATE)["alpha"] for n in (0, int(9 * RATE)))
    assert middle > 2 * start
