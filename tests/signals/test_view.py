import io

import numpy as np
import pytest

from protocol.model import Event, Feature, Frame, Performer
from signals import view
from signals.stream import StreamFormat

PERFORMER = Performer(
    "Band", 256.0, {"TP9": "temporal", "AF7": "frontal"}, "microvolts", {"calm": "no parietal or occipital channel"}
)


def feature(value: float, z: float | None = None, confidence: float = 1.0) -> Feature:
    return Feature(value, z, confidence, 10.0)


FEATURES = {
    "emg": feature(0.5),
    "log_alpha": feature(1.0),
    "alpha": feature(0.42, 1.5),
    "alpha.frontal": feature(0.4),
    "delta": feature(0.25, -3.0, 0.2),
    "asymmetry.AF8/AF7": feature(-0.1),
}


def frame(**changes: object) -> Frame:
    return Frame(**({"time": 0.0, "features": FEATURES, "quality": {"TP9": 0.9, "AF7": 0.1}, "age": 0.03} | changes))


def row(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


def test_the_main_features_have_a_line_each_in_the_bands_order() -> None:
    assert view.main_features(FEATURES) == ["delta", "alpha", "asymmetry.AF8/AF7", "emg"]
    text = view.screen(PERFORMER, "", frame())
    assert "log_alpha" not in text and ".frontal" not in text
    alpha = row(text, "alpha")
    assert "0.420" in alpha and "z  +1.5" in alpha and "100%" in alpha


def test_no_row_jumps_when_features_come_and_go() -> None:
    some, none = (view.screen(PERFORMER, "", frame(features=f)) for f in ({"alpha": FEATURES["alpha"]}, {}))
    assert len(some.splitlines()) == len(none.splitlines()) and "–" in row(none, "alpha")


def test_a_bar_grows_from_the_middle_to_the_side_of_its_z() -> None:
    text = view.screen(PERFORMER, "", frame())
    assert "│██████      " in row(text, "alpha")
    assert "████████████│" in row(text, "delta")
    assert "│" not in row(text, "emg")


@pytest.mark.parametrize(
    ("quality", "rms", "word"),
    [(0.9, 20.0, "good"), (0.4, 20.0, "poor"), (0.1, 200.0, "noisy"), (0.0, 0.0, "flat"), (0.0, None, "noisy")],
)
def test_a_channels_quality_is_a_word(quality: float, rms: float | None, word: str) -> None:
    assert view.quality_word(quality, rms) == word


def test_the_picture_says_what_the_stream_is_and_what_it_cannot_give() -> None:
    text = view.screen(PERFORMER, "", frame(), levels={"AF7": 0.01})
    for part in ("Band", "256 Hz", "microvolts", "no baseline", "no calm: no parietal", "30 ms old", "signal good"):
        assert part in text
    assert "TP9 good" in text and "AF7 flat" in text


def test_the_last_events_are_told_with_their_age() -> None:
    events = [Event("blink", 10.0 + n, f"{n} µV") for n in range(8)]
    text = view.screen(PERFORMER, "", frame(), events, now=20.0)
    assert "3.0 s ago  blink 7 µV" in text and "blink 2 µV" not in text


def test_a_lost_signal_and_a_problem_are_said() -> None:
    text = view.screen(PERFORMER, "The stream is gone.", frame(features={}, quality={}, signal="lost", age=4.0))
    assert "signal lost" in text and "The stream is gone." in text and "nothing has come for 4.0 s" in text


def test_before_there_is_a_stream_only_the_problem_is_shown() -> None:
    assert view.screen(None, "looking for it", None) == "looking for it\n"
    assert view.line(None, "looking for it", None) == "looking for it"


def test_before_the_first_window_the_stream_is_shown() -> None:
    assert "Band" in view.screen(PERFORMER, "", None) and view.FIRST_WINDOW in view.screen(PERFORMER, "", None)
    assert view.line(PERFORMER, "", None) == f"Band, {view.FIRST_WINDOW}"


def test_there_are_colours_only_where_they_are_asked_for() -> None:
    assert "\x1b" not in view.screen(PERFORMER, "x", frame(signal="lost"))
    assert "\x1b[31m" in view.screen(PERFORMER, "x", frame(signal="lost"), colour=True)


def test_values_that_are_no_numbers_are_shown_too() -> None:
    features = {"alpha": feature(float("nan"), float("nan")), "beta": feature(float("inf"))}
    assert "nan" in view.screen(PERFORMER, "", frame(features=features))
    assert "inf" in view.line(PERFORMER, "", frame(features=features))


def test_the_line_has_everything_that_changes() -> None:
    text = view.line(PERFORMER, "", frame())
    assert "\n" not in text
    for part in ("Band", "signal good", "age 0.03 s", "alpha 0.420 (z  +1.5)", "TP9 good", "AF7 noisy"):
        assert part in text


def test_levels_are_of_the_last_seconds_and_leave_offsets_and_rubbish_out() -> None:
    levels = view.Levels()
    assert levels.rms() == {}
    values = np.random.default_rng(0).normal(1e5, 20, (1000, 2)) * [1, 0]
    values[-1, 1] = np.nan
    for start in range(0, 1000, 100):
        levels.take(StreamFormat("S", 256.0, ("Cz", "Oz")), np.arange(100.0), values[start : start + 100])
    assert levels.rms() == {"Cz": pytest.approx(20, rel=0.1)}


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_drawn_over_in_place_and_its_cursor_comes_back() -> None:
    out = Screen()
    with view.Terminal(out) as terminal:
        terminal.show("one\ntwo\n")
        terminal.show("three\n")
    text = out.getvalue()
    assert text.startswith("\x1b[?25l") and "\x1b[?25h" in text.rsplit("three", 1)[1]
    assert text.count("\x1b[H") == 2 and "three\x1b[K\n\x1b[J" in text
    assert text.count("\x1b[2J") == 1  # clearing it each time would flicker


def test_a_pipe_gets_plain_lines() -> None:
    out = io.StringIO()
    with view.Terminal(out) as terminal:
        terminal.show("one")
    assert out.getvalue() == "one\n"
