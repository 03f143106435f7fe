"""What was asked of the broker and has not been answered, in order. Pure: no socket, no `bpy`.

Design notes
- An ask is dropped when it was acknowledged, never when it was sent: a connection lost in between loses nothing.
- All of them have an id or say the same when they are said twice, so that sending again is safe.
- What only matters now (a picture fetched again, say) is not kept over a lost connection.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Any

from .shared import MAX_TEXT_BYTES, errors, model, wire
from .shared import messages as m

MAX_WAITING = 1000
"""Asks kept at once; beyond it the next is refused."""
_KEPT = (m.Edit, m.Undo, m.Redo, m.Generate, m.Cancel, m.SetPatch, m.SetSham)


@dataclass
class _Ask:
    message: Any
    text: str | bytes
    sent: bool = False


class Outbox:
    def __init__(self) -> None:
        self._asks: list[_Ask] = []
        self._passing: collections.deque[str | bytes] = collections.deque()

    def __len__(self) -> int:
        """How many asks wait for an answer."""
        return len(self._asks)

    def put(self, message: Any) -> None:
        """Raises AlphaloomError `message_too_large`, `not_a_number` or `too_many_waiting`."""
        try:
            text = wire.encode(message)
        except ValueError as problem:
            raise errors.AlphaloomError("not_a_number", f"This cannot be sent: {problem}.") from None
        if isinstance(text, str) and len(text) > MAX_TEXT_BYTES:
            raise errors.AlphaloomError(
                "message_too_large", f"This has {len(text)} bytes; the most that can be sent at once is {MAX_TEXT_BYTES}."
            )
        if not isinstance(message, _KEPT):
            self._passing.append(text)
        elif len(self._asks) >= MAX_WAITING:
            raise errors.AlphaloomError(
                "too_many_waiting", f"{MAX_WAITING} changes wait for the broker already; wait until it is back."
            )
        else:
            self._asks.append(_Ask(message, text))

    def edits(self) -> list[m.Edit]:
        return [ask.message for ask in self._asks if isinstance(ask.message, m.Edit)]

    def take(self) -> str | bytes | None:
        """The next to be sent; None when there is none."""
        for ask in self._asks:
            if not ask.sent:
                ask.sent = True
                return ask.text
        return self._passing.popleft() if self._passing else None

    def disconnected(self) -> None:
        """All that was not acknowledged is to be sent again."""
        self._passing.clear()
        for ask in self._asks:
            ask.sent = False

    def heard(self, message: Any) -> bool:
        """Drop what this acknowledges. True: it was not done now, but is to be sent again a little later."""
        if not self._asks:
            return False
        if isinstance(message, m.Error):
            return self._refused(message)
        self._asks = [ask for ask in self._asks if not self._is_answered(ask, message)]
        return False

    def _is_answered(self, ask: _Ask, heard: Any) -> bool:
        asked = ask.message
        if isinstance(asked, m.Edit | m.Undo | m.Redo):
            done = [heard.operation] if isinstance(heard, m.Edited) else heard.missed if isinstance(heard, m.Snapshot) else []
            return any(operation.id == asked.id for operation in done)
        if isinstance(heard, m.JobChanged):
            # Until its end, not only until it is known: an end that came while nobody was connected is told again.
            return _job(asked) == heard.job.id and heard.job.state in model.ENDED
        if isinstance(heard, m.Snapshot) and isinstance(asked, m.Cancel):
            still = {job.id for job in heard.jobs} | {a.message.job for a in self._asks if isinstance(a.message, m.Generate)}
            return asked.job not in still
        if isinstance(asked, m.SetPatch):
            return ask.sent and isinstance(heard, m.SetPatch)
        return isinstance(asked, m.SetSham) and isinstance(heard, m.Status) and heard.sham == asked.on

    def _refused(self, error: m.Error) -> bool:
        about = [ask for ask in self._asks if ask.sent and name_of(ask.message) == error.about]
        if error.code not in errors.PASSING:
            self._asks = [ask for ask in self._asks if ask not in about]
            return False
        if about:  # what came after it may need it
            for ask in self._asks[self._asks.index(about[0]) :]:
                ask.sent = False
        return bool(about)


def _job(message: Any) -> str | None:
    return message.job if isinstance(message, m.Generate | m.Cancel) else None


def name_of(message: Any) -> str:
    """What an Error about it says in `about`; empty for what has no name."""
    return str(getattr(message, "id", "") or getattr(message, "job", ""))
