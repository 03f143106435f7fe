"""A job's life as a pure state machine: each function takes a job and returns the next one.

queued ──start──▶ running ──finish──▶ done
   ▲                 ├──────fail────▶ failed
   └──── lose ───────┘ (the third loss fails)      cancel: from queued or running
"""

from __future__ import annotations

from dataclasses import replace

from protocol.errors import AlphaloomError
from protocol.model import ENDED, Job, Modulation, ResolvedRequest

MAX_ATTEMPTS = 3


def start(job: Job, resolved: ResolvedRequest, modulation: Modulation | None) -> Job:
    _expect(job, "queued")
    return replace(job, state="running", attempt=job.attempt + 1, resolved=resolved, modulation=modulation)


def finish(job: Job, picture: str, resolved: ResolvedRequest) -> Job:
    _expect(job, "running")
    return replace(job, state="done", picture=picture, resolved=resolved)


def fail(job: Job, reason: str) -> Job:
    _expect(job, "queued", "running")
    return replace(job, state="failed", error=reason)


def lose(job: Job) -> Job:
    """The edge that ran it is gone."""
    _expect(job, "running")
    if job.attempt >= MAX_ATTEMPTS:
        return fail(job, f"Edges died {job.attempt} times while they ran it.")
    return replace(job, state="queued")


def cancel(job: Job) -> Job:
    _expect(job, "queued", "running")
    return replace(job, state="cancelled")


def has_ended(job: Job) -> bool:
    return job.state in ENDED


def _expect(job: Job, *states: str) -> None:
    if job.state not in states:
        raise AlphaloomError("job_state", f"Job {job.id} is {job.state}, not {' or '.join(states)}.", job=job.id)
