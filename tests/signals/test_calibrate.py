import numpy as np
import pytest

from protocol.errors import AlphaloomError
from protocol.model import Feature, Frame
from signals.calibrate import SETTLE_S, Guided
from signals.stream import StreamFormat
from signals.synth import SyntheticEEG

CAP = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
FORMAT = StreamFormat("cap", 256.0, CAP)
GOOD = Frame(0.0, {"alpha": Feature(0.3, None, 1.0, 0.0)}, "cap")
HELD = Frame(0.0, {"alpha": Feature(0.3, None, 0.2, 0.0)}, "cap", signal="held")
SILENCE = Frame(0.0, {}, "cap", signal="lost")


def follow(guided: Guided, seconds: float, start: float, frame: Frame = GOOD) -> float:
    """Ten frames a second; the time afterwards."""
    for n in range(round(seconds * 10)):
        guided.follow([frame], start + n / 10, "cap")
    return start + seconds


def test_a_person_is_led_from_eyes_open_to_eyes_closed_with_time_to_settle_each() -> None:
    guided = Guided(5.0)
    steps = []
    for n in range(400):
        guided.follow([GOOD], n / 10, "cap")
        if not steps or steps[-1][0] != guided.step:
            steps.append((guided.step, round(guided.left(n / 10))))
    whole = round(5 + SETTLE_S)
    assert steps == [("waiting", round(SETTLE_S)), ("open", whole), ("closed", whole), ("computing", 0)]


def test_nothing_counts_down_before_something_is_heard() -> None:
    guided = Guided(5.0)
    for n in range(40):
        guided.follow([], n / 10, "cap")
    assert guided.step == "waiting" and guided.left(4.0) == SETTLE_S
    follow(guided, 1.0, 4.0)
    assert guided.left(5.0) < SETTLE_S


def test_it_says_how_much_of_the_phase_is_clean_so_far() -> None:
    guided = Guided(20.0)
    now = follow(guided, 2 * SETTLE_S + 1, 0.0)
    assert guided.step == "open" and guided.clean == 1.0
    count = guided.count
    follow(guided, count / 10, now, HELD)
    assert guided.clean == pytest.approx(0.5)


def test_a_stream_that_falls_silent_ends_it_with_the_reason() -> None:
    guided = Guided(60.0)
    now = follow(guided, 4.0, 0.0)
    with pytest.raises(AlphaloomError, match="no clean signal") as caught:
        follow(guided, 20.0, now, SILENCE)
    assert caught.value.code == "no_stream"


def test_a_stream_that_comes_back_with_other_channels_ends_it() -> None:
    guided = Guided(60.0)
    guided.take(FORMAT, np.zeros(1), np.zeros((1, 6)))
    guided.take(StreamFormat("cap", 256.0, ("Fp1",)), np.zeros(1), np.zeros((1, 1)))
    with pytest.raises(AlphaloomError, match="other channels"):
        guided.follow([GOOD], 1.0, "cap")


def test_only_samples_of_the_two_phases_make_the_baseline() -> None:
    guided = Guided(30.0)
    eeg = {"waiting": "jaw", "open": "aroused", "closed": "relaxed", "computing": "jaw"}
    players = {step: SyntheticEEG(1, state, CAP) for step, state in eeg.items()}
    for n in range(800):
        values = players[guided.step].read(26)
        guided.take(FORMAT, (n * 26 + np.arange(26)) / 256, values)
        guided.follow([GOOD], n * 26 / 256, "cap")
    assert guided.step == "computing"
    made = guided.result()
    assert list(made.channels) == list(CAP) and not made.warnings
    assert made.alpha_peak == pytest.approx(10, abs=0.5)
