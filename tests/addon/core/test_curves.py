import numpy as np

from addon.core import curves
from addon.core.curves import COLOURS, SIDE
from addon.core.history import Curve


def flat(level: float, sure: bool = True, oldest: float = 30.0) -> Curve:
    ages = np.arange(oldest, -0.1, -0.1)
    return Curve(ages, np.full(len(ages), level), np.full(len(ages), sure))


def pixels(*shown: Curve) -> np.ndarray:
    """(rows, columns, RGB), the lowest row first."""
    return curves.picture(shown).view(np.uint8).reshape(SIDE, SIDE, 4)[:, :, :3]


def rows_of(picture: np.ndarray, colour: tuple[int, int, int], column: int = SIDE // 2 + 7) -> np.ndarray:
    return np.flatnonzero(np.abs(picture[:, column].astype(int) - colour).max(axis=1) < 8)


def test_each_curve_has_a_lane_of_its_own_the_first_on_top() -> None:
    shown = pixels(flat(0.25), flat(0.25))
    upper, lower = rows_of(shown, COLOURS[0]), rows_of(shown, COLOURS[1])
    assert len(upper) and len(lower) and upper.min() >= SIDE // 2 > lower.max()


def test_a_higher_level_is_drawn_higher_and_both_ends_are_seen_whole() -> None:
    heights = [rows_of(pixels(flat(level)), COLOURS[0]).mean() for level in (0.0, 0.5, 1.0)]
    assert heights == sorted(heights) and heights[0] >= 1 and heights[2] <= SIDE - 2


def test_a_poor_signal_is_grey_and_an_absent_one_nothing() -> None:
    assert not len(rows_of(pixels(flat(0.5, sure=False)), COLOURS[0]))
    assert len(rows_of(pixels(flat(0.25, sure=False)), curves._UNSURE))
    nothing = Curve(np.empty(0), np.empty(0), np.empty(0, bool))
    assert np.array_equal(pixels(nothing), pixels(flat(float("nan"))))


def test_what_is_older_than_the_curve_is_empty_and_a_gap_is_not_joined() -> None:
    shown = pixels(flat(0.25, oldest=10.0))
    assert not len(rows_of(shown, COLOURS[0], 40)) and len(rows_of(shown, COLOURS[0], SIDE - 20))
    whole = flat(0.25)
    kept = (whole.ages < 10) | (whole.ages > 20)
    gap = Curve(whole.ages[kept], whole.levels[kept], whole.sure[kept])
    assert not len(rows_of(pixels(gap), COLOURS[0])) and len(rows_of(pixels(gap), COLOURS[0], 40))


def test_a_lonely_point_and_no_curve_at_all_are_pictures_too() -> None:
    assert pixels(Curve(np.array([15.0]), np.array([0.5]), np.array([True]))).shape == pixels().shape
