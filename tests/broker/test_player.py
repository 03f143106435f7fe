import json
import math

import pytest
from eeg import frame

from broker.player import FRAME_AGE_S, Player
from protocol.errors import AlphaloomError
from protocol.model import Performer, Rule
from signals import patch_files
from signals.patch_files import Patch

MUSE = Performer("Muse", 256.0, {"TP9": "temporal"}, missing={"calm": "no posterior site"})
GUIDANCE = Rule("alpha", "guidance", 2.0)


def a_player(*rules: Rule) -> Player:
    player = Player()
    player.set_patch(Patch("test", "", rules or (GUIDANCE,)))
    return player


def position(player: Player, rule: int = 0) -> float:
    return player.playing(0.0).state[rule].position


def listen(player: Player, z: float, start: float, seconds: float = 5, number: int = 1, **more) -> float:
    """A performer plays for some seconds, live; the time afterwards."""
    for n in range(round(seconds * 10)):
        player.hear(number, frame(start + n / 10, alpha=z, **more), start + n / 10 + 0.01)
    return start + seconds


def test_the_default_patch_plays_from_the_start() -> None:
    player = Player()
    assert player.patch == patch_files.load(patch_files.DEFAULT)
    listen(player, 2.0, 100)
    assert position(player) > 0.5


def test_a_dead_stream_is_held_and_then_goes_back_though_nothing_is_heard() -> None:
    player = a_player()
    now = listen(player, 2.0, 100)
    before = position(player)
    for n in range(100):
        player.tick(now + n / 10)
        if n / 10 < FRAME_AGE_S:
            assert position(player) == before
    assert position(player) == 0


def test_frames_that_come_late_count_as_none() -> None:
    player = a_player()
    player.hear(1, frame(100.0, alpha=3.0), 100.0 + FRAME_AGE_S + 0.1)
    for n in range(30):
        player.hear(1, frame(100.1 + n / 10, alpha=3.0), 100.2 + n / 10 + FRAME_AGE_S)
    assert position(player) == 0


def test_another_patch_takes_over_where_the_old_one_stood() -> None:
    player = a_player()
    listen(player, 2.0, 100)
    before = position(player)
    player.set_patch(Patch("other", "", (Rule("beta", "blend", 0.3), GUIDANCE)))
    assert (position(player, 0), position(player, 1)) == (0, before)
    with pytest.raises(AlphaloomError, match="'speed'"):
        player.set_patch(Patch("bad", "", (Rule("alpha", "speed", 1.0),)))
    assert player.patch.name == "other" and position(player, 1) == before


def test_while_the_sham_is_on_only_the_recording_drives() -> None:
    player = a_player(GUIDANCE, Rule("alpha", "blend", 0.3, performer=2))
    player.recording = "yesterday"
    now = listen(player, 2.0, 100)
    live = position(player)
    player.set_sham(True)
    assert position(player) == live
    for n in range(50):
        player.hear_sham(frame(now + n / 10, alpha=-2.0, stream="yesterday"), now + n / 10)
        player.hear(1, frame(now + n / 10, alpha=3.0), now + n / 10)
    assert position(player, 0) == pytest.approx(-live, abs=0.05) and position(player, 1) < -0.5
    assert player.frames[1].features["alpha"].z == 3.0
    playing = player.playing(now + 5)
    assert playing.sham and playing.streams == {1: "yesterday", 2: "yesterday"}
    player.set_sham(False)
    listen(player, 2.0, now + 5)
    assert position(player) == pytest.approx(live, abs=0.05)


def test_a_sham_without_a_recording_is_refused() -> None:
    with pytest.raises(AlphaloomError, match="--sham FILE"):
        a_player().set_sham(True)


def test_two_performers_play_each_their_own_rule() -> None:
    player = a_player(GUIDANCE, Rule("alpha", "blend", 0.3, performer=2))
    for n in range(50):
        listen(player, 2.0, 100 + n / 10, 0.1, 1, stream="one")
        listen(player, -2.0, 100 + n / 10, 0.1, 2, stream="two")
    assert position(player, 0) > 0.5 and position(player, 1) < -0.5
    assert player.playing(105).streams == {1: "one", 2: "two"}


def test_numbers_that_are_none_are_not_passed_on() -> None:
    player = a_player()
    shown = player.hear(1, frame(100.0, alpha=math.nan, beta=1.0), 100.0)
    assert set(shown.features) == {"beta"}
    json.dumps(player.report(), allow_nan=False)


def test_what_does_not_move_is_said_with_the_reason() -> None:
    player = a_player(Rule("calm", "blend", 0.3), Rule("alpha", "guidance", 1.0, performer=2), Rule("synchrony", "blend", 0.2))
    assert player.warnings() == []
    player.performers[1], player.problems[1] = MUSE, ""
    calm, second, alone = player.warnings()
    assert "two performers" in alone and "no posterior site" in calm and "performer 2" in second and "--eeg" in second


def test_a_feature_with_nothing_to_compare_it_with_is_reported_once() -> None:
    player = a_player(Rule("log_alpha", "blend", 0.3))
    said = []
    for n in range(5):
        player.hear(1, frame(100 + n / 10, log_alpha=None), 100 + n / 10)
        said += player.news()
    assert len(said) == 1 and "'log_alpha'" in said[0] and "--baseline" in said[0]
    assert player.warnings() == said


def test_the_report_has_performers_frames_positions_and_sham() -> None:
    player = a_player()
    player.performers[1], player.problems[1] = MUSE, ""
    listen(player, 2.0, 100)
    report = json.loads(json.dumps(player.report(), allow_nan=False))
    assert report["performers"]["1"]["stream"] == "Muse" and report["frames"]["1"]["features"]["alpha"]["z"] == 2.0
    (rule,) = report["patch"]["rules"]
    assert rule["signal"] == "good" and rule["position"] > 0.5 and not report["sham"]["on"]
