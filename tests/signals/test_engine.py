"""The whole way from samples to frames, without streams."""

import math
from dataclasses import replace

import mne
import numpy as np
import pytest
from data import columns, muse
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import AlphaloomError
from protocol.model import Frame, Latency
from signals.engine import Engine, Options
from signals.spectrum import BANDS
from signals.stream import StreamFormat
from signals.synth import SyntheticEEG

MUSE = ("TP9", "AF7", "AF8", "TP10")
CAP = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2")
FORMAT = StreamFormat("test", 256.0, MUSE)


def synthetic(seconds: float, state: str = "relaxed", channels: tuple[str, ...] = MUSE, seed: int = 0):
    values = SyntheticEEG(seed, state, channels).read(round(seconds * 256))
    return 1000 + np.arange(len(values)) / 256, values


def values_of(frame: Frame) -> dict[str, float]:
    return {name: feature.value for name, feature in frame.features.items()}


@pytest.mark.parametrize("rate", [128.0, 256.0, 500.0, 1000.0])
@pytest.mark.parametrize("window", [2.0, 4.0])
@pytest.mark.parametrize(("unit", "factor"), [("microvolts", 1.0), ("volts", 1e-6)])
def test_a_sine_of_ten_microvolts_at_ten_hertz_has_an_alpha_power_of_fifty(rate, window, unit, factor) -> None:
    engine = Engine(StreamFormat("sine", rate, ("O1", "O2"), unit=unit), Options(window_s=window))
    times = np.arange(round(15 * rate)) / rate
    sine = factor * 10 * np.sin(2 * np.pi * 10 * times)[:, None].repeat(2, 1)
    frames = engine.push(times, sine)
    assert 10 ** frames[-1].features["log_alpha"].value == pytest.approx(50, abs=0.5)


def test_online_equals_offline_on_the_same_filtered_samples() -> None:
    engine = Engine(StreamFormat("cap", 256.0, CAP))
    heard = []
    engine.on_clean = lambda times, clean, quality: heard.append(clean)
    frames = engine.push(*synthetic(20, channels=CAP))
    clean = np.hstack(heard)
    for n in (0, 57, len(frames) - 1):
        end = 512 + round(n * 25.6)
        density, hz = mne.time_frequency.psd_array_welch(
            clean[:, end - 512 : end], 256.0, n_fft=512, n_per_seg=512, window="hann", verbose="error"
        )
        powers = {b: density[:, (hz >= low) & (hz < high)].sum(axis=1) * 0.5 for b, (low, high) in BANDS.items()}
        found = values_of(frames[n])
        for band in ("theta", "alpha", "beta", "gamma"):
            if f"log_{band}.occipital" in found:
                assert found[f"log_{band}.occipital"] == pytest.approx(np.log10(powers[band][6:]).mean(), rel=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=4, max_size=30), st.sampled_from(["relaxed", "relaxed:4,jaw:1,blinks:5"]))
def test_how_samples_are_chunked_changes_nothing(sizes: list[int], state: str) -> None:
    times, values = synthetic(9, state)
    times[1500:] += 0.4
    values[900:903, 2] = np.nan
    whole, cut = Engine(FORMAT).push(times, values), []
    engine, start, turn = Engine(FORMAT), 0, 0
    while start < len(times):
        size = sizes[turn % len(sizes)]
        cut += engine.push(times[start : start + size], values[start : start + size])
        start, turn = start + size, turn + 1
    assert len(whole) == len(cut) > 30
    for one, other in zip(whole, cut, strict=True):
        assert (one.quality, one.signal, one.events) == (other.quality, other.signal, other.events)
        assert values_of(one).keys() == values_of(other).keys()
        for name, value in values_of(one).items():
            assert value == pytest.approx(values_of(other)[name], rel=1e-12, abs=1e-12), name


