import itertools

import numpy as np
import pytest

from signals.features import BANDS, BandPowers, relative_band_powers

RATE = 256.0


def sine(hz: float, seconds: float = 2.0, channels: int = 2, rate: float = RATE) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return np.repeat(np.sin(2 * np.pi * hz * time)[:, None], channels, axis=1)


@pytest.mark.parametrize(("hz", "band"), [(2.5, "delta"), (6, "theta"), (10, "alpha"), (20, "beta"), (38, "gamma")])
@pytest.mark.parametrize("rate", [128.0, 250.0, 256.0, 1000.0])
def test_a_sine_is_found_in_its_band(hz: float, band: str, rate: float) -> None:
    powers = relative_band_powers(sine(hz, rate=rate), rate)
    assert powers[band] > 0.97
    assert sum(powers.values()) == pytest.approx(1)


def test_shares_follow_power_not_amplitude() -> None:
    powers = relative_band_powers(2 * sine(10) + sine(20), RATE)
    assert powers["alpha"] == pytest.approx(0.8, abs=0.01)
    assert powers["beta"] == pytest.approx(0.2, abs=0.01)


def test_an_offset_and_mains_hum_count_for_nothing() -> None:
    assert relative_band_powers(sine(10) + 1e4 + 50 * sine(50), RATE)["alpha"] == pytest.approx(1, abs=0.02)


def test_flat_and_broken_channels_are_left_out() -> None:
    window = sine(10, channels=3)
    window[:, 1] = 0
    window[5, 2] = np.nan
    assert relative_band_powers(window, RATE)["alpha"] > 0.97
    assert relative_band_powers(window[:, 1:], RATE) == {}


def test_ten_updates_a_second_after_the_first_window() -> None:
    done = BandPowers(RATE, 2).push(sine(10, seconds=5))
    assert len(done) == pytest.approx(31, abs=1)
    assert set(done[0]) == set(BANDS)


def test_results_do_not_depend_on_how_samples_are_cut() -> None:
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((2000, 3))
    whole = BandPowers(RATE, 3).push(signal)
    cut = BandPowers(RATE, 3)
    edges = [0, 1, 2, 30, 31, 700, 701, 1999, 2000]
    pieces = [f for a, b in itertools.pairwise(edges) for f in cut.push(signal[a:b])]
    assert pieces == whole
