import numpy as np
import pytest
from scipy.signal import welch

from protocol.errors import AlphaloomError
from signals.synth import CHANNELS, RATE, STATES, SyntheticEEG, parse_schedule

SECOND = int(RATE)


def rms(values: np.ndarray) -> np.ndarray:
    return np.sqrt((values**2).mean(axis=0))


def power(values: np.ndarray, low: float, high: float, rate: float = RATE) -> np.ndarray:
    """Mean power between two frequencies, per channel."""
    hz, density = welch(values, rate, nperseg=min(len(values), int(4 * rate)), axis=0)
    return density[(hz >= low) & (hz < high)].mean(axis=0)


def artefact(state: str, seconds: int = 60, seed: int = 3) -> np.ndarray:
    """What a state has on top of the relaxed stream with the same seed."""
    return SyntheticEEG(seed, state).read(seconds * SECOND) - SyntheticEEG(seed, "relaxed").read(seconds * SECOND)


def test_the_same_seed_gives_the_same_samples_however_they_are_asked_for() -> None:
    for state in (*STATES, "blinks", "jaw", "loose-electrode", "relaxed:1,jaw:2,aroused:1,loose-electrode:2,drifting:3"):
        whole = SyntheticEEG(3, state).read(2000)
        eeg = SyntheticEEG(3, state)
        pieces = np.concatenate([eeg.read(n) for n in (1, 7, 600, 92, 1300)])
        np.testing.assert_allclose(pieces, whole, atol=1e-9)


def test_another_seed_gives_other_samples() -> None:
    assert not np.allclose(SyntheticEEG(3).read(100), SyntheticEEG(4).read(100))


@pytest.mark.parametrize(
    ("state", "sample"),
    [
        ("relaxed", [14.244215431106637, -5.263182907091558, 5.446250289681009, 2.3539977618882126]),
        ("aroused", [22.269732773869165, 1.2884783155636885, 11.997911512336255, 10.379515104650743]),
        ("drifting", [15.260274116908066, -3.9918084018554856, 6.71762479491708, 3.370056447689642]),
    ],
)
def test_a_seed_means_the_same_in_every_version(state: str, sample: list[float]) -> None:
    np.testing.assert_allclose(SyntheticEEG(3, state).read(4001)[4000], sample, rtol=1e-9)


def test_amplitudes_are_those_of_real_eeg() -> None:
    std = SyntheticEEG(0, "relaxed").read(60 * SECOND).std(axis=0)
    assert (std > 8).all() and (std < 60).all()


def test_the_background_falls_with_frequency() -> None:
    eeg = SyntheticEEG(1, "aroused").read(120 * SECOND)
    assert power(eeg, 2, 4)[0] > 5 * power(eeg, 60, 100)[0]


def test_mains_hum_is_there() -> None:
    hz, density = welch(SyntheticEEG(1).read(60 * SECOND)[:, 0], RATE, nperseg=1024)
    assert hz[np.argmax(density * (hz > 40))] == pytest.approx(50, abs=0.5)


def test_blinks_show_at_the_forehead_and_hardly_behind_the_ears() -> None:
    peaks = SyntheticEEG(2, "aroused").read(60 * SECOND).max(axis=0)
    assert peaks[1] > 75 and peaks[1] > 1.5 * peaks[0]


def test_relaxed_has_more_alpha_and_less_beta_than_aroused() -> None:
    relaxed, aroused = (SyntheticEEG(0, state).read(30 * SECOND) for state in ("relaxed", "aroused"))
    assert (power(relaxed, 8, 13) > 4 * power(aroused, 8, 13)).all()
    assert (power(aroused, 18, 22) > 2 * power(relaxed, 18, 22)).all()


def test_drifting_alpha_comes_and_goes() -> None:
    eeg = SyntheticEEG(0, "drifting").read(24 * SECOND)
    assert (power(eeg[9 * SECOND : 15 * SECOND], 8, 13) > 4 * power(eeg[: 6 * SECOND], 8, 13)).all()


def test_in_the_state_blinks_the_forehead_has_many_of_up_to_150_uv() -> None:
    blinks = artefact("blinks")
    forehead = blinks[:, 1]
    rises = np.flatnonzero((forehead[1:] >= 60) & (forehead[:-1] < 60))
    assert 25 <= len(rises) <= 50  # about one every 1.5 s
    assert 90 < forehead.max() <= 190  # two may overlap
    assert blinks[:, 0].max() < 0.2 * forehead.max()


def test_a_clench_is_broadband_and_strongest_at_the_temples() -> None:
    jaw = artefact("jaw")
    level = rms(jaw.reshape(-1, SECOND, 4).transpose(1, 0, 2))  # second by second
    clenched = level[5::6]
    assert (clenched[:, [0, 3]] > 40).all() and (clenched[:, [0, 3]] < 150).all()
    np.testing.assert_allclose(clenched[:, 1] / clenched[:, 0], 0.5, atol=0.2)
    assert (np.delete(level, np.arange(5, 60, 6), axis=0) < 1e-9).all()
    spectrum = [power(jaw, *band)[0] for band in ((2, 15), (25, 50), (50, 75), (75, 100))]
    assert max(spectrum[1:]) < 3 * min(spectrum[1:]) and spectrum[0] < 0.05 * spectrum[1]


