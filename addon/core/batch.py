"""One node over many frames, each a picture file. No `bpy`: it is stepped, and hears what the broker says.

One way through for a frame: ask what would be run for the node (with the frame's own values, moved by the EEG) → ask for
that picture as one's own → write it. The node and its history stay as they are.

Design notes
- A lost connection costs nothing: what was asked is asked again by the outbox, what was missed is looked up.
- Each step that waits for an answer has a turn; what is said of an earlier turn is not heard.
- A frame that cannot be made is remembered with its reason, and the others go on. What would stop all of them (the node is
  gone, the disk is full) stops the batch.
"""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from .shared import errors, model, wire
from .shared import messages as m

AT_ONCE = 4
"""Frames under way; with EEG there is one, for it is to be of its moment."""
AGAIN_S = 1.0
_LATER = errors.PASSING | {"no_broker", "offline", "too_many_requests", "queue_full", "too_many_waiting", "unknown_job"}
_STOPS = ("unknown_node", "unknown_room", "forbidden", "bad_token", "token_needed")

Then = Callable[[bytes | errors.AlphaloomError], None]


@dataclass
class Frame:
    number: int
    file: Path
    values: Mapping[str, float] = field(default_factory=dict)
    """Settings that go before the node's own."""
    job: str = ""
    picture: str = ""
    """Its blob, once that is known."""
    turn: int = 0
    missed: bool = False
    """The connection was lost since it was asked for: its picture may have been told already."""


class Batch:
    def __init__(
        self,
        room: str,
        node: str,
        frames: Iterable[Frame],
        eeg: bool,
        ask: Callable[[str, str, Then], None],
        say: Callable[[object], None],
    ):
        """`ask` asks the broker over HTTP, `say` says a message."""
        self.node, self._room, self._eeg = node, room, eeg
        self._ask, self._say = ask, say
        self._waiting = collections.deque(frames)
        self._open: dict[int, Frame] = {}
        """By their numbers."""
        self._not_before = 0.0
        self._now = 0.0
        self.total, self.done = len(self._waiting), 0
        self.failed: dict[int, str] = {}
        """Why, by frame."""
        self.problem = ""
        """Why it has stopped before its end."""

    @property
    def is_over(self) -> bool:
        return not self._waiting and not self._open

    def step(self, now: float) -> None:
        """Begin what can be begun. Called now and then while the broker is there; `now` is any clock's seconds."""
        self._now = now
        while self._waiting and len(self._open) < (1 if self._eeg else AT_ONCE) and now >= self._not_before:
            frame = self._waiting.popleft()
            self._open[frame.number] = frame
            values = {"eeg": "true" if self._eeg else "false"} | frame.values
            path = f"/v1/rooms/{quote(self._room)}/nodes/{quote(self.node)}/request?{urlencode(values)}"
            self._next(frame, path, self._resolved)

    def stop(self, problem: str) -> None:
        """Call off what is left."""
        for frame in self._open.values():
            frame.turn += 1
            if frame.job:
                self._say(m.Cancel(frame.job))
        self._waiting.clear()
        self._open.clear()
        self.problem = problem

    def hear(self, message: object) -> None:
        if isinstance(message, m.Snapshot):
            self._come_back()
        elif isinstance(message, m.JobChanged):
            frame = self._of(message.job.id)
            if frame is not None:
                self._job(frame, message.job)
        elif isinstance(message, m.Picture) and not message.node:
            frame = self._of(message.job)
            if frame is not None:
                self._write(frame, message.payload)
        elif isinstance(message, m.Error):
            frame = self._of(message.about)
            if frame is not None and message.code not in errors.PASSING:  # those the outbox says again
                self._refused(frame, errors.AlphaloomError(message.code, message.message))

    # -- a frame's way --

    def _next(self, frame: Frame, path: str, then: Callable[[Frame, bytes], None]) -> None:
        frame.turn += 1
        self._ask("GET", path, partial(self._answered, frame, frame.turn, then))

    def _answered(
        self, frame: Frame, turn: int, then: Callable[[Frame, bytes], None], said: bytes | errors.AlphaloomError
    ) -> None:
        if frame.turn != turn:
            return
        if isinstance(said, errors.AlphaloomError):
            self._refused(frame, said)
            return
        try:
            then(frame, said)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            self._fail(frame, f"The broker's answer cannot be read: {problem!r}.")

    def _resolved(self, frame: Frame, said: bytes) -> None:
        frame.job = model.new_id()
        self._say(m.Generate("", frame.job, request=_built(model.ResolvedRequest, said)))

    def _job(self, frame: Frame, job: model.Job) -> None:
        if job.state not in model.ENDED or frame.picture:
            return
        if job.picture is None:
            self._fail(frame, job.error or job.state)
            return
        frame.picture = job.picture
        if job.cached or frame.missed:  # else the picture comes by itself
            self._fetch(frame)

    def _fetch(self, frame: Frame) -> None:
        self._next(frame, f"/v1/blobs/{frame.picture}", self._write)

    def _write(self, frame: Frame, data: bytes) -> None:
        frame.turn += 1
        try:
            write(frame.file, data)
        except OSError as problem:
            self.stop(f"{frame.file} cannot be written: {problem.strerror}.")
            return
        del self._open[frame.number]
        self.done += 1

    def _refused(self, frame: Frame, why: errors.AlphaloomError) -> None:
        if why.code in _STOPS:
            self.stop(why.message)
        elif why.code in _LATER:
            self._again(frame)
        else:
            self._fail(frame, why.message)

    def _again(self, frame: Frame) -> None:
        """From the beginning, a little later."""
        frame.turn += 1
        frame.job = frame.picture = ""
        frame.missed = False
        self._open.pop(frame.number, None)
        self._waiting.appendleft(frame)
        self._not_before = self._now + AGAIN_S

    def _fail(self, frame: Frame, why: str) -> None:
        frame.turn += 1
        self._open.pop(frame.number, None)
        self.failed[frame.number] = why

    # -- after a lost connection --

    def _come_back(self) -> None:
        self._not_before = 0.0
        for frame in list(self._open.values()):
            frame.missed = True
            if frame.picture:
                self._fetch(frame)
            elif frame.job:
                self._next(frame, f"/v1/jobs/{frame.job}", self._looked_up)
            else:
                self._again(frame)

    def _looked_up(self, frame: Frame, said: bytes) -> None:
        self._job(frame, _built(model.Job, said))

    def _of(self, job: str) -> Frame | None:
        return next((frame for frame in self._open.values() if job and frame.job == job), None)


def _built(kind: type, said: bytes) -> Any:
    return wire.build(kind, json.loads(said))


def write(file: Path, data: bytes) -> None:
    """All of it or, where that fails, nothing: a file that was there stays. Raises OSError."""
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, file)
    except OSError:
        part.unlink(missing_ok=True)
        raise
