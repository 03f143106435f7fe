"""The pictures that a node has had, newest first, a page at a time. No `bpy`: what is to be asked, and what was answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from .shared import model, wire

PAGE = 24
MOST = 240
"""Of one node that are listed."""
_SCALARS = ("guidance", "strength", "blend", "variation", "seed")
"""What EEG moves beside words."""


@dataclass
class Past:
    """`node`'s; `picture` is the one that it had when this was asked for."""

    node: str = ""
    picture: str | None = None
    jobs: list[model.Job] = field(default_factory=list)
    is_whole: bool = False
    """Whether there are no older ones, or no more are listed."""
    problem: str = ""

    def path(self, room: str, older: bool = False) -> str:
        """Where the newest are, or with `older` those before the last that is known."""
        before = f"&before={self.jobs[-1].id}" if older and self.jobs else ""
        return f"/v1/rooms/{room}/nodes/{self.node}/history?limit={PAGE}{before}"

    def hear(self, answer: bytes, older: bool = False) -> None:
        """Raises ValueError for what is no list of jobs."""
        try:
            page = [wire.build(model.Job, job) for job in json.loads(answer)]
        except (TypeError, AttributeError, KeyError) as problem:
            raise ValueError(f"The broker's history cannot be read: {problem!r}") from None
        known = {job.id for job in self.jobs}
        new = [job for job in page if job.id not in known and job.picture]
        self.jobs = ([*self.jobs, *new] if older else [*new, *self.jobs])[:MOST]
        if older or not known:
            self.is_whole = len(page) < PAGE or len(self.jobs) == MOST
        self.problem = ""


def settings_of(known: model.Map, node: model.Node, job: model.Job) -> dict[str, object]:
    """The fields of `node` that make it ask for what this job was: all that is its own to say.

    Its words are left as they are where others speak with it (parents, or EEG): what was said then was not its own alone.
    """
    run = job.resolved
    if run is None:
        return {}
    fields: dict[str, object] = {"negative": run.negative}
    names = ["width", "height", "steps", "guidance", "seed", "model", "scheduler", "tiling", "variation", "variation_seed"]
    names += ["strength"] if run.task != "txt2img" else []
    fields |= {f"settings.{name}": getattr(run, name) for name in names}
    moved = job.modulation.moves if job.modulation is not None else ()
    alone = not known.parents(node.id, "prompt") and not known.parents(node.id, "blend")
    if alone and len(run.phrases) == 1 and all(move.target in _SCALARS for move in moved):
        fields["prompt"] = " ".join([run.phrases[0].text, *(f"<lora:{one.id}:{one.weight:g}>" for one in run.loras)])
    return fields


def line(job: model.Job, say: Callable[[str], str] = str) -> str:
    """What made a picture, in a line; `say` translates."""
    if job.resolved is None:
        return say("made elsewhere")
    words = job.resolved.phrases[0].text if job.resolved.phrases else ""
    return say("{words}, seed {seed}").format(words=words, seed=job.resolved.seed)
