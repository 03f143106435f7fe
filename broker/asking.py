"""What may be asked for, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass

from protocol import check
from protocol import messages as m
from protocol.errors import AlphaloomError

from . import compose, jobs
from .rooms import Room
from .store import Blobs

MAX_PRIORITY = 10


@dataclass(frozen=True)
class Limits:
    """Times are in seconds."""

    attempts: int = jobs.MAX_ATTEMPTS
    lease: float = 15.0
    """How long an edge may say nothing of a job."""
    attempt: float = 900.0
    """How long one attempt may take in all."""
    wait: float = 3600.0
    """How long a job may wait."""
    no_edge: float = 30.0
    """How long a job waits while edges are there and none of them can run it."""
    sending: float = 180.0
    """How long an edge may say nothing after a job's last step: it decodes the picture, and sends it."""
    of_person: int = 100
    """Open jobs that one person may have."""
    in_all: int = 5000
    cache_age: float = 24 * 3600.0
    cache_bytes: int = 1 << 30


def check_asked(asked: m.Generate, room: Room, blobs: Blobs) -> None:
    """Raises AlphaloomError for what cannot be made."""
    if abs(asked.priority) > MAX_PRIORITY:
        raise AlphaloomError(
            "bad_value",
            f"priority is {asked.priority}; it must be from -{MAX_PRIORITY} to {MAX_PRIORITY}.",
            field="priority",
        )
    if asked.request is not None:
        if asked.node:
            raise AlphaloomError("bad_value", "A request of one's own has no node: leave node empty.", field="node")
        check.request(asked.request)
        check.request(compose.direct(asked.request))
        for blob in (asked.request.source, asked.request.mask, asked.request.depth):
            blobs.need(blob)
    elif asked.node not in room.map.nodes:
        raise AlphaloomError("unknown_node", f"No node {asked.node[:80]!r} is on the map.", node=asked.node[:80])


def check_bounds(asked: m.Generate, limits: Limits, of_person: int, in_all: int) -> None:
    """Raises AlphaloomError `queue_full`; `of_person` and `in_all` are open."""
    if of_person >= limits.of_person:
        raise AlphaloomError(
            "queue_full",
            f"{limits.of_person} of your jobs are open, the most one person may have: wait, or cancel some.",
            job=asked.job,
            limit=limits.of_person,
        )
    if in_all >= limits.in_all:
        raise AlphaloomError(
            "queue_full",
            f"{limits.in_all} jobs are open, the most there may be. Try again later.",
            job=asked.job,
            limit=limits.in_all,
        )
