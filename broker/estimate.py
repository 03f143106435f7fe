"""How long it will take, learnt from what has been made. Pure but for the running jobs' clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from protocol.model import Job, Place

from .dispatch import Edge
from .executions import Execution


class Size(Protocol):
    """What decides how long a picture takes: pixels, and steps (None: the model's own number)."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def steps(self) -> int | None: ...


class Pace:
    """How long pictures take: the seconds for a megapixel and one step, smoothed."""

    SMOOTHING = 0.2
    USUAL_STEPS = 20

    def __init__(self) -> None:
        self._seconds: float | None = None

    def learn(self, size: Size, seconds: float) -> None:
        now = seconds / self._work(size)
        self._seconds = now if self._seconds is None else self._seconds + self.SMOOTHING * (now - self._seconds)

    def seconds(self, size: Size) -> float | None:
        """None before anything has been made."""
        return None if self._seconds is None else self._seconds * self._work(size)

    def _work(self, size: Size) -> float:
        return size.width * size.height / 1e6 * (size.steps or self.USUAL_STEPS)


def places(
    waiting: Iterable[Job],
    size_of: Callable[[Job], Size | None],
    running: Collection[Execution],
    edges: Collection[Edge],
    pace: Pace,
) -> dict[str, dict[str, Place]]:
    """Where each waiting job stands, by person; `waiting` is in the order in which they are taken."""
    found: dict[str, dict[str, Place]] = {}
    lanes = sum(edge.slots for edge in edges if not edge.draining)
    ahead = sum(_left(execution, pace) for execution in running)
    for position, job in enumerate(waiting, 1):
        size = size_of(job)
        seconds = pace.seconds(size) if size else 0.0
        ahead += seconds or 0.0
        known = None if seconds is None or not lanes else max(seconds, ahead / lanes)
        found.setdefault(job.person, {})[job.id] = Place(position, known)
    return found


def _left(execution: Execution, pace: Pace) -> float:
    return max(0.0, (pace.seconds(execution.request) or 0.0) - (time.monotonic() - execution.began))
