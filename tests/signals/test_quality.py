import numpy as np
import pytest

from signals.quality import LOST_AFTER_S, Blocks, Potato, Vigil, clipped, window_quality

RATE = 256.0
N = 512
TIME = np.arange(N) / RATE


def eeg(channels: int = 2, seed: int = 0, rms: float = 10.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, N)) * rms


def judge(high_passed: np.ndarray, clean: np.ndarray | None = None, missing: np.ndarray | None = None) -> np.ndarray:
    missing = np.zeros(high_passed.shape, bool) if missing is None else missing
    return window_quality(high_passed, high_passed if clean is None else clean, missing, RATE, [50.0, 60.0])


def test_clean_eeg_is_good() -> None:
    np.testing.assert_array_equal(judge(eeg()), 1)
    np.testing.assert_array_equal(clipped(eeg()), 1)


def test_each_fault_is_seen_in_its_channel_only() -> None:
    good, clean = eeg(5), eeg(5)
    good[0] = clean[0] = 0
    good[1] += 300 * np.sqrt(2) * np.sin(2 * np.pi * 50 * TIME)
    good[2] = clean[2] = eeg(1, rms=250.0)[0]
    missing = np.zeros(good.shape, bool)
    missing[3, 100:130] = True
    found = judge(good, clean, missing)
    assert (found[:4] < 0.3).all() and found[4] == 1


def test_some_hum_that_the_notch_takes_out_is_no_fault() -> None:
    assert (judge(eeg() + 20 * np.sin(2 * np.pi * 60 * TIME), eeg()) > 0.9).all()


@pytest.mark.parametrize("limit", [10.0, 5.0])
def test_an_amplifier_at_its_limit_is_clipped(limit: float) -> None:
    assert (clipped(np.clip(eeg(), -limit, limit)) < 0.3).all()


def push(blocks: Blocks, clean: np.ndarray, muscle: np.ndarray, start: float = 0.0) -> list:
    events = []
    for n in range(0, clean.shape[1] - 31, 32):
        times = start + (n + np.arange(32)) / RATE
        part = slice(n, n + 32)
        events += blocks.push(times, clean[:, part], clean[:, part], muscle[:, part])
    return events


MUSE = ["temporal", "frontal", "frontal", "temporal"]


def blocks_at_rest() -> Blocks:
    blocks = Blocks(MUSE, 2.0)
    assert not push(blocks, eeg(4, 1, 8.0), eeg(4, 2, 3.0)) and not push(blocks, eeg(4, 3, 8.0), eeg(4, 4, 3.0))
    return blocks


def test_a_clench_strikes_all_channels_and_is_told_once() -> None:
    blocks = blocks_at_rest()
    muscle = eeg(4, 5, 3.0)
    muscle[[0, 3], 64:160] *= 20
    found = push(blocks, eeg(4, 6), muscle, 100.0)
    assert [e.kind for e in found] == ["jaw"] and found[0].time == pytest.approx(100.25)
    assert blocks.struck.all()


def test_a_clench_is_forgotten_with_its_window() -> None:
    blocks = blocks_at_rest()
    push(blocks, eeg(4, 5), eeg(4, 5, 60.0))
    assert blocks.struck.all() and not blocks.echo
    push(blocks, eeg(4, 6, 8.0), eeg(4, 6, 3.0))
    assert blocks.struck.all() and blocks.echo
    push(blocks, eeg(4, 7, 8.0), eeg(4, 7, 3.0))
    assert not blocks.struck.any()


def test_one_loose_electrode_is_no_clench() -> None:
    blocks = blocks_at_rest()
    clean, muscle = eeg(4, 5, 8.0), eeg(4, 6, 3.0)
    clean[3] *= 20
    muscle[3] *= 20
    assert not push(blocks, clean, muscle)
    assert blocks.struck.tolist() == [False, False, False, True]


def test_a_blink_is_told_at_its_peak_and_spoils_slow_activity_at_the_forehead_only() -> None:
    blocks = blocks_at_rest()
    clean = eeg(4, 5, 5.0)
    clean[1:3] += 120 * np.exp(-0.5 * ((TIME - 1.0) / 0.08) ** 2)
    found = push(blocks, clean, eeg(4, 6, 2.0), 50.0)
    assert [e.kind for e in found] == ["blink"] and found[0].time == pytest.approx(51.0, abs=0.05)
    assert blocks.ocular.tolist() == [False, True, True, False] and not blocks.struck.any()


