import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.filters import Filter, Ring, group_delay, high_pass, muscles, notches

RATE = 256.0


def cleaning(rate: float = RATE) -> np.ndarray:
    return np.vstack([high_pass(rate), notches(rate, [50.0])])


def gain(sections: np.ndarray, hz: float, rate: float = RATE) -> float:
    """What comes out of a long sine's amplitude."""
    time = np.arange(round(20 * rate)) / rate
    out = Filter(sections, 1).push(np.sin(2 * np.pi * hz * time)[None])
    return float(np.sqrt(2) * out[0, len(time) // 2 :].std())


def test_mains_and_offsets_go_and_eeg_stays() -> None:
    assert gain(cleaning(), 50) < 0.01 and gain(cleaning(), 100) < 0.01
    assert gain(cleaning(), 10) == pytest.approx(1, abs=0.001)
    assert gain(cleaning(), 40) == pytest.approx(1, abs=0.02)
    offset = Filter(cleaning(), 1).push(np.full((1, 1000), 4000.0))
    assert np.abs(offset).max() < 1e-6


@pytest.mark.parametrize("rate", [100.0, 128.0, 250.0, 1000.0])
def test_a_notch_that_the_rate_cannot_carry_is_left_out(rate: float) -> None:
    assert len(notches(rate, [50.0, 60.0])) == sum(hz < 0.48 * rate for hz in (50, 100, 60, 120))


def test_the_group_delay_is_that_of_a_burst() -> None:
    time = np.arange(2048) / RATE
    burst = np.exp(-(((time - 4) / 0.4) ** 2)) * np.sin(2 * np.pi * 10 * time)
    out = Filter(cleaning(), 1).push(burst[None])[0]

    def centre(x: np.ndarray) -> float:
        return float((time * x**2).sum() / (x**2).sum())

    assert centre(out) - centre(burst) == pytest.approx(group_delay(cleaning(), RATE), abs=2e-4)


def test_a_slow_stream_has_no_muscles_band() -> None:
    assert muscles(80.0) is None
    sections = muscles(RATE)
    assert sections is not None and gain(sections, 10) < 0.02 and gain(sections, 70) > 0.95


@given(st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_how_samples_are_chunked_changes_nothing(sizes: list[int]) -> None:
    signal = np.random.default_rng(3).standard_normal((2, 600)) * 50 + 300
    whole, cut = Filter(cleaning(), 2), Filter(cleaning(), 2)
    pieces, start, turn = [], 0, 0
    while start < 600:
        size = sizes[turn % len(sizes)]
        pieces.append(cut.push(signal[:, start : start + size]))
        start, turn = start + size, turn + 1
    np.testing.assert_allclose(np.hstack(pieces), whole.push(signal), rtol=0, atol=1e-12)


def test_after_a_reset_nothing_is_remembered() -> None:
    signal = np.random.default_rng(4).standard_normal((1, 300))
    used = Filter(cleaning(), 1)
    used.push(1e5 + signal)
    used.reset()
    np.testing.assert_array_equal(used.push(signal), Filter(cleaning(), 1).push(signal))


def test_the_ring_keeps_the_last_samples_in_order() -> None:
    ring, seen = Ring(2, 10), np.empty((2, 0))
    for n, size in enumerate([3, 7, 1, 10, 4, 9, 10, 10, 2, 8, 5] * 3):
        new = np.full((2, size), n, float) + np.arange(size) / 100
        ring.push(new)
        seen = np.hstack([seen, new])
        if ring.filled == 10:
            np.testing.assert_array_equal(ring.window, seen[:, -10:])
        np.testing.assert_array_equal(ring.last(min(size, 4)), seen[:, -min(size, 4) :])
