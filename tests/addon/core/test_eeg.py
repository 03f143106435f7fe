import json
from typing import Any

from eeg import frame

from addon.core.eeg import ASK_S, Eeg
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Map, Performer, Rule

MUSE = Performer("muse", 256.0, {"AF7": "frontal"})
ALPHA = Rule("alpha", "cold/warm", 1.2)


class Desk:
    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        """What is to be called with the answer, by path; the newest."""
        self.said: list[Any] = []
        self.eeg = Eeg(lambda method, path, then, body: self.asked.__setitem__(path, then))
        self.eeg.hear(m.Snapshot(Map(), (ALPHA,), (), 0, "", (MUSE,)), 0.0)

    def tick(self, now: float) -> None:
        self.eeg.tick(now, self.said.append)

    def report(self, name: str, *warnings: str) -> None:
        body = {"sham": {"recording": "yesterday"}, "patch": {"name": name, "warnings": warnings}}
        self.asked.pop("/v1/eeg")(json.dumps(body).encode())


def test_whoever_comes_learns_of_presets_baseline_and_patch() -> None:
    desk = Desk()
    desk.tick(0.0)
    assert desk.asked.keys() == {"/v1/patches", "/v1/eeg/baseline?performer=1", "/v1/eeg"}
    desk.asked["/v1/patches"](json.dumps([{"name": "storm", "description": "wild", "rules": []}]).encode())
    assert desk.eeg.presets == (("storm", "wild"),)
    for other in (AlphaloomError("not_found", "an older broker"), b"<html>", b"[1]"):
        desk.asked["/v1/patches"](other)
        desk.asked["/v1/eeg"](other)
    assert desk.eeg.presets == (("storm", "wild"),)
    desk.report("drift", "Rule 2 is idle: there is no performer 2.", "something newer")
    assert (desk.eeg.patch_name, desk.eeg.recording) == ("drift", "yesterday")
    assert desk.eeg.idle == {1: "there is no performer 2."}


def test_a_slider_that_is_dragged_asks_about_the_patch_once_a_second() -> None:
    desk = Desk()
    asked = 0
    for n in range(31):
        desk.eeg.hear(m.SetPatch((Rule("alpha", "cold/warm", n / 10),)), n / 10)
        desk.tick(n * ASK_S / 10)
        asked += desk.asked.pop("/v1/eeg", None) is not None
    assert asked == 4


def test_what_was_turned_is_said_and_taken_back_where_it_is_refused() -> None:
    desk = Desk()
    desk.eeg.patch.turn(0, 99.0)
    desk.tick(5.0)
    assert desk.said == [m.SetPatch((Rule("alpha", "cold/warm", 99.0),))]
    desk.eeg.hear(m.Error("idle_rule", "Rule 1 is idle: why"), 5.1)
    desk.eeg.hear(m.Error("bad_value", "of an edit", about="edit"), 5.1)
    assert desk.eeg.patch.rules[0].amount == 99.0
    desk.eeg.hear(m.Error("bad_patch", "too much"), 5.2)
    assert desk.eeg.patch.rules == (ALPHA,)


def test_each_stream_has_a_history_until_its_performer_is_another() -> None:
    desk = Desk()
    desk.eeg.hear(m.Features(frame(1.0, stream="muse", alpha=1.0)), 1.0)
    desk.eeg.hear(m.Features(frame(1.0, stream="cap", alpha=1.0)), 1.0)
    assert desk.eeg.histories.keys() == {"muse", "cap"}
    desk.eeg.hear(m.Status(0, "", (Performer("cap", 500.0, {}),)), 2.0)
    assert desk.eeg.histories.keys() == {"cap"}
