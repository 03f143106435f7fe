import io
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from broker import flash
from broker.flash import GRID, FlashGuard, Look

BLOCKS = 4
"""Pictures for the tests have so many even blocks across and down."""
Seen = list[tuple[float, np.ndarray]]
"""When pictures were shown, and their blocks' linear colours."""

BLACK, WHITE, RED = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0)
COLOURS = [
    BLACK, WHITE, RED, *((grey, grey, grey) for grey in (0.05, 0.1, 0.16, 0.5, 0.79, 0.85, 0.95)),
    (0.3, 0.0, 0.0), (0.25, 0.0, 0.0), (0.2, 0.05, 0.0), (0.9, 0.3, 0.2), (0.9, 0.1, 0.1), (0.0, 0.4, 0.9),
]  # fmt: skip


def picture(colours: np.ndarray) -> Look:
    side = GRID // BLOCKS
    return Look.of(np.repeat(np.repeat(colours, side, axis=0), side, axis=1))


def even(colour: Iterable[float]) -> np.ndarray:
    return np.tile(np.array(list(colour)), (BLOCKS, BLOCKS, 1))


def show(offered: Iterable[tuple[float, np.ndarray]]) -> Seen:
    """What a guard lets through; what is held waits until it may be shown or the next one is there."""
    guard, shown = FlashGuard(), []
    offers = list(offered)
    ends = [time for time, _ in offers[1:]] + [np.inf]
    for (time, colours), end in zip(offers, ends, strict=True):
        while wait := guard.admit(time, picture(colours)):
            time += wait
            if time >= end:
                break
        else:
            shown.append((time, colours))
    return shown


# -- another way to count flashes: by the definitions' words, over what was shown --


def chains(pictures: list[np.ndarray]) -> np.ndarray:
    """For each picture the longest chain of opposing transitions up to it: (pictures, 2 kinds, blocks, blocks)."""
    values, red = [], []
    for colours in pictures:
        r, g, b = colours[..., 0], colours[..., 1], colours[..., 2]
        values.append(np.stack([0.2126 * r + 0.7152 * g + 0.0722 * b, 320 * np.clip(r - g - b, 0, None)]))
        total = r + g + b
        red.append(np.divide(r, total, out=np.zeros_like(r), where=total > 0) >= 0.8)
    rising = np.zeros((len(pictures), 2, BLOCKS, BLOCKS), int)
    falling = rising.copy()
    for k, now in enumerate(values):
        for j, then in enumerate(values[:k]):
            general = (abs(now[0] - then[0]) >= 0.1) & (np.minimum(now[0], then[0]) < 0.8)
            counts = np.stack([general, (abs(now[1] - then[1]) > 20) & (red[j] | red[k])])
            rising[k] = np.where(counts & (now > then), np.maximum(rising[k], falling[j] + 1), rising[k])
            falling[k] = np.where(counts & (now < then), np.maximum(falling[k], rising[j] + 1), falling[k])
    return np.maximum.accumulate(np.maximum(rising, falling))


def is_wide(blocks: np.ndarray) -> bool:
    side, half = GRID // BLOCKS, GRID // 2
    windows = np.lib.stride_tricks.sliding_window_view(np.kron(blocks, np.ones((side, side))), (half, half))
    return bool((windows.mean(axis=(2, 3)) >= 0.25).any())


