"""Pictures that are asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import MAIN_ROOM, Job, JobState, Place, ResolvedRequest, new_id

from ..hub import Hub
from ..shapes import FirstOnly
from ..who import Who
from . import problems
from .access import Editor, Id, TheHub, Viewer, answer

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=problems.declared())


@dataclass(frozen=True)
class Ask:
    """A node's picture; or one without a node, by `request`."""

    node: str = ""
    request: ResolvedRequest | None = None
    room: str = MAIN_ROOM
    id: str = ""
    """Chosen by who asks, so that it is safe to ask again; empty: the broker chooses."""
    priority: int = 0


@dataclass(frozen=True)
class Steps:
    step: int
    steps: int


@dataclass(frozen=True)
class Pulled:
    model: str
    received: int
    """Bytes."""
    size: int
    """Bytes in all; 0: not known."""


@dataclass(frozen=True)
class JobView(Job):
    place: Place | None = None
    """While it waits."""
    progress: Steps | None = None
    """While it runs."""
    pulling: Pulled | None = None
    """While its edge fetches a model for it."""


@router.post("", status_code=201, response_model=Job, responses=problems.declared(404, 409))
async def ask(asked: Annotated[Ask, FirstOnly()], who: Editor, hub: TheHub) -> Response:
    """Asking twice with one id is one job: it is answered as it stands."""
    generate = m.Generate(asked.node, asked.id or new_id(), asked.priority, asked.request)
    job = await hub.generate(who, asked.room, generate)
    await hub.settled()
    return answer(Job, job, 201)


@router.get("", response_model=list[Job], responses=problems.declared(404))
async def list_jobs(
    who: Viewer,
    hub: TheHub,
    state: Annotated[JobState | None, Query()] = None,
    room: Annotated[str, Query(max_length=64)] = "",
    person: Annotated[str, Query(max_length=200, description="another's, for an admin; an admin sees all without it")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[str | None, Query(max_length=64, description="older than this job")] = None,
) -> Response:
    """One's own, newest first."""
    if who.role != "admin":
        if person not in ("", who.person):
            raise AlphaloomError("forbidden", "Only an admin may list the jobs of others.", person=person)
        person = who.person
    await hub.settled()
    return answer(list[Job], await hub.store.run(hub.store.jobs, person, state or "", room, limit, before))


@router.get("/{job}", response_model=JobView, responses=problems.declared(404))
async def get_job(job: Id, who: Viewer, hub: TheHub) -> Response:
    """With its place and the seconds until it is done while it waits, and its steps while it runs."""
    return answer(JobView, _view(hub, await _find(hub, who, job)))


@router.delete("/{job}", response_model=Job, responses=problems.declared(404))
async def cancel(job: Id, who: Editor, hub: TheHub) -> Response:
    """End one's own job; an admin may end any. One that has ended is answered as it is."""
    found = hub.cancel(who, job) if job in hub.work.open else await _find(hub, who, job)
    await hub.settled()
    return answer(Job, found)


async def _find(hub: Hub, who: Who, id: str) -> Job:
    found = hub.work.open.get(id)
    if found is None:
        await hub.settled()
        found = await hub.store.run(hub.store.job, id)
    # A job of a node is everybody's to see; one without, only who asked for it knows of.
    if found is None or not (found.node or found.person == who.person or who.role == "admin"):
        raise AlphaloomError("unknown_job", f"No job is called {id!r}.", job=id)
    return found


def _view(hub: Hub, job: Job) -> JobView:
    flat: dict[str, Any] = {field.name: getattr(job, field.name) for field in fields(job)}
    place = hub.places().get(job.person, {}).get(job.id) if job.state == "queued" else None
    steps = hub.work.progress(job.id) if job.state == "running" else None
    comes = hub.work.pulling(job.id) if job.state == "running" else None
    pulling = Pulled(comes.model, comes.received, comes.size) if comes else None
    return JobView(**flat, place=place, progress=steps and Steps(*steps), pulling=pulling)
