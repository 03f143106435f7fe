"""What runs on edges now, and for whom. No I/O."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from protocol import check
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import SCHEDULERS, ResolvedRequest

from . import cache
from .dispatch import Edge

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PULLED = 2**50


@dataclass(eq=False)
class Execution:
    """One run on one edge, for one job or for several that ask for the same picture."""

    job: str
    """The one that it was begun for; with `attempt`, what the edge knows it by."""
    attempt: int
    request: ResolvedRequest
    key: str
    """Of the cache; empty where nothing is remembered."""
    edge: Edge
    tells_eeg: bool
    """In the picture's file: it is remembered for nobody."""
    began: float
    lease_end: float
    jobs: set[str] = field(default_factory=set)
    """Those that still want it."""
    progress: tuple[int, int] = (0, 0)
    """Steps done, and in all."""
    pulling: m.Pulling | None = None
    """The model that its edge fetches first, as far as that is."""
    grew: float = 0.0
    """When bytes of it came last."""

    def pull(self, message: m.Pulling, now: float) -> None:
        """The time in which a model comes does not count as the run's; nor does what lay between two pieces of it."""
        if self.pulling is None:
            self.grew = now
        elif message.received > self.pulling.received:
            self.began += now - self.grew
            self.grew = now
        self.pulling = message

    def pulled(self) -> None:
        self.pulling = None


class Executions:
    """Each on its edge until that has answered; and found by the jobs that want its picture until that is there."""

    def __init__(self) -> None:
        self._of_job: dict[str, Execution] = {}
        self._by_key: dict[str, Execution] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def begin(
        self, job: str, attempt: int, request: ResolvedRequest, key: str, edge: Edge, lease: float, tells_eeg: bool = False
    ) -> Execution:
        """For a job that an edge is about to be given; `lease` in seconds."""
        now = time.monotonic()
        execution = edge.running[job] = Execution(job, attempt, request, key, edge, tells_eeg, now, now + lease)
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
    """The request with the edge's model, and its key in the cache."""
    resolved = replace(resolved, model=resolved.model or edge.default)
    return resolved, key_of(resolved, edge)


def key_of(resolved: ResolvedRequest, edge: Edge) -> str:
    """In the cache; empty where nobody can say that another picture would be the same: the model has no fingerprint there,
    or there is a LoRA or a ControlNet, whose file may be another on each edge and is in no fingerprint."""
    fingerprint = edge.models.get(resolved.model)
    if not fingerprint or resolved.loras or resolved.control:
        return ""
    return cache.key(resolved, fingerprint)


def filled_in(request: ResolvedRequest, said: ResolvedRequest) -> ResolvedRequest:
    """What was asked is the broker's to say; the edge fills in only what it chose."""
    return replace(
        request, model=request.model or said.model, steps=said.steps, guidance=said.guidance, scheduler=said.scheduler
    )


def check_pulling(message: m.Pulling) -> None:
    """Raises AlphaloomError `bad_value`: what is wrong in it would be told to many."""
    name = message.model[:80]
    if not 0 < len(message.model) <= check.MAX_MODEL or not message.model.isprintable():
        raise AlphaloomError("bad_value", f"model is {name!r}; name what is pulled.", field="model")
    if not 0 <= message.received <= MAX_PULLED or not 0 <= message.size <= MAX_PULLED:
        raise AlphaloomError("bad_value", f"received and size are bytes, from 0 to {MAX_PULLED}.", field="received")


def wrong_with(result: m.Result, request: ResolvedRequest) -> str:
    """Why it is not the PNG that was asked for; empty if it is."""
    png, said = result.payload, result.request
    if said.steps is not None and not check.STEPS[0] <= said.steps <= check.STEPS[1]:
        return f"The edge says that it took {str(said.steps)[:40]} steps."
    if not check.GUIDANCE[0] <= said.guidance <= check.GUIDANCE[1]:
        return f"The edge says that guidance was {str(said.guidance)[:40]}."
    if said.scheduler not in ("", *SCHEDULERS):
        return f"The edge says that it used the scheduler {said.scheduler[:80]!r}, which nobody knows."
    if len(said.model) > check.MAX_MODEL or len(result.fingerprint) > check.MAX_NAME:
        return "The edge says too much of its model."
    if not png.startswith(PNG_SIGNATURE) or png[12:16] != b"IHDR":
        return "The edge sent something that is no PNG."
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    if (width, height) != (request.width, request.height):
        return f"The edge sent a picture of {width}x{height} pixels instead of {request.width}x{request.height}."
    return ""
