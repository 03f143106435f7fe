import json
from typing import Any

from addon.core.calibration import EVERY_S, PATH, Calibration
from protocol.errors import AlphaloomError


class Broker:
    """Remembers what it was asked; answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.calibration = Calibration(self._ask)
        self._then: list[Any] = []

    def _ask(self, method: str, path: str, then: Any, body: bytes) -> None:
        self.asked.append((method, path, json.loads(body) if body else None))
        self._then.append(then)

    def say(self, **report: Any) -> None:
        self._then.pop(0)(json.dumps({"performer": 1, "step": "none", "seconds": 0.0} | report).encode())

    def refuse(self, message: str) -> None:
        self._then.pop(0)(AlphaloomError("calibrating", message))


def running(step: str = "open", **report: Any) -> Broker:
    broker = Broker()
    broker.calibration.begin(1, 60)
    broker.say(step=step, seconds=40.0, **report)
    return broker


def test_it_asks_twice_a_second_while_it_runs_and_never_twice_at_once() -> None:
    broker = running()
    assert broker.asked == [("POST", PATH, {"performer": 1, "seconds": 60})]
    for n in range(30):
        broker.calibration.tick(n * EVERY_S / 10)
    assert broker.asked[1:] == [("GET", f"{PATH}?performer=1", None)]  # it was not answered yet
    broker.say(step="done", made=1.0)
    broker.calibration.tick(99.0)
    assert len(broker.asked) == 2 and not broker.calibration.runs


def test_eyes_that_were_closed_are_told_when_they_may_open_however_it_ends() -> None:
    for end in ({"step": "computing"}, {"step": "failed", "problem": "no"}):
        broker = running("closed")
        broker.calibration.tick(9.0)
        assert not broker.calibration.eyes_may_open
        broker.say(**end)
        assert broker.calibration.eyes_may_open
    broker = running("closed")
    broker.calibration.tick(9.0)
    broker.refuse("the broker is gone")
    assert broker.calibration.eyes_may_open and not broker.calibration.runs
    assert broker.calibration.problem == "the broker is gone"


def test_what_the_broker_says_against_it_is_kept_until_it_says_something_else() -> None:
    broker = Broker()
    broker.calibration.begin(1, 60)
    broker.refuse("it runs already")
    assert broker.calibration.problem == "it runs already" and not broker.calibration.runs
    broker.calibration.begin(1, 60)
    broker.say(step="waiting")
    assert broker.calibration.runs and not broker.calibration.problem


def test_a_report_is_taken_as_it_is_and_what_is_none_is_said() -> None:
    broker = running("done", alpha_peak=10.2, warnings=["w"], made=5.0, file="/x", newer="field")
    report = broker.calibration.report
    assert (report.alpha_peak, report.warnings, report.file) == (10.2, ("w",), "/x")
    broker.calibration.look(2)
    broker._then.pop(0)(b"<html>")
    assert "cannot be read" in broker.calibration.problem


def test_to_end_it_names_the_performer_that_it_is_about() -> None:
    broker = running(performer=2)
    broker.calibration.end()
    assert broker.asked[-1][:2] == ("DELETE", f"{PATH}?performer=2")


def test_nobody_sits_with_closed_eyes_when_the_broker_is_gone() -> None:
    broker = running("closed")
    broker.calibration.lost()
    assert broker.calibration.eyes_may_open and not broker.calibration.runs
    assert "gone" in broker.calibration.problem
    broker.calibration.look(1)
    broker.say(step="closed", seconds=9.0)  # it is back, and it goes on
    assert broker.calibration.runs and not broker.calibration.problem