def test_ten_frames_a_second_from_the_first_full_window_on() -> None:
    engine = Engine(FORMAT)
    times, values = synthetic(12)
    assert engine.until_update == 512
    frames = engine.push(times, values)
    ends = [f.features["alpha"].time for f in frames]
    assert len(frames) == 101 and ends[0] == pytest.approx(times[511], abs=1e-4)
    np.testing.assert_allclose(np.diff(ends), 0.1, atol=1 / 256 + 1e-4)


def test_a_frame_says_when_and_how_late_it_is() -> None:
    engine = Engine(FORMAT, Options(window_s=4.0))
    times, values = synthetic(10)
    frame = engine.push(times, values, arrived=times[-1] + 0.03, epoch=5000.0)[-1]
    feature = frame.features["alpha"]
    assert frame.time == pytest.approx(feature.time + 5000)
    late = times[-1] + 0.03 - feature.time
    assert frame.age == pytest.approx(late) and feature.latency.chunk == pytest.approx(late)
    assert feature.latency.half_window == 2.0 and 0 < feature.latency.group_delay < 0.01 and feature.latency.compute > 0
    assert feature.latency.smoothing == 0 and frame.features["exponent"].latency.smoothing > 1


def test_a_window_never_spans_a_gap() -> None:
    times, values = synthetic(20)
    times[2600:] += 1.3
    values[2600:] += 500.0  # a step that no filter may remember
    frames = Engine(FORMAT).push(times, values)
    ends = np.array([next(iter(f.features.values())).time for f in frames])
    assert not ((ends > times[2600] - 0.01) & (ends - 2.0 < times[2600] - 0.01)).any()
    gaps = [e for f in frames for e in f.events if e.kind == "gap"]
    assert [e.time for e in gaps] == [pytest.approx(times[2600])]
    fresh = Engine(FORMAT).push(times[2600:], values[2600:])
    after = [f for f, end in zip(frames, ends, strict=True) if end > times[2600]]
    assert values_of(after[0])["log_alpha"] == pytest.approx(values_of(fresh[0])["log_alpha"])


def test_every_gap_of_a_real_recording_is_found_and_no_window_spans_one() -> None:
    times, values = columns(muse("gaps.csv"))
    gaps = np.flatnonzero(np.diff(times) > 0.02 + 1 / 256) + 1
    assert len(gaps) == 3
    engine = Engine(FORMAT)
    made = [engine.push(times[n : n + 1], values[n : n + 1]) for n in range(len(times))]
    found = [e.time for frames in made for f in frames for e in f.events if e.kind == "gap"]
    assert found == pytest.approx(times[gaps].tolist())
    for gap in gaps:
        assert not any(made[gap : gap + 511]) and made[gap + 511]  # the first window behind it is full with what came after


def test_a_poor_electrode_is_seen_and_the_other_channels_are_not_moved_by_it() -> None:
    times, values = columns(muse("noisy_tp10.csv"))
    other = values.copy()
    other[:, 3] = np.random.default_rng(0).standard_normal(len(values)) * 400
    frames, twins = (Engine(FORMAT).push(times, v) for v in (values, other))
    assert np.median([f.quality["TP10"] for f in frames]) < 0.3
    assert max(f.quality["TP10"] for f in frames) < 0.3
    assert np.median([f.quality["AF7"] for f in frames]) > 0.9
    for frame, twin in zip(frames, twins, strict=True):
        assert values_of(frame) == pytest.approx(values_of(twin), rel=1e-9)


@pytest.mark.parametrize("brain", ["relaxed", "aroused"])
@pytest.mark.parametrize("channels", [MUSE, CAP])
def test_a_clench_is_over_before_anything_is_believed_again(brain: str, channels: tuple[str, ...]) -> None:
    format = replace(FORMAT, channels=channels)
    struck = Engine(format).push(*synthetic(40, f"{brain}:20,jaw:2,{brain}:20", channels))
    twin = Engine(format).push(*synthetic(40, brain, channels))
    assert "jaw" in [e.kind for f in struck for e in f.events] and any(f.signal == "held" for f in struck)
    for frame, clean in zip(struck, twin, strict=True):
        for name in ("alpha", "beta"):
            if name in frame.features and frame.features[name].confidence >= 0.5:
                assert frame.features[name].z == pytest.approx(clean.features[name].z, abs=0.25)


