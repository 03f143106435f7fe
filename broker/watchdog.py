"""How long the event loop is blocked: an event loop that times each of its callbacks.

What is measured, and what it says
- Wall time of each callback: how long nobody else was served. It is what clients feel, and the figure to hold a goal against.
- The CPU time that the loop's thread used in it: what our own code did. (It is read where a turn begins and where a callback
  took a millisecond, as reading it takes longer than most callbacks: so it may be too much by what the short ones before it
  in its turn used, and is never too little.) Where the wall time is much longer, the thread was
  waiting: for the disk or a lock, for another thread that held Python's interpreter lock, or for a core that another program
  had. On a busy machine the last one makes the worst wall times, and no change of ours would mend it.
- A task that sleeps and looks how late it wakes cannot tell these apart, and misses what happens between two wakings.
- A turn is all callbacks between two looks at the sockets. Many short ones make a long turn without anything that blocks;
  its worst wall time is kept, too.

How: the loop is asyncio's own with a queue of ready callbacks that notes when one is taken out, and a selector that notes
when all are done. (asyncio's debug mode does the like and makes everything several times slower.) A thread looks on, and
while one callback takes too long it logs the loop's stack: file names and lines, no values, so no prompt either.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import sys
import threading
import time
import traceback
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("broker")

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Of the histogram."""
WARN_S = 0.1
LOOK_S = 0.025
"""Between two looks of the thread."""
FRAMES = 12
"""The innermost of a stack that are logged."""


@dataclass
class Worst:
    """The longest callback's wall time, the most CPU time of one, and the longest turn's wall time, in ms.

    0.0: none took a millisecond.
    """

    wall_ms: float = 0.0
    cpu_ms: float = 0.0
    turn_ms: float = 0.0

    def add(self, wall: float = 0.0, cpu: float = 0.0, turn: float = 0.0) -> None:
        self.wall_ms = max(self.wall_ms, wall * 1000)
        self.cpu_ms = max(self.cpu_ms, cpu * 1000)
        self.turn_ms = max(self.turn_ms, turn * 1000)


@dataclass
class Histogram:
    """Of the callbacks' seconds of wall time, by BOUNDS_S; the last one has those above all bounds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum: float = 0.0


class Watchdog:
    """Of one loop. `began` and `idle` are the loop's to call."""

    def __init__(self) -> None:
        self.overall = Worst()
        self.histogram = Histogram()
        self.warn_s = WARN_S
        self._recent = Worst()
        self._since: float | None = None
        """When the callback began that runs now; None between two turns."""
        self._turn_since = 0.0
        self._cpu_since = 0.0
        """What the thread's CPU clock said when it was read last."""
        self._ended = threading.Event()

    @property
    def worst_ms(self) -> float:
        """The longest that one callback has taken since the loop began, in ms of wall time."""
        return self.overall.wall_ms

    def read(self) -> Worst:
        """The worst since the last time that this was asked."""
        recent, self._recent = self._recent, Worst()
        return recent

    def began(self, now: float) -> None:
        """A callback begins, so the one before it has ended."""
        since = self._since
        self._since = now
        if since is None:
            self._turn_since = now
            self._cpu_since = time.thread_time()
        else:
            self._ended_after(now - since)

    def idle(self) -> None:
        """The last callback has ended, and the loop looks at its sockets."""
        since = self._since
        if since is not None:
            self._since = None
            now = time.perf_counter()
            self._ended_after(now - since)
            if now - self._turn_since >= BOUNDS_S[0]:
                self.overall.add(turn=now - self._turn_since)
                self._recent.add(turn=now - self._turn_since)

    def _ended_after(self, wall: float) -> None:
        histogram = self.histogram
        histogram.sum += wall
        if wall < BOUNDS_S[0]:  # nearly all of them
            histogram.counts[0] += 1
            return
        histogram.counts[bisect_left(BOUNDS_S, wall)] += 1
        cpu = time.thread_time()
        used, self._cpu_since = min(wall, cpu - self._cpu_since), cpu
        self.overall.add(wall, used)
        self._recent.add(wall, used)

    # -- the thread that looks on --

    def start(self) -> None:
        """Watch the loop of the thread that calls this."""
        self._ended = threading.Event()
        threading.Thread(target=self._look_on, args=(threading.get_ident(), self._ended), name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def _look_on(self, thread: int, ended: threading.Event) -> None:
        told: float | None = None
        while not ended.wait(LOOK_S):
            since = self._since
            if since is None or since == told or time.perf_counter() - since < self.warn_s:
                continue
            frame = sys._current_frames().get(thread)
            lines = traceback.format_list(traceback.StackSummary.extract(traceback.walk_stack(frame), limit=FRAMES))
            if self._since == since:  # otherwise it has just ended, and the stack is another's
                told = since
                ms = (time.perf_counter() - since) * 1000
                log.warning("the event loop has been blocked for %.0f ms, the innermost first:\n%s", ms, "".join(lines))


class _Ready(deque[Any]):
    """asyncio's queue of callbacks that are to be run."""

    def __init__(self, watchdog: Watchdog):
        super().__init__()
        self._began = watchdog.began

    def popleft(self, now: Any = time.perf_counter, take: Any = deque.popleft) -> Any:
        self._began(now())
        return take(self)


class _Selector(selectors.DefaultSelector):
    def __init__(self, watchdog: Watchdog):
        super().__init__()
        self._idle = watchdog.idle

    def select(self, timeout: float | None = None) -> Any:
        self._idle()
        return super().select(timeout)


class WatchedLoop(asyncio.SelectorEventLoop):
    """asyncio's event loop with a `watchdog`. Its class is a loop factory: for `asyncio.Runner`, and by name for uvicorn."""

    def __init__(self) -> None:
        self.watchdog = Watchdog()
        super().__init__(_Selector(self.watchdog))
        # A private name of asyncio's, the same in each Python from 3.4 to 3.14; a test says when it no longer works.
        self._ready = _Ready(self.watchdog)

    def run_forever(self) -> None:
        self.watchdog.start()
        try:
            super().run_forever()
        finally:
            self.watchdog.stop()
            self.watchdog.idle()


def of(loop: asyncio.AbstractEventLoop | None = None) -> Watchdog | None:
    """The running loop's watchdog; None where another kind of loop runs."""
    return getattr(loop or asyncio.get_running_loop(), "watchdog", None)
