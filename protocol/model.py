"""The nouns: map, node, link, request, job, frame, patch. Plain values; nobody changes one in place."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Literal

Task = Literal["txt2img", "img2img", "inpaint"]
LinkKind = Literal["prompt", "image", "blend"]
JobState = Literal["queued", "running", "done", "failed", "cancelled", "superseded"]

TASKS: tuple[Task, ...] = ("txt2img", "img2img", "inpaint")
LINK_KINDS: tuple[LinkKind, ...] = ("prompt", "image", "blend")
ENDED: frozenset[str] = frozenset({"done", "failed", "cancelled", "superseded"})


def new_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Settings:
    """How a node's picture is made. `steps` None means the model's own default."""

    width: int = 256
    height: int = 256
    steps: int | None = None
    guidance: float = 4.0
    strength: float = 0.6
    seed: int = 0
    blend: float = 0.5
    """Where a node with two `blend` parents stands between them: 0 is the first, 1 the second."""
    modulate: bool = True
    """Whether the EEG may move this node's parameters."""


@dataclass(frozen=True)
class Node:
    """A prompt, a task, its settings and its picture, at a place on the map (in card widths)."""

    id: str
    prompt: str = ""
    negative: str = ""
    task: Task = "txt2img"
    settings: Settings = field(default_factory=Settings)
    x: float = 0.0
    y: float = 0.0
    source: str | None = None
    """Blob of an uploaded source picture; an `image` link's parent goes before it."""
    mask: str | None = None
    """Blob of an inpaint mask: white is painted anew, black stays."""
    picture: str | None = None


@dataclass(frozen=True)
class Link:
    id: str
    parent: str
    child: str
    kind: LinkKind = "prompt"


@dataclass(frozen=True)
class Map:
    nodes: dict[str, Node] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    revision: int = 0

    def parents(self, child: str, kind: LinkKind) -> list[Node]:
        """The nodes that a node hangs from by one kind of link, in the order the links were made."""
        return [self.nodes[link.parent] for link in self.links.values() if link.child == child and link.kind == kind]


@dataclass(frozen=True)
class Frame:
    """All features at one moment. `time` is in seconds since 1970; band powers are relative, 0..1."""

    time: float
    features: dict[str, float]
    stream: str = ""


@dataclass(frozen=True)
class Rule:
    """One cable of the patch: `feature`, seen between `low` and `high`, moves `parameter` by up to ±`amount`.

    A parameter is the name of a number (`guidance`, `strength`, `blend`) or a pair of opposite words
    written `calm/turbulent`: minus says the first word, plus the second, with that weight.
    """

    feature: str
    parameter: str
    amount: float
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Move:
    """What one rule did to one request."""

    feature: str
    value: float
    parameter: str
    before: float
    after: float


@dataclass(frozen=True)
class Phrase:
    """A prompt (words may be weighted as `(word)1.3`) and its share in the conditioning."""

    text: str
    share: float = 1.0


@dataclass(frozen=True)
class ResolvedRequest:
    """What is really run. With the model, it alone reproduces the picture."""

    task: Task
    phrases: tuple[Phrase, ...]
    """One, or two that are slerped by their shares."""
    negative: str
    width: int
    height: int
    steps: int | None
    guidance: float
    strength: float
    seed: int
    model: str = ""
    """Empty until an edge takes the request."""
    source: str | None = None
    mask: str | None = None


@dataclass(frozen=True)
class Modulation:
    """The EEG behind a resolved request: the frame that was merged and what it moved."""

    frame: Frame
    moves: tuple[Move, ...]


@dataclass(frozen=True)
class Job:
    """One request for a picture, from asking to end."""

    id: str
    node: str
    state: JobState = "queued"
    attempt: int = 0
    created: float = 0.0
    """Seconds since 1970."""
    resolved: ResolvedRequest | None = None
    modulation: Modulation | None = None
    picture: str | None = None
    error: str | None = None