def test_calm_follows_posterior_alpha_and_needs_posterior_sites() -> None:
    calm = {}
    for state in ("relaxed", "aroused"):
        calm[state] = values_of(Engine(StreamFormat("cap", 256.0, CAP)).push(*synthetic(20, state, CAP))[-1])["calm"]
    assert calm["relaxed"] > calm["aroused"] + 0.5
    engine = Engine(FORMAT)
    assert "calm" not in values_of(engine.push(*synthetic(5))[-1]) and "calm" in engine.performer.missing


def test_an_average_reference_takes_out_what_all_channels_share() -> None:
    times, values = synthetic(10, channels=CAP)
    shared = values + 40 * np.sin(2 * np.pi * 20 * times)[:, None]
    format = StreamFormat("cap", 256.0, CAP)
    plain, averaged = (Engine(format, Options(reference=r)).push(times, shared)[-1] for r in ("none", "average"))
    assert values_of(plain)["log_beta"] > values_of(averaged)["log_beta"] + 1


def test_samples_that_are_no_numbers_are_told_and_nothing_stops() -> None:
    times, values = synthetic(12)
    values[1000:1100, 1] = np.nan
    values[1500, 0] = np.inf
    values[1600, 0] = 1e30
    frames = Engine(FORMAT).push(times, values)
    events = [e for f in frames for e in f.events if e.kind == "not_finite"]
    assert len(events) >= 2 and "AF7" in events[0].text and len(frames) == 101
    assert all(math.isfinite(v) for f in frames for v in values_of(f).values())
    assert frames[40].quality["AF7"] < 0.5 and frames[-1].quality["AF7"] == 1


@pytest.mark.parametrize("fill", [0.0, np.nan, 1e300])
def test_a_stream_of_nothing_but_rubbish_is_lost_and_gives_no_features(fill: float) -> None:
    times, _ = synthetic(10)
    frames = Engine(FORMAT).push(times, np.full((len(times), 4), fill))
    assert frames[-1].signal == "lost" and not frames[-1].features


def test_a_stream_of_another_rate_than_it_said_is_processed_at_its_real_one() -> None:
    engine = Engine(StreamFormat("wrong", 500.0, ("O1",)))
    times = np.arange(250 * 20) / 250
    frames = engine.push(times, 10 * np.sin(2 * np.pi * 10 * times)[:, None])
    assert "rate" in [e.kind for f in frames for e in f.events]
    assert engine.performer.rate == 250 and 10 ** values_of(frames[-1])["log_alpha"] == pytest.approx(50, abs=0.5)


def test_an_irregular_stream_is_processed_at_its_mean_rate() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(np.arange(250 * 20) / 250 + rng.uniform(0, 0.004, 5000))
    engine = Engine(StreamFormat("irregular", 0.0, ("O1",)))
    frames = engine.push(times, 10 * np.sin(2 * np.pi * 10 * times)[:, None])
    assert engine.performer.rate == pytest.approx(250, abs=2)
    assert 10 ** values_of(frames[-1])["log_alpha"] == pytest.approx(50, rel=0.05)


def test_amplitudes_that_no_eeg_has_ask_for_the_unit() -> None:
    times, values = synthetic(15)
    frames = Engine(FORMAT).push(times, values * 1e-6)
    told = [e for f in frames for e in f.events if e.kind == "implausible"]
    assert len(told) == 1 and "--unit" in told[0].text
    assert not frames[-1].features


def test_an_unknown_unit_is_refused_and_may_be_stated() -> None:
    with pytest.raises(AlphaloomError, match="--unit"):
        Engine(replace(FORMAT, unit="counts"))
    assert Engine(replace(FORMAT, unit="counts"), Options(unit="nV")).to_microvolts.tolist() == [1e-3] * 4


