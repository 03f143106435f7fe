"""What runs on edges now, and for whom. No I/O."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from protocol import check
from protocol import messages as m
from protocol.model import ResolvedRequest

from . import cache
from .dispatch import Edge

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(eq=False)
class Execution:
    """One run on one edge, for one job or for several that ask for the same picture."""

    job: str
    """The one that it was begun for; with `attempt`, what the edge knows it by."""
    attempt: int
    request: ResolvedRequest
    key: str
    """Of the cache; empty where the edge has no fingerprint."""
    edge: Edge
    began: float
    lease_end: float
    jobs: set[str] = field(default_factory=set)
    """Those that still want it."""
    progress: tuple[int, int] = (0, 0)
    """Steps done, and in all."""


class Executions:
    """Each on its edge until that has answered; and found by the jobs that want its picture until that is there."""

    def __init__(self) -> None:
        self._of_job: dict[str, Execution] = {}
        self._by_key: dict[str, Execution] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def begin(self, job: str, attempt: int, request: ResolvedRequest, key: str, edge: Edge, lease: float) -> Execution:
        """For a job that an edge is about to be given; `lease` in seconds."""
        now = time.monotonic()
        execution = edge.running[job] = Execution(job, attempt, request, key, edge, now, now + lease)
        if key:
            self._by_key[key] = execution
        self.join(execution, job)
        return execution

    def join(self, execution: Execution, job: str) -> None:
        """Another job wants the same picture."""
        execution.jobs.add(job)
        self._of_job[job] = execution

    def of(self, job: str) -> Execution | None:
        return self._of_job.get(job)

    def equal(self, key: str) -> Execution | None:
        """The one whose picture will be that of `key`."""
        return self._by_key.get(key)

    def all(self) -> set[Execution]:
        return set(self._of_job.values())

    def let_go(self, job: str) -> Execution | None:
        """A job has ended otherwise; the execution, where nobody wants it any more."""
        execution = self._of_job.pop(job, None)
        if execution is None:
            return None
        execution.jobs.discard(job)
        if execution.jobs:
            return None
        self._land(execution)
        return execution

    def land(self, execution: Execution) -> list[str]:
        """It is over; the jobs that still want it, each once."""
        self._land(execution)
        wanting = sorted(execution.jobs)
        for job in wanting:
            del self._of_job[job]
        execution.jobs.clear()
        return wanting

    def _land(self, execution: Execution) -> None:
        if self._by_key.get(execution.key) is execution:
            del self._by_key[execution.key]


def decided(resolved: ResolvedRequest, edge: Edge) -> tuple[ResolvedRequest, str]:
    """The request with the edge's model, and its key in the cache: empty where the edge has no fingerprint."""
    resolved = replace(resolved, model=resolved.model or edge.model)
    return resolved, cache.key(resolved, edge.fingerprint) if edge.fingerprint else ""


def wrong_with(result: m.Result, request: ResolvedRequest) -> str:
    """Why it is not the PNG that was asked for; empty if it is."""
    png, steps = result.payload, result.request.steps
    if steps is not None and not check.STEPS[0] <= steps <= check.STEPS[1]:
        return f"The edge says that it took {str(steps)[:40]} steps."
    if not png.startswith(PNG_SIGNATURE) or png[12:16] != b"IHDR":
        return "The edge sent something that is no PNG."
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    if (width, height) != (request.width, request.height):
        return f"The edge sent a picture of {width}x{height} pixels instead of {request.width}x{request.height}."
    return ""
