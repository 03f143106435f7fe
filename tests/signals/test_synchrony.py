import numpy as np
import pytest
from scipy import signal

from signals.synchrony import Synchrony

ONE = np.ones(1)


def alpha(seed: int, seconds: float = 8.0, rate: float = 256.0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    found = signal.sosfilt(signal.butter(2, (8, 12), "bandpass", fs=rate, output="sos"), noise)
    return found / found.std() * 10


def push(both: Synchrony, performer: int, values: np.ndarray, start: float = 0.0, rate: float = 256.0, quality=ONE) -> None:
    for n in range(0, len(values), 16):
        piece = values[n : n + 16]
        both.push(performer, start + (n + np.arange(len(piece))) / rate, piece[None], quality)


def test_two_who_keep_step_are_locked_even_with_a_lag_and_other_rates() -> None:
    both = Synchrony()
    push(both, 0, alpha(1))
    slower = np.interp(np.arange(1000) / 125 - 0.02, np.arange(2048) / 256, alpha(1))
    push(both, 1, slower, rate=125.0)
    found = both.feature()
    assert found is not None and found.value > 0.95 and found.confidence == 1


def test_two_strangers_are_not() -> None:
    found = []
    for seed in range(20):
        both = Synchrony()
        push(both, 0, alpha(seed))
        push(both, 1, alpha(seed + 100))
        feature = both.feature()
        assert feature is not None
        found.append(feature.value)
    assert np.median(found) < 0.35


@pytest.mark.parametrize("trouble", ["alone", "gap", "poor"])
def test_without_two_good_signals_there_is_none(trouble: str) -> None:
    both = Synchrony()
    push(both, 0, alpha(1))
    if trouble == "gap":
        push(both, 1, alpha(1, 6.0))
        push(both, 1, alpha(1, 1.0), start=7.0)
    elif trouble == "poor":
        push(both, 1, alpha(1), quality=np.array([0.2]))
    assert both.feature() is None
