"""The EEG of one broker: who plays, by which patch, and who is told of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Any

from protocol import messages as m
from protocol.model import Frame, Performer
from signals.patch_files import Patch

from .journal import Journal
from .outbox import Letter
from .people import Client
from .player import Player
from .store import writes

log = logging.getLogger("broker")


class Stage:
    """`tell` says something to everybody; `changed` is called when who plays, or what drives, is another."""

    def __init__(self, journal: Journal, clients: Collection[Client], tell: Callable[[Any], None], changed: Callable[[], None]):
        self._journal, self._clients, self._tell, self._changed = journal, clients, tell, changed
        self.player = Player()
        self.eeg = "off"
        """The streams' names, or why there is none."""
        self.heard: Callable[[], None] = lambda: None
        """Called with each frame."""

    def set_patch(self, new: Patch) -> list[str]:
        """Play another patch; what in it stays idle, and why. Raises AlphaloomError `bad_patch`, and the old one stays."""
        self._journal.need()
        self.player.set_patch(new)
        self._journal.write(writes.PutFact("patch", new.rules))
        self._journal.then(lambda: self._tell(m.SetPatch(new.rules)))
        self._warn()
        return self.player.warnings()

    def set_sham(self, on: bool) -> None:
        """Raises AlphaloomError `no_sham`."""
        self.player.set_sham(on)
        log.info("sham: %s", f"{self.player.recording} drives" if on else "off")
        self._changed()

    def hear(self, number: int, frame: Frame) -> None:
        """A performer's newest frame."""
        now = time.time()
        frame = self.player.hear(number, frame, now)
        self.heard()
        letter = Letter(m.Features(frame))
        for client in self._clients:
            client.offer(letter, frame, now)
        self._warn()

    def hear_sham(self, frame: Frame) -> None:
        self.player.hear_sham(frame, time.time())

    def set_performer(self, number: int, performer: Performer | None, problem: str) -> None:
        """Who is listened to, or why nobody is heard."""
        self.player.problems[number] = problem
        if performer is not None:
            self.player.performers[number] = performer
        self.eeg = self.player.status() or "looking for a stream"
        log.info("EEG: %s", self.eeg)
        self._warn()
        self._changed()

    def report(self) -> dict[str, Any]:
        return {"eeg": self.eeg, **self.player.report()}

    def _warn(self) -> None:
        for line in self.player.news():
            log.warning("%s", line)
