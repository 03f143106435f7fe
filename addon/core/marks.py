"""What is marked on cards besides their pictures: who else has selected them, and how far their jobs are. No `bpy`."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from .mirror import Mirror
from .shared import model

Colour = tuple[float, float, float]

COLOURS: tuple[Colour, ...] = (
    (0.90, 0.62, 0.00), (0.34, 0.71, 0.91), (0.00, 0.62, 0.45), (0.94, 0.89, 0.26), (0.00, 0.45, 0.70), (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
)  # fmt: skip
"""Told apart with any kind of colour vision: Okabe and Ito, Color Universal Design (2008)."""


@dataclass(frozen=True)
class Mark:
    """On one card."""

    people: tuple[tuple[str, Colour], ...] = ()
    """Who else has selected it."""
    share: float | None = None
    """Of its job that is done, 0..1; None: there is none."""
    runs: bool = False
    """False: the job waits."""


@dataclass
class _Draft:
    people: list[tuple[str, Colour]] = field(default_factory=list)
    share: float | None = None
    runs: bool = False


def marks(mirror: Mirror, own: str) -> dict[str, Mark]:
    """By node. `own` is one's own connection: one's own selection is Blender's to show."""
    drafts: dict[str, _Draft] = {}
    others = [presence for presence in mirror.people.values() if presence.client != own]
    colours = colours_of(presence.person for presence in others)
    for presence in sorted(others, key=lambda presence: (presence.person, presence.client)):
        for node in presence.selected:
            if node in mirror.map.nodes:
                drafts.setdefault(node, _Draft()).people.append((presence.person, colours[presence.person]))
    for job in mirror.jobs.values():
        if job.state not in model.ENDED and job.node in mirror.map.nodes:
            draft = drafts.setdefault(job.node, _Draft())
            if job.state == "running":
                draft.share, draft.runs = _share(mirror, job.node), True
            elif not draft.runs:
                draft.share = 0.0
    return {node: Mark(tuple(draft.people), draft.share, draft.runs) for node, draft in drafts.items()}


def colours_of(people: Iterable[str]) -> dict[str, Colour]:
    """Everybody's own, the same for all who see them, as long as there are enough."""
    found: dict[str, Colour] = {}
    for person in sorted(set(people)):
        first = zlib.crc32(person.encode()) % len(COLOURS)
        turned = COLOURS[first:] + COLOURS[:first]
        found[person] = next((colour for colour in turned if colour not in found.values()), turned[0])
    return found


def _share(mirror: Mirror, node: str) -> float:
    pulled = mirror.pulling.get(node)
    if pulled is not None:
        return min(1.0, pulled.received / pulled.size) if pulled.size else 0.0
    step, steps = mirror.progress.get(node, (0, 0))
    return min(1.0, step / steps) if steps else 0.0
