"""Who plays, and where the patch stands: frames in, positions out. Pure but for being told the time."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from protocol import wire
from protocol.errors import AlphaloomError
from protocol.model import Frame, Performer, Rule
from signals import patch, patch_files
from signals.patch_files import Patch

from .compose import Playing

FRAME_AGE_S = 2.0
"""A frame older than this is not merged: better no EEG than a stale one."""


class Player:
    """The performers, their newest frames, the patch, and the recording that may drive in their stead."""

    def __init__(self) -> None:
        self.patch: Patch = patch_files.load(patch_files.DEFAULT)
        self.performers: dict[int, Performer] = {}
        self.problems: dict[int, str] = {}
        self.frames: dict[int, Frame] = {}
        self.recording = ""
        """The name of the sham's recording; empty where none was given."""
        self.sham = False
        self._sham_frame: Frame | None = None
        self._state = patch.start(self.patch.rules)
        self._said: set[str] = set()

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self.patch.rules

    def set_patch(self, new: Patch) -> None:
        """Raises AlphaloomError `bad_patch`; the old patch then stays."""
        patch_files.check(new.rules)
        self._state = patch.carry(self.rules, self._state, new.rules)
        self.patch = new
        self._said.clear()

    def set_sham(self, on: bool) -> None:
        """Raises AlphaloomError `no_sham`."""
        if on and not self.recording:
            raise AlphaloomError("no_sham", "No recording stands by: start the broker with --sham FILE.")
        self.sham = on

    # -- what is heard --

    def hear(self, number: int, frame: Frame, now: float) -> Frame:
        """A performer's newest frame; what of it may be shown."""
        self.frames[number] = frame = _finite(frame)
        self.tick(now)
        return frame

    def hear_sham(self, frame: Frame, now: float) -> None:
        self._sham_frame = _finite(frame)
        self.tick(now)

    def tick(self, now: float) -> None:
        """Let time pass, too: where a stream has died, what it moved goes back."""
        self._state = patch.step(self.rules, self._state, self._driving(now), now)

    def _driving(self, now: float) -> dict[int, Frame]:
        """The frames that drive now, by performer. One recording stands in for all."""
        frames = self.frames
        if self.sham:
            frames = dict.fromkeys(patch.performers(self.rules), self._sham_frame) if self._sham_frame else {}
        return {number: frame for number, frame in frames.items() if abs(now - frame.time) <= FRAME_AGE_S}

    # -- what comes of it --

    def playing(self, now: float) -> Playing:
        numbers = patch.performers(self.rules)
        streams = {n: self.recording if self.sham else self.frames[n].stream for n in numbers if self.sham or n in self.frames}
        time = max((frame.time for frame in self._driving(now).values()), default=now)
        return Playing(self.rules, self._state, time, streams, self.sham)

    def heard(self) -> tuple[Performer, ...]:
        """The performers that have been found, in their order."""
        return tuple(performer for _, performer in sorted(self.performers.items()))

    def status(self) -> str:
        """The streams' names, or why there is none."""
        heard = [
            problem or self.performers[number].stream
            for number, problem in sorted(self.problems.items())
            if problem or number in self.performers
        ]
        return "; ".join(heard)

    def warnings(self) -> list[str]:
        """What in the patch does not move, and why."""
        silent = [
            f"Rule {number} is idle: there is no performer {rule.performer}; name its stream with --eeg."
            for number, rule in enumerate(self.rules, 1)
            if self.problems and rule.performer not in self.problems
        ]
        alone = [
            f"Rule {number} is idle: 'synchrony' needs two performers; name both with --eeg."
            for number, rule in enumerate(self.rules, 1)
            if rule.feature == "synchrony" and len(self.problems) == 1
        ]
        frames = [(number, rule, self.frames.get(rule.performer)) for number, rule in enumerate(self.rules, 1)]
        unknown = [
            f"Rule {number} is idle: {rule.feature!r} can only be compared with a baseline; give one with --baseline."
            for number, rule, frame in frames
            if frame and rule.feature in frame.features and frame.features[rule.feature].z is None
        ]
        return patch_files.warnings(self.rules, self.performers) + silent + alone + unknown

    def news(self) -> list[str]:
        """The warnings that have not been said yet."""
        fresh = [line for line in self.warnings() if line not in self._said]
        self._said.update(fresh)
        return fresh

    def report(self) -> dict[str, Any]:
        """Everything about the EEG, as JSON takes it."""
        cables = zip(self.rules, self._state, strict=True)
        return {
            "performers": {n: wire.plain(performer) for n, performer in sorted(self.performers.items())},
            "frames": {n: wire.plain(frame) for n, frame in self.frames.items()},
            "sham": {"on": self.sham, "recording": self.recording, "frame": wire.plain(self._sham_frame)},
            "patch": {
                "name": self.patch.name,
                "rules": [
                    {"performer": rule.performer, "feature": rule.feature, "target": rule.target, "signal": cable.signal}
                    | {"position": round(cable.position, 4), "seeds": cable.count}
                    for rule, cable in cables
                ],
                "warnings": self.warnings(),
            },
        }


def _finite(frame: Frame) -> Frame:
    """A number that is none must not reach the patch, nor JSON."""
    features = {
        name: one
        for name, one in frame.features.items()
        if all(map(math.isfinite, (one.value, one.confidence, one.time, one.z or 0.0)))
    }
    return frame if len(features) == len(frame.features) else replace(frame, features=features)
