"""EEG in the sidebar: what is heard, the patch, the calibration; with a real broker and, where it matters, a real stream."""

import os
from pathlib import Path

import bpy
import pytest
from eeg import frame

import addon
from addon import plot
from addon.core.shared import messages as m
from addon.core.shared import model
from addon.panels import eeg
from addon.session import session

MUSE = model.Performer("muse", 256.0, {"AF7": "frontal"}, missing={"calm": "no posterior site"})
OTHER = model.Performer("cap", 500.0, {"O1": "occipital"})
ALPHA = model.Rule("alpha", "cold/warm", 1.2)


def hear(*messages: object) -> None:
    """As if the broker had said it."""
    session.connection.inbox.extend(messages)


def amounts() -> bpy.types.PropertyGroup:
    return bpy.context.window_manager.alphaloom_amounts


def fields() -> bpy.types.PropertyGroup:
    return bpy.context.window_manager.alphaloom_eeg


@pytest.fixture
def played(other):
    """One rule plays, and both sides know it."""
    other.connection.send(m.SetPatch((ALPHA,)))
    other.until(lambda: session.eeg.patch.rules == (ALPHA,))
    return other


def test_an_amount_that_is_turned_here_plays_everywhere_and_one_that_is_turned_there_shows_here(played) -> None:
    assert amounts().amount_0 == pytest.approx(1.2)
    amounts().amount_0 = -0.35
    assert amounts().amount_0 == pytest.approx(-0.35)  # at once
    played.until(lambda: session.eeg.patch._truth == (model.Rule("alpha", "cold/warm", -0.35),))
    played.connection.send(m.SetPatch((model.Rule("alpha", "cold/warm", 0.1),)))
    played.until(lambda: session.eeg.patch.rules[0].amount == 0.1)
    assert amounts().amount_0 == pytest.approx(0.1)


def test_reading_and_writing_amounts_adds_no_digits(played) -> None:
    for _ in range(3):
        amounts().amount_0 = amounts().amount_0
    assert session.eeg.patch.rules == (ALPHA,) and session.eeg.patch.due(float("inf")) is None


def test_rules_are_added_and_removed_by_their_buttons(played, ticks) -> None:
    fields().feature, fields().target, fields().amount = "engage", "seed", 2.4
    assert bpy.ops.alphaloom.add_rule() == {"FINISHED"}
    seed = model.Rule("engage", "seed", 2.0)
    ticks(lambda: session.eeg.patch._truth == (ALPHA, seed))
    amounts().seeds_1 = -3
    ticks(lambda: session.eeg.patch._truth == (ALPHA, model.Rule("engage", "seed", -3.0)))
    bpy.ops.alphaloom.remove_rule(number=0)
    ticks(lambda: len(session.eeg.patch._truth) == 1)
    with pytest.raises(RuntimeError, match="no rule 8"):
        bpy.ops.alphaloom.remove_rule(number=7)


def test_a_rule_that_cannot_be_is_refused_with_the_reason_and_the_fields_stay(played, ticks) -> None:
    fields().feature, fields().target = "alhpa", "guidance"
    bpy.ops.alphaloom.add_rule()
    ticks(lambda: "alhpa" in session.mirror.error)
    assert session.eeg.patch.rules == (ALPHA,) and fields().feature == "alhpa"
    fields().target = " "
    assert not bpy.ops.alphaloom.add_rule.poll()


def test_a_preset_is_chosen_by_name_and_an_unknown_one_is_said(online: str, ticks) -> None:
    ticks(lambda: {name for name, _ in session.eeg.presets} == {"drift", "mirror", "storm"})
    bpy.ops.alphaloom.play_preset(name="storm")
    ticks(lambda: session.eeg.patch_name == "storm")
    assert any(rule.target == "calm/wild" for rule in session.eeg.patch.rules)
    bpy.ops.alphaloom.play_preset(name="hurricane")
    ticks(lambda: "hurricane" in session.mirror.error)


def test_idle_rules_are_said_where_they_stand_and_not_as_an_error(played, ticks) -> None:
    session.eeg._take_report(
        b'{"sham": {"recording": ""}, "patch": {"name": "x", "warnings": ["Rule 2 is idle: there is no performer 2."]}}'
    )
    assert session.eeg.idle == {1: "there is no performer 2."}
    hear(m.Error("idle_rule", "Rule 2 is idle: there is no performer 2."))
    ticks(lambda: not session.connection.inbox)
    assert session.mirror.error == ""


