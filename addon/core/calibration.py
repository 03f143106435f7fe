"""A calibration that the broker leads, followed from here. No `bpy`.

The broker is asked how it stands: twice a second while it runs, and once when who is heard has changed.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from .shared import errors

EVERY_S = 0.5
PATH = "/v1/eeg/baseline"
ENDED = ("none", "done", "failed")

Then = Callable[[bytes | errors.AlphaloomError], None]
Ask = Callable[[str, str, Then, bytes], None]


@dataclass(frozen=True)
class Report:
    """As the broker says it, see docs/eeg.md."""

    performer: int = 1
    step: str = "none"
    seconds: float = 0.0
    clean: float | None = None
    problem: str = ""
    alpha_peak: float | None = None
    warnings: tuple[str, ...] = ()
    made: float = 0.0
    file: str = ""


class Calibration:
    def __init__(self, ask: Ask):
        self.report = Report()
        self.problem = ""
        """Why the broker could not be asked, or would not."""
        self.eyes_may_open = False
        """Set when eyes that were closed may open: who hears of it takes it back."""
        self._ask, self._asked_at, self._waits = ask, -math.inf, False
        self._told_at = self._whole = 0.0

    @property
    def runs(self) -> bool:
        return self.report.step not in ENDED

    def left(self) -> float:
        """Seconds until the next step."""
        return max(0.0, self.report.seconds - (time.monotonic() - self._told_at))

    def done(self) -> float:
        """How much of this step is over, 0..1."""
        return 1 - self.left() / self._whole if self._whole else 0.0

    def begin(self, performer: int, seconds: float) -> None:
        self._say("POST", PATH, json.dumps({"performer": performer, "seconds": seconds}).encode())

    def end(self) -> None:
        """Call it off; where none runs, delete what is kept."""
        self._say("DELETE", f"{PATH}?performer={self.report.performer}")

    def look(self, performer: int) -> None:
        self._say("GET", f"{PATH}?performer={performer}")

    def tick(self, now: float) -> None:
        if self.runs and not self._waits and now - self._asked_at >= EVERY_S:
            self._asked_at = now
            self.look(self.report.performer)

    def lost(self) -> None:
        """The broker is not there any more: nobody shall sit with closed eyes and wait for it."""
        self._take(errors.AlphaloomError("no_broker", "The broker is gone: you may open your eyes."))

    def _say(self, method: str, path: str, body: bytes = b"") -> None:
        self._waits = True
        self._ask(method, path, self._answered, body)

    def _answered(self, said: bytes | errors.AlphaloomError) -> None:
        self._waits = False
        try:
            report = said if isinstance(said, errors.AlphaloomError) else _read(json.loads(said))
        except (ValueError, TypeError, AttributeError) as problem:
            report = errors.AlphaloomError("bad_answer", f"The broker's answer about the baseline cannot be read: {problem}.")
        self._take(report)

    def _take(self, report: Report | errors.AlphaloomError) -> None:
        before, self._told_at = self.report.step, time.monotonic()
        if isinstance(report, errors.AlphaloomError):
            self.report, self.problem = Report(self.report.performer), report.message
        else:
            self.report, self.problem = report, ""
        if self.report.step != before:
            self._whole = self.report.seconds
        if before == "closed" and self.report.step != "closed":
            self.eyes_may_open = True


def _read(body: Any) -> Report:
    known = {field.name: body[field.name] for field in fields(Report) if field.name in body}
    known["warnings"] = tuple(known.get("warnings", ()))
    return Report(**known)
