import math

import numpy as np
import pytest
from eeg import frame

from addon.core.history import SECONDS, History


def history(z: float | None, seconds: float = 5.0, **more: float) -> History:
    """Ten frames a second, the last at 100 + `seconds`, heard in that moment."""
    made = History()
    for n in range(round(seconds * 10) + 1):
        made.hear(frame(100 + n / 10, alpha=z if z is None else z + n % 2 / 1000, **more), n / 10)
    return made


def test_a_curve_has_where_its_feature_stood_at_each_frame() -> None:
    curve = history(2.0).curve("alpha", 5.0)
    assert curve.ages == pytest.approx(np.arange(50, -1, -1) / 10)
    assert curve.levels == pytest.approx(np.full(51, 0.88), abs=0.01) and curve.sure.all()


def test_it_keeps_half_a_minute_and_moves_on_when_nothing_comes() -> None:
    made = history(0.0, 200.0)
    assert len(made.curve("alpha", 200.0).ages) == pytest.approx(SECONDS * 10, abs=1)
    assert made.curve("alpha", 210.0).ages[-1] == pytest.approx(10.0)
    assert len(made.curve("alpha", 200.0 + SECONDS + 1).ages) == 0


def test_a_feature_without_a_baseline_stands_between_its_lowest_and_its_highest() -> None:
    made = History()
    for n, value in enumerate((3.0, 5.0, 4.0)):
        known = frame(100.0 + n, alpha=None)
        feature = known.features["alpha"]
        made.hear(type(known)(known.time, {"alpha": type(feature)(value, None, 1.0, 0.0)}, "headset"), float(n))
    assert made.curve("alpha", 2.0).levels.tolist() == [0.0, 1.0, 0.5]


def test_what_is_poor_is_there_but_not_sure_and_what_is_absent_is_no_number() -> None:
    made = history(0.0, confidence=0.3)
    assert not made.curve("alpha", 5.0).sure.any()
    made = history(0.0)
    made.hear(frame(105.1, calm=1.0), 5.1)
    assert math.isnan(made.curve("alpha", 5.1).levels[-1]) and not math.isnan(made.curve("calm", 5.1).levels[-1])
    assert np.isnan(made.curve("nobody", 5.1).levels).all()


def test_a_frame_that_comes_twice_counts_once_and_a_clock_that_is_set_back_begins_anew() -> None:
    made = history(0.0)
    made.hear(frame(105.0, alpha=9.0), 5.0)
    assert len(made.curve("alpha", 5.0).ages) == 51
    made.hear(frame(50.0, alpha=1.0), 6.0)
    assert made.curve("alpha", 6.0).ages.tolist() == [0.0]
