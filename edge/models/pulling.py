"""One pull that several may wait for, beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

from protocol.errors import AlphaloomError
from protocol.manifest import Entry

from .fetch import Progress, Stopped
from .pull import Puller

TOLD_S = 0.1


class Pulling:
    """A pull in a thread of its own, which the end of the program does not wait for: what it leaves can be gone on with."""

    def __init__(self, puller: Puller, entry: Entry):
        self.stop, self.watchers = threading.Event(), list[Progress]()
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self.done.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to ask
        self._told_at = 0.0
        threading.Thread(target=self._run, args=(puller, entry), name=f"pull {entry.id}", daemon=True).start()

    def _run(self, puller: Puller, entry: Entry) -> None:
        problem: BaseException | None = None
        try:
            puller.pull(entry, self._told, self.stop)
        except Stopped:
            problem = AlphaloomError("unreachable_model", f"The pull of {entry.id!r} was stopped.", id=entry.id)
        except BaseException as other:
            problem = other
        with contextlib.suppress(RuntimeError):  # the loop may have ended
            self._loop.call_soon_threadsafe(self._settle, problem)

    def _settle(self, problem: BaseException | None) -> None:
        if problem is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(problem)

    def _told(self, done: int, size: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= TOLD_S or done == size:
            self._told_at = now
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._tell, done, size)

    def _tell(self, done: int, size: int) -> None:
        for watcher in tuple(self.watchers):
            watcher(done, size)
