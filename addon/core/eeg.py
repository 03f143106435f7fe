"""What this side does with EEG: histories for the plot, the patch, the calibration. No `bpy`; the session drives it."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable
from typing import Any

from .arrays import HAS_NUMPY
from .calibration import Ask, Calibration
from .history import History
from .patching import Patching
from .shared import errors, model
from .shared import messages as m

ASK_S = 1.0
"""Between two questions about the patch."""
_UNREADABLE = (ValueError, KeyError, TypeError)
"""What reading something else than was asked for raises."""
_IDLE = re.compile(r"Rule (\d+) is idle: (.*)", re.DOTALL)


class Eeg:
    def __init__(self, ask: Ask):
        self.histories: dict[str, History] = {}
        """By stream."""
        self.patch = Patching()
        self.patch_name = ""
        self.presets: tuple[tuple[str, str], ...] = ()
        """Names and descriptions."""
        self.idle: dict[int, str] = {}
        """Why a rule moves nothing, by its number from 0."""
        self.recording = ""
        """The sham's; empty where the broker was given none."""
        self.calibration = Calibration(ask)
        self._ask = ask
        self._performers: tuple[model.Performer, ...] = ()
        self._is_stale = False
        self._asked_at = -math.inf

    def hear(self, message: Any, now: float) -> None:
        """`now` in seconds of a clock that is never set back."""
        if isinstance(message, m.Features) and HAS_NUMPY:
            self.histories.setdefault(message.frame.stream, History()).hear(message.frame, now)
        elif isinstance(message, m.Snapshot):
            self.patch.arrived(message.patch)
            self._ask("GET", "/v1/patches", self._take_presets, b"")
            self._see(message.performers)
        elif isinstance(message, m.Status):
            if message.performers != self._performers:
                self._see(message.performers)
        elif isinstance(message, m.SetPatch):
            self.patch.heard(message.rules)
            self._is_stale = True
        elif isinstance(message, m.Error) and not message.about and message.code != "idle_rule":
            self.patch.refused()

    def tick(self, now: float, say: Callable[[Any], None]) -> None:
        """Called while the broker is there."""
        rules = self.patch.due(now)
        if rules is not None:
            say(m.SetPatch(rules))
        self.calibration.tick(now)
        if self._is_stale and now - self._asked_at >= ASK_S:
            self._is_stale, self._asked_at = False, now
            self._ask("GET", "/v1/eeg", self._take_report, b"")

    def _see(self, performers: tuple[model.Performer, ...]) -> None:
        self._performers, self._is_stale = performers, True
        for stream in self.histories.keys() - {performer.stream for performer in performers}:
            del self.histories[stream]
        if not self.calibration.runs:
            self.calibration.look(self.calibration.report.performer)

    def _take_presets(self, said: bytes | errors.AlphaloomError) -> None:
        with contextlib.suppress(errors.AlphaloomError, *_UNREADABLE):  # an older broker has none, and plays all the same
            self.presets = tuple((str(one["name"]), str(one["description"])) for one in _read(said))

    def _take_report(self, said: bytes | errors.AlphaloomError) -> None:
        with contextlib.suppress(errors.AlphaloomError, *_UNREADABLE):  # what is shown stays; the next change asks again
            body = _read(said)
            self.recording, self.patch_name = str(body["sham"]["recording"]), str(body["patch"]["name"])
            found = filter(None, map(_IDLE.fullmatch, body["patch"]["warnings"]))
            self.idle = {int(one[1]) - 1: one[2] for one in found}


def _read(said: bytes | errors.AlphaloomError) -> Any:
    if isinstance(said, errors.AlphaloomError):
        raise said
    return json.loads(said)
