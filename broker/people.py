"""Who is connected: one connection of one person, in one room."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Event, Frame, Presence, new_id

from .outbox import Letter, Outbox
from .who import Who

MAX_FRAMES_HZ = 20.0
MAX_SELECTED = 1000
_EARLY_S = 0.01
"""A frame may come so much too early: EEG jitters."""


class Client:
    def __init__(self, who: Who, room: str, outbox: Outbox | None = None):
        self.who, self.room = who, room
        self.id = new_id()
        self.outbox = outbox or Outbox()
        self.selected: tuple[str, ...] = ()
        self.left = False
        self._interval = 0.0
        self._due: dict[str, float] = {}
        self._events: dict[str, tuple[Event, ...]] = {}

    @property
    def presence(self) -> Presence:
        return Presence(self.id, self.who.person, self.selected)

    def put(self, message: object) -> None:
        self.outbox.put(message)

    def select(self, nodes: tuple[str, ...], known: Iterable[str]) -> None:
        if len(nodes) > MAX_SELECTED:
            raise AlphaloomError(
                "bad_value", f"{len(nodes)} nodes are selected; the most told is {MAX_SELECTED}.", field="nodes"
            )
        there = set(known)
        self.selected = tuple(node for node in nodes if node in there)

    def subscribe(self, frames_hz: float) -> None:
        """Raises AlphaloomError `bad_value`."""
        if not 0 <= frames_hz <= MAX_FRAMES_HZ:
            raise AlphaloomError(
                "bad_value", f"frames_hz is {frames_hz:g}; it must be from 0 to {MAX_FRAMES_HZ:g}.", field="frames_hz"
            )
        self._interval = 1 / frames_hz if frames_hz else 0.0
        self._due.clear()
        self._events.clear()

    def offer(self, letter: Letter, frame: Frame, now: float) -> None:
        """Send a performer's frame if its time has come; its events wait for the next one otherwise."""
        if not self._interval:
            return
        stream = frame.stream
        kept = self._events.pop(stream, ())
        due = self._due.get(stream, now)
        if now < due - _EARLY_S:
            if kept or frame.events:
                self._events[stream] = (kept + frame.events)[-50:]
            return
        self._due[stream] = max(due + self._interval, now)
        self.outbox.post(Letter(m.Features(replace(frame, events=kept + frame.events))) if kept else letter)
