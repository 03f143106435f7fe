"""A job's life as a pure state machine: each function takes a job and returns the next one.

queued ──start──▶ running ──finish──▶ done           remember: from queued to done, the picture is there already
   ▲                 ├──────fail────▶ failed         fail, cancel, supersede: from queued or running
   └──── lose ───────┘ (the last attempt fails)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from protocol.errors import AlphaloomError
from protocol.model import ENDED, Job, Modulation, ResolvedRequest

MAX_ATTEMPTS = 3


def start(job: Job, resolved: ResolvedRequest, modulation: Modulation | None) -> Job:
    _expect(job, "queued")
    return replace(job, state="running", attempt=job.attempt + 1, resolved=resolved, modulation=modulation)


def finish(job: Job, picture: str, resolved: ResolvedRequest, now: float) -> Job:
    _expect(job, "running")
    return _end(job, "done", now, picture=picture, resolved=resolved)


def remember(job: Job, picture: str, resolved: ResolvedRequest, modulation: Modulation | None, now: float) -> Job:
    """An equal request had been run before: nothing is run again."""
    _expect(job, "queued")
    return _end(job, "done", now, picture=picture, resolved=resolved, modulation=modulation, cached=True)


def fail(job: Job, reason: str, now: float) -> Job:
    return _end(job, "failed", now, error=reason)


def lose(job: Job, now: float, why: str = "the edge that ran it went away", most: int = MAX_ATTEMPTS) -> Job:
    """The attempt came to nothing."""
    _expect(job, "running")
    if job.attempt >= most:
        return fail(job, f"{job.attempt} attempts came to nothing; the last because {why}.", now)
    return replace(job, state="queued")


def cancel(job: Job, now: float, reason: str | None = None) -> Job:
    return _end(job, "cancelled", now, error=reason)


def supersede(job: Job, now: float) -> Job:
    """A newer one of the same live node takes its place."""
    return _end(job, "superseded", now)


def has_ended(job: Job) -> bool:
    return job.state in ENDED


def _end(job: Job, state: Any, now: float, **more: Any) -> Job:
    _expect(job, "queued", "running")
    return replace(job, state=state, ended=now, **more)


def _expect(job: Job, *states: str) -> None:
    if job.state not in states:
        raise AlphaloomError("job_state", f"Job {job.id} is {job.state}, not {' or '.join(states)}.", job=job.id)