def test_each_performer_has_frames_and_a_history_of_its_own(online: str, ticks) -> None:
    hear(m.Status(0, "muse; cap", (MUSE, OTHER)))
    hear(m.Features(frame(100.0, stream="muse", alpha=1.0)), m.Features(frame(100.1, stream="cap", calm=2.0)))
    ticks(lambda: len(session.mirror.frames) == 2)
    assert session.mirror.frame is session.mirror.frames["muse"]  # drivers follow the first
    assert session.eeg.histories["cap"].names() == {"calm"}
    assert eeg.performer(bpy.context) == MUSE
    fields().performer = 2
    assert eeg.performer(bpy.context) == OTHER
    hear(m.Status(0, "muse", (MUSE,)))
    ticks(lambda: session.eeg.histories.keys() == {"muse"})
    assert eeg.performer(bpy.context) == MUSE


def test_the_plot_shows_what_was_chosen_of_what_there_is_and_draws_it(online: str, ticks) -> None:
    heard = {"alpha", "alpha.frontal", "beta", "asymmetry.AF8/AF7", "emg"}
    assert eeg.shown({"emg", "calm", "alpha"}, heard) == ("alpha", "emg")
    assert eeg.shown({"asymmetry"}, heard) == ("asymmetry.AF8/AF7",)
    plot.icon("muse", ("alpha",))
    before = list(plot._icons["plot"].image_pixels)
    hear(*(m.Features(frame(100 + n / 10, stream="muse", alpha=n / 10)) for n in range(50)))
    ticks(lambda: not session.connection.inbox)
    plot.draw()
    assert list(plot._icons["plot"].image_pixels) != before


def test_the_signal_is_a_sentence_and_channels_come_worst_first() -> None:
    assert eeg.state_of(model.Frame(0.0, {}))[1] == "CHECKMARK"
    assert "held" in eeg.state_of(model.Frame(0.0, {}, signal="held"))[0]
    assert "4 s" in eeg.state_of(model.Frame(0.0, {}, signal="lost", age=4.2))[0]
    channels = model.Frame(0.0, {}, quality={"AF7": 0.9, "TP9": 0.1, "AF8": 0.6})
    assert [name for name, _ in eeg.by_quality(channels)] == ["TP9", "AF8", "AF7"]


def test_without_a_recording_or_a_headset_the_buttons_are_off(online: str) -> None:
    for name in ("sham", "calibrate", "end_calibration", "delete_baseline"):
        assert not getattr(bpy.ops.alphaloom, name).poll(), name


@pytest.fixture(scope="module")
def stage(start_programs, tmp_path_factory) -> tuple[str, Path]:
    """A broker with a performer, and its data folder."""
    programs, data, stream = start_programs(), tmp_path_factory.mktemp("stage"), f"test-{os.getpid()}-stage"
    programs.synth(stream)
    return programs.broker(data, "--eeg", stream), data


@pytest.fixture
def kept(stage: tuple[str, Path], ticks) -> Path:
    """A session where somebody performs; where baselines are kept."""
    broker, data = stage
    session.open(broker)
    ticks(lambda: bool(session.mirror.performers))
    return data / "baselines"


def test_a_person_is_led_through_a_calibration_which_counts_at_once(kept: Path, ticks) -> None:
    assert session.mirror.performers[0].baseline == ""
    bpy.ops.alphaloom.calibrate(seconds=5)
    steps: list[str] = []

    def has_ended() -> bool:
        step = session.eeg.calibration.report.step
        if not steps or steps[-1] != step:
            steps.append(step)
        return step in ("done", "failed")

    ticks(has_ended)
    assert steps[-4:] == ["open", "closed", "computing", "done"] or steps[-3:] == ["open", "closed", "done"], steps
    ticks(lambda: session.mirror.performers[0].baseline != "")
    assert list(kept.iterdir())
    assert bpy.ops.alphaloom.delete_baseline.poll()
    bpy.ops.alphaloom.delete_baseline()
    ticks(lambda: session.mirror.performers[0].baseline == "" and not session.eeg.calibration.report.file)


def test_a_calibration_is_called_off(kept: Path, ticks) -> None:
    bpy.ops.alphaloom.calibrate(seconds=60)
    ticks(lambda: session.eeg.calibration.runs)
    assert not bpy.ops.alphaloom.calibrate.poll()
    bpy.ops.alphaloom.end_calibration()
    ticks(lambda: not session.eeg.calibration.runs)
    assert session.eeg.calibration.problem == ""


def test_it_registers_again_and_again_without_a_trace() -> None:
    for _ in range(20):
        addon.unregister()
        assert not hasattr(bpy.types.WindowManager, "alphaloom_amounts") and plot._icons is None
        addon.register()
    assert bpy.app.timers.is_registered(plot._timer)