def test_electrodes_that_are_noisy_from_the_beginning_are_no_clench_for_ever() -> None:
    blocks = Blocks(MUSE, 2.0)
    told = [e.kind for n in range(15) for e in push(blocks, eeg(4, n, 30.0), eeg(4, n + 50, 25.0))]
    assert told.count("jaw") <= 1 and not blocks.struck.any()


def test_a_dead_frontal_electrode_does_not_hide_blinks() -> None:
    blocks = blocks_at_rest()
    clean = eeg(4, 5, 5.0)
    clean[2] += 120 * np.exp(-0.5 * ((TIME - 1.0) / 0.08) ** 2)
    clean[1] = 0
    assert [e.kind for e in push(blocks, clean, eeg(4, 6, 2.0))] == ["blink"]


def test_muscles_that_are_only_tense_lower_quality_by_degrees() -> None:
    blocks = blocks_at_rest()
    for seed in range(10, 16):
        push(blocks, eeg(4, seed, 8.0), eeg(4, seed + 10, 3.0))
    np.testing.assert_allclose(blocks.relaxed, 1, atol=0.05)
    push(blocks, eeg(4, 7, 8.0), eeg(4, 8, 6.0))
    assert ((blocks.relaxed > 0.2) & (blocks.relaxed < 0.9)).all()
    push(blocks, eeg(4, 7, 8.0), eeg(4, 8, 9.0))
    push(blocks, eeg(4, 7, 8.0), eeg(4, 8, 9.0))
    assert (blocks.relaxed < 0.5).all()


def test_strong_hum_at_a_segments_beginning_is_no_clench() -> None:
    assert not push(Blocks(MUSE, 2.0), eeg(4, 5)[:, :128], 100 * eeg(4, 6)[:, :128])


def test_the_signal_is_held_and_then_lost_and_comes_back() -> None:
    vigil = Vigil()
    assert vigil.step(0.0, 0.9) == "good"
    assert vigil.step(1.0, 0.45) == "held"
    assert vigil.step(1.1, 0.1) == "held"
    assert vigil.step(1.0 + LOST_AFTER_S - 0.01, 0.1) == "held"
    assert vigil.step(1.0 + LOST_AFTER_S, 0.1) == "lost"
    assert vigil.step(5.1, 0.4) == "held"
    assert vigil.step(10.0, 0.8) == "good"


def test_a_window_that_only_remembers_does_not_make_the_signal_lost() -> None:
    vigil = Vigil()
    assert [vigil.step(n / 10, 0.0) for n in range(25)][-1] == "held"
    assert [vigil.step(2.5 + n / 10, 0.0, echo=True) for n in range(20)][-1] == "held"
    assert vigil.step(4.6, 0.9) == "good"


def window(rng: np.random.Generator, mixing: np.ndarray) -> np.ndarray:
    return mixing @ rng.standard_normal((4, N)) * 10


def test_the_potato_learns_what_is_usual_and_tells_what_is_not() -> None:
    rng = np.random.default_rng(0)
    mixing = np.eye(4) + 0.3 * rng.standard_normal((4, 4))
    potato, good = Potato(), np.ones(4, bool)
    usual = [potato.look(window(rng, mixing), good) for _ in range(60)]
    assert usual[: Potato.LEARN] == [1.0] * Potato.LEARN and min(usual) > 0.5
    odd = window(rng, mixing) + 60 * np.outer([1, -1, 1, -1], rng.standard_normal(N))
    assert potato.look(odd, good) < 0.5
    assert potato.look(window(rng, mixing), good) > 0.5


def test_a_channel_that_is_left_out_does_not_move_the_potato() -> None:
    rng = np.random.default_rng(1)
    potato, twin = Potato(), Potato()
    good = np.array([True, True, True, False])
    for _ in range(50):
        one = window(rng, np.eye(4))
        other = one.copy()
        other[3] *= 30
        assert potato.look(one, good) == pytest.approx(twin.look(other, good), abs=0.02)