def test_a_loose_electrode_hums_drifts_and_rustles_and_leaves_the_others_alone() -> None:
    loose = artefact("loose-electrode", 120)
    assert not loose[:, :3].any()
    spectrum = power(loose, 49.5, 50.75)[3], power(loose, 60, 120)[3], power(loose, 0.25, 0.6)[3]
    assert spectrum[0] > 10 * spectrum[1] and spectrum[2] > 10 * spectrum[1]
    assert 150 < rms(loose)[3] < 500


def test_a_gap_is_missing_samples_whose_times_jump() -> None:
    eeg, times, values = SyntheticEEG(3, "gap"), np.empty(0), np.empty((0, 4))
    for chunk_times, chunk_values in eeg.chunks(size=100):
        times, values = np.concatenate([times, chunk_times]), np.concatenate([values, chunk_values])
        if times[-1] > 25:
            break
    steps = np.diff(times)
    assert np.count_nonzero(steps > 1.5 / RATE) == 2
    np.testing.assert_allclose(steps[steps > 1.5 / RATE], 1.5 + 1 / RATE)
    index = np.round(times * RATE).astype(int)
    np.testing.assert_allclose(values, SyntheticEEG(3, "relaxed").read(index[-1] + 1)[index], atol=1e-9)


@pytest.mark.parametrize("state", ["blinks", "jaw", "loose-electrode"])
def test_a_schedule_has_the_same_eeg_outside_and_under_an_artefact_as_its_twin(state: str) -> None:
    with_it = SyntheticEEG(5, f"aroused:5,{state}:4,relaxed:5").read(14 * SECOND)
    twin = SyntheticEEG(5, "aroused:9,relaxed:5").read(14 * SECOND)
    above = with_it - twin
    assert not above[: 5 * SECOND].any() and not above[9 * SECOND :].any()
    assert (rms(above[5 * SECOND : 9 * SECOND]) > 5).any()


def test_in_a_schedule_a_clench_lasts_its_whole_time() -> None:
    jaw = SyntheticEEG(5, "relaxed:2,jaw:3").read(5 * SECOND) - SyntheticEEG(5, "relaxed").read(5 * SECOND)
    assert (rms(jaw[2 * SECOND :].reshape(6, -1, 4).transpose(1, 0, 2))[:, 0] > 30).all()


def test_a_schedule_goes_from_state_to_state_without_a_step_and_ends() -> None:
    eeg = SyntheticEEG(7, "relaxed:4,aroused:4")
    times, values = (np.concatenate(parts) for parts in zip(*eeg.chunks(), strict=True))
    assert len(times) == 8 * SECOND and eeg.duration == 8
    steps = np.abs(np.diff(values[:, 0]))
    assert steps[4 * SECOND - 1] < 3 * np.median(steps) + 5
    assert power(values[: 4 * SECOND], 8, 13)[0] > 3 * power(values[5 * SECOND :], 8, 13)[0]


def test_a_gap_in_a_schedule_is_as_long_as_it_says() -> None:
    times = np.concatenate([times for times, _ in SyntheticEEG(0, "relaxed:2,gap:0.5,relaxed:1").chunks()])
    assert len(times) == 3 * SECOND
    assert np.diff(times).max() == pytest.approx(0.5 + 1 / RATE)


@pytest.mark.parametrize("rate", [128.0, 250.0, 1000.0])
def test_other_headsets_see_alpha_behind_and_blinks_in_front(rate: float) -> None:
    channels = ("Fp1", "Fz", "C3", "P4", "O1", "O2")
    eeg = SyntheticEEG(2, "relaxed", channels, rate).read(int(60 * rate))
    alpha = power(eeg, 8, 13, rate)
    assert alpha[4] > 2 * alpha[1] and alpha[3] > alpha[2] > alpha[1]
    blinks = SyntheticEEG(2, "blinks", channels, rate).read(int(20 * rate)) - eeg[: int(20 * rate)]
    assert blinks[:, 0].max() > 90 > 10 * blinks[:, 5].max()
    assert (eeg.std(axis=0) > 10).all() and (eeg.std(axis=0) < 60).all()
    assert rms(SyntheticEEG(2, "relaxed:1,jaw:1", channels, rate).read(int(2 * rate))[int(rate) :]).max() > 25


def test_a_schedule_remembers_what_goes_on_under_an_artefact() -> None:
    assert [s.brain for s in parse_schedule("jaw:1,aroused:2, gap:1 ,blinks:1")] == ["relaxed", "aroused", "aroused", "aroused"]


@pytest.mark.parametrize(
    "text", ["", "asleep", "relaxed:20,asleep:2", "relaxed:20,jaw", "relaxed:-1", "relaxed:inf", "relaxed:x"]
)
def test_a_schedule_that_cannot_be_read_is_refused_with_the_part_that_is_wrong(text: str) -> None:
    with pytest.raises(AlphaloomError, match="States: relaxed") as caught:
        SyntheticEEG(0, text)
    assert caught.value.code == "bad_schedule"


@pytest.mark.parametrize("channels", [(), ("TP9", "nose"), ("O1", "O1"), ("EEG 1",)])
def test_channels_that_are_no_electrodes_are_refused(channels: tuple[str, ...]) -> None:
    with pytest.raises(AlphaloomError) as caught:
        SyntheticEEG(0, "relaxed", channels)
    assert caught.value.code == "bad_channels"


@pytest.mark.parametrize("rate", [0.0, -1.0, 20.0, float("nan"), 1e9])
def test_a_rate_that_no_headset_has_is_refused(rate: float) -> None:
    with pytest.raises(AlphaloomError, match="Hz"):
        SyntheticEEG(0, "relaxed", CHANNELS, rate)