def most_flashes(shown: Seen) -> int:
    """In any second, of one kind, at the same places or anywhere together."""
    most = 0
    times, pictures = [time for time, _ in shown], [colours for _, colours in shown]
    overall = chains(pictures) if pictures else np.zeros((0, 2, BLOCKS, BLOCKS), int)
    ended = np.diff(overall, axis=0, prepend=np.zeros_like(overall[:1])) > 0
    for first, start in enumerate(times):
        inside = [k for k, time in enumerate(times) if start <= time <= start + 1]
        counted = chains([pictures[k] for k in inside])[-1] // 2
        for kind in range(2):
            while is_wide(counted[kind] > most):
                most += 1
            together = sum(is_wide(ended[k, kind]) for k in inside if k > first)
            most = max(most, together // 2)
    return most


def test_the_counter_of_these_tests_counts() -> None:
    strobe = [(n / 16, even(BLACK if n % 2 else WHITE)) for n in range(33)]
    assert most_flashes(strobe) == 8
    assert most_flashes([(n / 16, even(RED if n % 2 else (0.2126,) * 3)) for n in range(33)]) == 8
    assert most_flashes([(n / 16, even((n / 32,) * 3)) for n in range(33)]) == 0


# -- the guard --

one_picture = st.one_of(
    st.sampled_from(COLOURS).map(even),
    st.lists(st.sampled_from(COLOURS), min_size=2, max_size=2).map(
        lambda pair: np.where(np.arange(BLOCKS)[:, None, None] < 2, pair[0], pair[1]) + np.zeros((BLOCKS, BLOCKS, 1))
    ),
    st.lists(st.sampled_from(COLOURS), min_size=BLOCKS**2, max_size=BLOCKS**2).map(
        lambda colours: np.array(colours).reshape(BLOCKS, BLOCKS, 3)
    ),
)
offers = st.lists(st.tuples(st.sampled_from([0.01, 0.05, 0.07, 0.125, 0.2, 0.6]), one_picture), min_size=8, max_size=50)


@settings(max_examples=150, deadline=None)
@given(offers)
def test_whatever_is_offered_nobody_sees_more_than_three_flashes_in_a_second(gaps: list[tuple[float, np.ndarray]]) -> None:
    times = np.cumsum([gap for gap, _ in gaps])
    assert most_flashes(show(zip(times.tolist(), (colours for _, colours in gaps), strict=True))) <= 3


@pytest.mark.parametrize("rate", [8, 16, 40])
@pytest.mark.parametrize("pair", [(BLACK, WHITE), (RED, BLACK), (RED, (0.2126,) * 3), ((0.3,) * 3, (0.45,) * 3)])
def test_what_flashes_is_held_to_three_flashes_a_second(rate: int, pair: tuple[tuple[float, ...], ...]) -> None:
    shown = show((n / rate, even(pair[n % 2])) for n in range(4 * rate))
    assert most_flashes(shown) == 3
    assert shown[-1][0] > 3  # and it does not stop for good


def test_halves_that_flash_in_turn_are_one_flashing_picture() -> None:
    def halves(n: int) -> np.ndarray:
        colours = even(BLACK)
        colours[:2] = WHITE if n // 2 % 2 else BLACK
        colours[2:] = WHITE if (n + 1) // 2 % 2 else BLACK
        return colours

    offered = [(n / 10, halves(n)) for n in range(40)]
    assert most_flashes(offered) == 5
    assert most_flashes(show(offered)) <= 3


def test_small_steps_one_way_are_one_transition() -> None:
    saw = [abs(n % 8 - 4) / 4 for n in range(120)]  # black to white in four steps and back
    slow = [(n / 12, even((level,) * 3)) for n, level in enumerate(saw)]
    assert len(show(slow)) == len(slow)
    fast = [(n / 100, even((level,) * 3)) for n, level in enumerate(saw)]
    assert most_flashes(fast) > 3
    assert most_flashes(show(fast)) <= 3


def test_a_smooth_morph_is_never_held() -> None:
    start, goal = np.random.default_rng(1).random((2, BLOCKS, BLOCKS, 3))
    morph = [(n / 20, start + (goal - start) * n / 100) for n in range(101)]
    assert [time for time, _ in show(morph)] == [time for time, _ in morph]


def test_a_calm_sequence_passes_at_twenty_a_second() -> None:
    random = np.random.default_rng(2)
    still = random.random((BLOCKS, BLOCKS, 3)) * 0.8
    calm = [(n / 20, still + 0.04 * random.random((BLOCKS, BLOCKS, 1))) for n in range(200)]
    assert len(show(calm)) == 200


def test_what_is_a_quarter_of_no_quarter_may_flicker() -> None:
    def dot(n: int) -> Look:
        linear = np.full((GRID, GRID, 3), 0.5)
        linear[8:15, 8:15] = n % 2
        return Look.of(linear)

    guard = FlashGuard()
    assert all(guard.admit(n / 20, dot(n)) == 0.0 for n in range(60))


def test_after_the_wait_that_it_says_it_admits() -> None:
    guard = FlashGuard()
    assert [guard.admit(n / 10, picture(even(WHITE if n % 2 else BLACK))) for n in range(7)] == [0.0] * 7
    refused = picture(even(WHITE))
    wait = guard.admit(0.7, refused)
    assert 0 < wait < 1
    assert guard.admit(0.7 + wait / 2, refused) == pytest.approx(wait / 2, abs=1e-4)
    assert guard.admit(0.7 + wait, refused) == 0.0


def test_what_somebody_asked_for_counts() -> None:
    guard = FlashGuard()
    for n in range(9):
        guard.count(n / 10, picture(even(WHITE if n % 2 else BLACK)))
    assert guard.admit(0.9, picture(even(WHITE))) > 0
    assert guard.admit(0.9, picture(even(BLACK))) == 0.0


# -- what it looks at --


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("size", [(64, 64), (250, 97), (512, 512), (5, 3)])
def test_a_look_has_relative_luminance_as_w3c_computes_it(size: tuple[int, int]) -> None:
    seen = flash.look(png(np.full((*size, 3), (188, 120, 20), np.uint8)))
    linear = [((code / 255 + 0.055) / 1.055) ** 2.4 for code in (188, 120, 20)]
    assert seen.values[0] == pytest.approx(np.dot(linear, (0.2126, 0.7152, 0.0722)), abs=1e-5)
    assert seen.values[1] == pytest.approx((linear[0] - linear[1] - linear[2]) * 320, abs=1e-3)
    assert not seen.counts[1].any()


def test_a_fine_pattern_is_as_light_as_its_mean() -> None:
    board = np.indices((256, 256)).sum(axis=0) % 2 * 255
    seen = flash.look(png(np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)))
    assert seen.values[0] == pytest.approx(0.5, abs=1e-5)


def test_saturated_red_is_known_as_such() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32] = (255, 40, 40)
    pixels[32:] = (255, 140, 140)
    counts = flash.look(png(pixels)).counts
    assert counts[0].all()
    assert counts[1, :16].all()
    assert not counts[1, 16:].any()


def test_what_is_no_picture_is_said_to_be_none() -> None:
    with pytest.raises(OSError):
        flash.look(b"\x89PNG\r\n\x1a\n and then nothing")
