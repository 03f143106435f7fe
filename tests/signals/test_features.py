import numpy as np
import pytest

from signals.features import Averages, Layout, asymmetries, emg_bins

MUSE = ("TP9", "AF7", "AF8", "TP10")
GOOD = np.ones(4)
STILL = np.zeros(4, bool)


EMG = np.full(4, 0.5)


def powers(seed: int = 0) -> np.ndarray:
    """(4 channels, 5 bands) in µV²."""
    return np.random.default_rng(seed).uniform(1, 50, (4, 5))


def alpha(of: np.ndarray) -> np.ndarray:
    return np.log10(of[:, 2])


def test_a_muse_has_no_posterior_sites_and_says_so() -> None:
    layout = Layout.of(MUSE, 256.0)
    assert set(layout.missing) == {"calm"} and "occipital" in layout.missing["calm"]
    assert list(layout.pairs) == ["asymmetry.AF8/AF7"]
    assert list(layout.groups) == ["", ".frontal", ".temporal"]


def test_what_a_headset_cannot_give_has_a_reason() -> None:
    missing = Layout.of(("Oz", "Pz", "Cz"), 128.0).missing
    assert set(missing) == {"asymmetry", "blink", "emg"} and "170 Hz" in missing["emg"]
    assert "regions" in Layout.of(("ch1", "ch2"), 256.0).missing


def test_channels_that_are_no_sites_do_not_count_beside_those_that_are() -> None:
    assert Layout.of((*MUSE, "Right AUX"), 256.0).groups[""].tolist() == [True] * 4 + [False]
    assert Layout.of(("a", "b"), 256.0).groups[""].all()


def averages(channels: tuple[str, ...] = MUSE) -> Averages:
    return Averages(Layout.of(channels, 256.0), 10.0)


def test_shares_are_parts_of_the_whole_and_engage_is_its_formula() -> None:
    found = averages(("Cz",)).push(np.array([[4.0, 2.0, 8.0, 5.0, 1.0]]), np.array([0.5]), np.ones(1), np.zeros(1, bool))
    shares = [found[k][0] for k in ("delta", "theta", "alpha", "beta", "gamma")]
    assert shares == pytest.approx([0.2, 0.1, 0.4, 0.25, 0.05])
    assert found["engage"][0] == pytest.approx(np.log(5 / 10))
    assert found["log_alpha"][0] == pytest.approx(np.log10(8)) and found["emg"][0] == pytest.approx(np.log10(0.5))


def test_averages_are_over_the_channels_of_each_group() -> None:
    p = powers()
    found = averages().push(p, EMG, GOOD, STILL)
    assert found["log_alpha"] == (pytest.approx(alpha(p).mean(), rel=1e-12), 1.0)
    assert found["log_alpha.frontal"][0] == pytest.approx(alpha(p)[1:3].mean())
    assert "emg.frontal" not in found


def test_a_channel_that_drops_out_does_not_move_an_average() -> None:
    one, p = averages(), powers()
    before = one.push(p, EMG, GOOD, STILL)
    broken = p.copy()
    broken[3] = 1e5
    after = one.push(broken, EMG, np.array([1, 1, 1, 0.1]), STILL)
    for name in ("log_alpha", "alpha", "engage", "log_beta.temporal"):
        assert after[name][0] == pytest.approx(before[name][0])
    assert after["log_alpha"][1] == pytest.approx(0.75)


def test_what_the_other_channels_do_is_followed_without_the_missing_one() -> None:
    one, p = averages(), powers()
    before = one.push(p, EMG, GOOD, STILL)["log_alpha"][0]
    assert one.push(p * 10, EMG, np.array([1, 1, 1, 0.0]), STILL)["log_alpha"][0] == pytest.approx(before + 1)


def test_a_missing_channel_is_filled_by_its_own_measure_as_its_neighbours_move() -> None:
    one, rng, p = averages(), np.random.default_rng(0), powers()
    reach = np.array([2.0, 1.0, 1.0, 6.0])[:, None]  # TP10 goes three times as far as TP9
    for swing in rng.normal(0, 0.1, 600):
        one.push(p * 10 ** (swing * reach), EMG, GOOD, STILL)
    moved = p * 10 ** (0.1 * reach)
    found = one.push(moved, EMG, np.array([1, 1, 1, 0.0]), STILL)["log_alpha"][0]
    assert found == pytest.approx(alpha(moved).mean(), abs=0.03)


def test_a_channel_that_never_was_good_has_no_say() -> None:
    poor, twin = averages(), averages()
    quality = np.array([1, 1, 1, 0.2])
    for seed in range(5):
        other = powers(seed)
        other[3] = 1e6
        assert poor.push(powers(seed), EMG, quality, STILL) == twin.push(other, EMG, quality, STILL)


def test_with_no_good_channel_there_is_no_feature() -> None:
    assert averages().push(powers(), EMG, np.full(4, 0.4), STILL) == {}


def test_blinks_take_delta_away_and_leave_the_other_shares_as_they_were() -> None:
    one, p = averages(), np.tile([10.0, 5, 20, 8, 2], (4, 1))
    before = one.push(p, EMG, GOOD, STILL)
    eyes = np.array([False, True, True, False])
    blinking = p.copy()
    blinking[:, 0] = 900
    after = one.push(blinking, EMG, GOOD, eyes)
    for name in ("alpha", "beta", "engage"):
        assert after[name] == (pytest.approx(before[name][0]), 1.0)
    assert "log_delta" not in after and "log_delta.temporal" not in after
    assert after["log_theta"][1] == pytest.approx(0.5) and "log_theta.frontal" not in after


def test_asymmetry_is_right_over_left_and_needs_both() -> None:
    layout = Layout.of(MUSE, 256.0)
    found_alpha = np.array([1.0, 2.0, 6.0, 1.0])
    name, found = next(iter(asymmetries(layout, found_alpha, GOOD).items()))
    assert name == "asymmetry.AF8/AF7" and found[0] == pytest.approx(np.log(3))
    assert asymmetries(layout, found_alpha, np.array([1, 1, 0.3, 1])) == {}


def test_emg_is_measured_away_from_the_mains() -> None:
    hz = np.arange(0, 128.5, 0.5)
    bins = hz[emg_bins(hz, 256.0)]
    assert bins.min() == 65 and bins.max() < 120 and not ((bins > 98.5) & (bins < 101.5)).any()
