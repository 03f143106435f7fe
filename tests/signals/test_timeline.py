import numpy as np
import pytest
from data import columns, muse
from hypothesis import given
from hypothesis import strategies as st

from signals.timeline import Grid, Span, Timeline

RATE = 256.0


def stamps(seconds: float, rate: float = RATE, start: float = 1000.0) -> np.ndarray:
    return start + np.arange(round(seconds * rate)) / rate


def push(timeline: Timeline, times: np.ndarray, sizes: list[int] | None = None) -> list[Span]:
    """Push in chunks of the given sizes, over and over; spans' indices count from the first stamp."""
    spans, start, turn = [], 0, 0
    sizes = sizes or [len(times)]
    while start < len(times):
        chunk = times[start : start + sizes[turn % len(sizes)]]
        spans += [Span(s.start + start, s.stop + start, s.times, s.rate, s.events) for s in timeline.push(chunk)]
        start, turn = start + len(chunk), turn + 1
    return spans


def events(spans: list[Span]) -> list[tuple[str, int]]:
    return [(e.kind, s.start) for s in spans for e in s.events]


def test_an_even_stream_keeps_its_stamps_and_has_no_breaks() -> None:
    times = stamps(30)
    spans = push(Timeline(RATE), times)
    assert not events(spans)
    np.testing.assert_allclose(np.concatenate([s.times for s in spans]), times, atol=1e-6)


@pytest.mark.parametrize("rate", [128.0, 256.0, 1000.0])
@pytest.mark.parametrize("gap", [0.03, 0.5, 2.0])
def test_a_gap_is_found_where_it_is(rate: float, gap: float) -> None:
    times = stamps(10, rate)
    times[700:] += gap
    assert events(push(Timeline(rate), times)) == [("gap", 700)]


def test_stamps_after_a_gap_are_not_smeared_over_it() -> None:
    times = stamps(10)
    times[1000:] += 2.0
    steady = np.concatenate([s.times for s in push(Timeline(RATE), times)])
    assert steady[1000] - steady[999] == pytest.approx(2.0 + 1 / RATE, abs=1e-3)


def test_jitter_is_evened_out() -> None:
    times = stamps(30)
    jittered = times + np.random.default_rng(0).normal(0, 0.003, len(times))
    spans = push(Timeline(RATE), jittered)
    steady = np.concatenate([s.times for s in spans])
    assert not events(spans)
    assert (np.diff(steady) > 0).all()
    assert np.abs(steady - times)[2000:].max() < 0.0015


def test_a_clock_that_drifts_is_followed() -> None:
    times = stamps(60, RATE * 1.002)
    steady = np.concatenate([s.times for s in push(Timeline(RATE), times)])
    assert np.abs(steady - times)[3000:].max() < 1e-3


def test_a_clock_that_jumps_back_is_a_break() -> None:
    times = stamps(10)
    times[1500:] -= 5.0
    assert events(push(Timeline(RATE), times)) == [("clock_jump", 1500)]


def test_what_is_lost_within_the_jitter_is_found_within_two_seconds() -> None:
    rate = 1000.0
    times = stamps(20, rate)
    for n in range(8):  # 15 ms each, under the tolerance, all within one second
        times[10_000 + 100 * n :] += 0.015
    found = events(push(Timeline(rate), times))
    assert found and found[0][0] == "gap" and 10_000 < found[0][1] <= 12_000


def test_packets_that_are_habitually_late_are_no_gaps_in_the_end() -> None:
    times = stamps(120)
    times[np.arange(len(times)) // 12 % 16 == 5] += 0.03  # one packet of 12 in 16 comes 30 ms late, nothing is lost
    found = events(push(Timeline(RATE), times))
    assert 0 < len(found) < 12 and found[-1][1] < 20 * RATE


@pytest.mark.parametrize("real", [128.0, 250.0, 300.0, 20.0])
def test_a_stream_of_another_rate_than_it_said_is_told_and_followed(real: float) -> None:
    timeline = Timeline(RATE)
    spans = push(timeline, stamps(20, real))
    assert [k for k, _ in events(spans)].count("rate") == 1
    assert timeline.rate == real and spans[-1].rate == real
    assert spans[-1].times[-1] == pytest.approx(1000.0 + 20 - 1 / real, abs=0.02)


def test_a_stream_that_changes_its_rate_is_told_and_followed() -> None:
    first = stamps(20)
    timeline = Timeline(RATE)
    found = events(push(timeline, np.concatenate([first, stamps(20, 128.0, first[-1] + 1 / 128)])))
    assert [k for k, _ in found].count("rate") == 1 and timeline.rate == 128.0


def test_stamps_that_are_no_numbers_break_nothing() -> None:
    times = stamps(10)
    times[[0, 500, 501, 900]] = np.nan, np.nan, np.inf, -np.inf
    spans = push(Timeline(RATE), times)
    assert not events(spans)
    assert np.isfinite(np.concatenate([s.times for s in spans])).all()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_how_stamps_are_chunked_changes_nothing(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = stamps(8) + rng.normal(0, 0.002, round(8 * RATE))
    times[rng.integers(100, len(times)) :] += rng.choice([0.0, 0.05, 1.0, -3.0])
    whole, cut = push(Timeline(RATE), times), push(Timeline(RATE), times, sizes)
    assert events(whole) == events(cut)
    np.testing.assert_array_equal(np.concatenate([s.times for s in whole]), np.concatenate([s.times for s in cut]))


def test_every_gap_of_a_real_recording_is_found() -> None:
    times, _ = columns(muse("gaps.csv"))
    gaps = np.flatnonzero(np.diff(times) > 0.02 + 1 / RATE) + 1
    assert len(gaps) == 3
    found = events(push(Timeline(RATE), times))
    assert [n for kind, n in found if kind == "gap"] == gaps.tolist()


@pytest.mark.parametrize(("jitter", "most"), [(0.02, 15), (0.05, 25)])
def test_packets_that_come_at_random_times_end_as_no_gaps_and_never_as_another_rate(jitter: float, most: int) -> None:
    rng = np.random.default_rng(0)
    times = stamps(120) + np.repeat(rng.normal(0, jitter, round(120 * RATE / 12)), 12)
    timeline = Timeline(RATE)
    found = events(push(timeline, times))
    assert timeline.rate == RATE and "rate" not in [kind for kind, _ in found]
    assert len(found) < most


def test_an_irregular_stream_is_put_on_an_even_grid() -> None:
    rng = np.random.default_rng(1)
    times = np.arange(4000) / 200 + rng.uniform(0, 0.01, 4000)
    times.sort()
    values = np.sin(2 * np.pi * 1.0 * times)[:, None]
    grid = Grid()
    pieces = [grid.push(times[n : n + 50], values[n : n + 50]) for n in range(0, len(times), 50)]
    even, found = (np.concatenate([p[k] for p in pieces]) for k in (0, 1))
    assert grid.rate == pytest.approx(200, rel=0.01)
    np.testing.assert_allclose(np.diff(even), 1 / grid.rate, atol=1e-9)
    np.testing.assert_allclose(found[:, 0], np.sin(2 * np.pi * even), atol=0.02)


def test_nothing_is_invented_in_a_gap_of_an_irregular_stream() -> None:
    times = stamps(10, 100.0)
    times[500:] += 3.0
    even, _ = Grid().push(times, np.zeros((len(times), 1)))
    assert np.diff(even).max() == pytest.approx(3.0, abs=0.03)