def test_silence_has_no_features_and_is_lost_in_the_end() -> None:
    engine = Engine(FORMAT)
    times, values = synthetic(5)
    engine.push(times, values)
    frames = [engine.silence(times[-1] + n / 10, n / 10, 0.0) for n in range(5, 60)]
    assert frames[0].signal == "held" and frames[0].age == 0.5 and not frames[0].features
    assert frames[-1].signal == "lost" and set(frames[-1].quality.values()) == {0.0}


def test_only_bands_gives_the_same_powers_for_less() -> None:
    times, values = synthetic(10)
    every, bands = (Engine(FORMAT, Options(only_bands=b)).push(times, values)[-1] for b in (False, True))
    assert values_of(bands)["log_alpha"] == pytest.approx(values_of(every)["log_alpha"])
    assert not bands.quality and "complexity" not in bands.features
    assert bands.features["alpha"].latency != Latency()


@pytest.mark.parametrize(
    "stamps",
    [
        lambda n: np.full(n, 1000.0),
        lambda n: 1000 - np.arange(n) / 1000,
        lambda n: 1e6 * (1000 + np.arange(n) / 256),
        lambda n: 1000 + np.arange(n) / 0.9,
        lambda n: np.random.default_rng(0).uniform(0, 1e9, n),
    ],
    ids=["constant", "backwards", "microseconds", "a sample a second", "random"],
)
def test_stamps_that_are_no_times_stop_nothing(stamps) -> None:
    _, values = synthetic(8)
    engine = Engine(FORMAT)
    times = stamps(len(values))
    frames = [f for n in range(0, len(values), 50) for f in engine.push(times[n : n + 50], values[n : n + 50])]
    events = {e.kind for f in [*frames, engine.silence(2000.0, 0.1, 0.0)] for e in f.events}
    assert events and events <= {"gap", "clock_jump", "bad_stamps"}
    assert engine.performer.rate == 256


@pytest.mark.parametrize("rate", [0.5, 2.0, 20.0])
def test_a_rate_that_cannot_carry_alpha_is_refused(rate: float) -> None:
    with pytest.raises(AlphaloomError, match=f"{rate:g} Hz") as caught:
        Engine(replace(FORMAT, rate=rate))
    assert caught.value.code == "unusable_rate"


@pytest.mark.parametrize(("rate", "absent"), [(40.0, "beta"), (64.0, "gamma"), (80.0, "gamma")])
def test_a_slow_stream_says_what_it_cannot_carry(rate: float, absent: str) -> None:
    engine = Engine(StreamFormat("slow", rate, ("O1", "O2")))
    times = np.arange(round(rate * 10)) / rate
    frame = engine.push(times, np.random.default_rng(0).standard_normal((len(times), 2)) * 10)[-1]
    assert f"log_{absent}" in engine.performer.missing and f"log_{absent}" not in frame.features
    assert "alpha" not in frame.features and "log_alpha" in frame.features
    assert ("engage" in frame.features) == (absent == "gamma")


def test_an_average_reference_of_too_few_channels_takes_nothing_away() -> None:
    times, values = synthetic(5)
    frame = Engine(StreamFormat("one", 256.0, ("Cz",)), Options(reference="average")).push(times, values[:, :1])[-1]
    assert frame.features["log_alpha"].value > 0


@pytest.mark.parametrize("size", [1, 16, 5000])
def test_the_rate_of_an_irregular_stream_does_not_depend_on_chunks(size: int) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.exponential(1 / 250, 5000))
    engine = Engine(StreamFormat("irregular", 0.0, ("O1",)))
    for n in range(0, len(times), size):
        engine.push(times[n : n + size], np.zeros((len(times[n : n + size]), 1)))
    assert engine.performer.rate == round(
        (np.argmax(times - times[0] >= 3)) / (times[np.argmax(times - times[0] >= 3)] - times[0])
    )
