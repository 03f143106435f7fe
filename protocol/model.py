"""The nouns: map, node, link, request, job, frame, patch. Plain values; nobody changes one in place."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Task = Literal["txt2img", "img2img", "inpaint"]
LinkKind = Literal["prompt", "image", "blend"]
Signal = Literal["good", "held", "lost"]
"""`held`: too poor to move anything; `lost`: for so long that what it moved goes back to neutral."""
Role = Literal["viewer", "editor", "edge", "admin"]
"""A viewer looks on; an editor changes the map and asks for pictures; an edge runs jobs; an admin may do it all."""
ItemKind = Literal["node", "link"]
Verb = Literal["create", "update", "delete", "restore"]
JobState = Literal["queued", "running", "done", "failed", "cancelled", "superseded"]
Tiling = Literal["", "x", "y", "xy"]
"""The axes on which a picture's edges fit each other: `x` from left to right."""

TASKS: tuple[Task, ...] = ("txt2img", "img2img", "inpaint")
LINK_KINDS: tuple[LinkKind, ...] = ("prompt", "image", "blend")
TILINGS: tuple[Tiling, ...] = ("", "x", "y", "xy")
SCHEDULERS = (
    "ddim", "ddpm", "pndm", "lms", "euler", "euler_karras", "euler_a", "heun", "dpm2", "dpm2_a", "dpm++_2m",
    "dpm++_2m_karras", "dpm++_2m_sde", "dpm++_2m_sde_karras", "unipc", "deis", "lcm", "tcd",
)  # fmt: skip
"""How noise is taken away step by step; the field's usual names, `_a` for ancestral."""
MAIN_ROOM = "main"
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
    model: str = ""
    """The id of the model that shall make it; empty: any."""
    scheduler: str = ""
    """One of SCHEDULERS; empty: the model's own."""
    tiling: Tiling = ""
    variation: float = 0.0
    """Where the noise stands between that of `seed` (0) and that of `variation_seed` (1)."""
    variation_seed: int = 1
    control: str = ""
    """The id of the ControlNet that the depth map guides by."""
    control_strength: float = 1.0
    eeg_in_file: bool = False
    """Whether the EEG's values are written into this node's picture files."""


@dataclass(frozen=True)
class Lora:
    """A LoRA by its id in the manifest; in a prompt `<lora:id:weight>`."""

    id: str
    weight: float = 1.0


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
    depth: str | None = None
    """Blob of a depth map, white is near; `settings.control` is guided by it."""
    picture: str | None = None
    live: bool = False
    """Whether it is made anew by itself whenever what it would be made from has changed."""


@dataclass(frozen=True)
class Link:
    id: str
    parent: str
    child: str
    kind: LinkKind = "prompt"
    order: int = 0
    """Which of a child's links comes first; the broker's to set."""


@dataclass(frozen=True)
class Map:
    nodes: dict[str, Node] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    revision: int = 0
    """The number of the last operation that changed it."""

    @cached_property
    def _upwards(self) -> dict[tuple[str, str], list[Link]]:
        """Links by child and kind, in their order."""
        found: dict[tuple[str, str], list[Link]] = {}
        for link in sorted(self.links.values(), key=lambda link: (link.order, link.id)):
            found.setdefault((link.child, link.kind), []).append(link)
        return found

    def parents(self, child: str, kind: LinkKind) -> list[Node]:
        """The nodes that a node hangs from by one kind of link, in the order the links were made."""
        return [self.nodes[link.parent] for link in self._upwards.get((child, kind), ())]


@dataclass(frozen=True)
class Change:
    """One item of a map is created, changed, deleted or restored.

    `fields` has what is set, a node's settings as `settings.steps` and so on: all that differ from the default to create
    or restore, the changed ones to update, none to delete. The last to write a field wins, in the broker's order.
    """

    verb: Verb
    kind: ItemKind
    id: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """What one person did to a map in one go, and can undo in one go."""

    revision: int
    """The map's, after it."""
    id: str
    """Chosen by who did it: done twice with one id is done once."""
    changes: tuple[Change, ...]
    person: str = ""
    """Empty: the broker itself, when a picture is done."""
    time: float = 0.0
    """Seconds since 1970."""
    undoes: int = 0
    """The revision that this one takes back; 0: none."""
    redoes: int = 0
    """The revision whose undoing this one takes back; 0: none."""


@dataclass(frozen=True)
class Presence:
    """Somebody who is here, by one connection."""

    client: str
    """The connection's id."""
    person: str
    selected: tuple[str, ...] = ()
    """Ids of nodes."""
    here: bool = True
    """False: has left."""


@dataclass(frozen=True)
class Place:
    """Where a waiting job stands."""

    position: int
    """1 is the next."""
    seconds: float | None
    """Until it is done, estimated from the jobs before; None where none has been run yet."""


@dataclass(frozen=True)
class Latency:
    """Where a feature's delay comes from, in seconds, part by part."""

    group_delay: float = 0.0
    """Of the filters, at 10 Hz."""
    half_window: float = 0.0
    """From the window's centre, which a feature speaks of, to its end."""
    chunk: float = 0.0
    """From the newest sample's time stamp until it was here."""
    compute: float = 0.0
    smoothing: float = 0.0
    """Mean age of what is averaged beyond one window."""


@dataclass(frozen=True)
class Feature:
    """One number computed from EEG."""

    value: float
    z: float | None
    """`value` against the baseline, in robust standard deviations; None where nothing is known to compare it with."""
    confidence: float
    """0..1: how much of what went into it was clean signal."""
    time: float
    """Its window's end, in seconds of the local LSL clock."""
    latency: Latency = field(default_factory=Latency)


@dataclass(frozen=True)
class Event:
    """Something that happened in a stream: `blink`, `jaw`, `marker`, `gap`, `clock_jump`, `rate`, `not_finite` ..."""

    kind: str
    time: float
    """Seconds of the local LSL clock."""
    text: str = ""


@dataclass(frozen=True)
class Frame:
    """All features of one performer at one moment."""

    time: float
    """The window's end, in seconds since 1970."""
    features: dict[str, Feature]
    stream: str = ""
    quality: dict[str, float] = field(default_factory=dict)
    """Of each channel, 0..1."""
    signal: Signal = "good"
    age: float = 0.0
    """Of the newest sample when the frame was made, in seconds."""
    events: tuple[Event, ...] = ()
    """Since the frame before."""


@dataclass(frozen=True)
class Performer:
    """A stream that is listened to, and what it can give."""

    stream: str
    rate: float
    channels: dict[str, str]
    """Channel to region (`frontal`, `temporal`, ...); empty where the name is in no montage."""
    unit: str = ""
    """As the stream says it; values are computed in microvolts."""
    missing: dict[str, str] = field(default_factory=dict)
    """Feature to the reason why this stream cannot give it."""
    baseline: str = ""
    """The baseline's hash; empty without one."""
    alpha_peak: float | None = None
    """The individual alpha frequency in Hz that the bands are anchored to; None: the bands are the fixed ones."""


@dataclass(frozen=True)
class Rule:
    """One cable of the patch: how one feature moves one target (see docs/patch.md)."""

    feature: str
    target: str
    """`guidance`, `strength`, `blend`, `variation` or `seed`; a scale of words, `cold/warm`; or a phrase, `(moss)`."""
    amount: float
    """How far from its own value the target is moved at the ends of the feature's range."""
    performer: int = 1
    """Whose feature: 1 is the first stream."""
    gain: float = 1.0
    """The logistic's slope: at 1, a z of ±2 is 76 % of the way."""
    deadband: float = 0.1
    """The part of the way, from the middle, in which nothing moves."""
    cutoff: float = 0.08
    """One-Euro filter: cut-off in Hz at rest."""
    beta: float = 0.01
    """One-Euro filter: how much a fast movement raises the cut-off."""
    slew: float = 0.5
    """The most that it moves in a second, as a part of the whole range."""
    dwell: float = 3.0
    """Only for `seed`: seconds that the feature must stay at an end before the seed changes."""


@dataclass(frozen=True)
class Move:
    """What one rule did to one request."""

    feature: str
    value: float
    z: float
    target: str
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
    scheduler: str = ""
    tiling: Tiling = ""
    variation: float = 0.0
    variation_seed: int = 1
    loras: tuple[Lora, ...] = ()
    control: str = ""
    control_strength: float = 1.0
    depth: str | None = None


@dataclass(frozen=True)
class Modulation:
    """The EEG behind a resolved request: when, whose, and what it moved."""

    time: float
    """Seconds since 1970."""
    streams: tuple[str, ...]
    moves: tuple[Move, ...]
    sham: bool = False
    """Whether a recording drove instead of the live stream."""


@dataclass(frozen=True)
class Job:
    """One request for a picture, from asking to end."""

    id: str
    node: str
    """Empty where a request was asked for directly."""
    state: JobState = "queued"
    attempt: int = 0
    """How often an edge has begun it. What an edge says of an earlier attempt is not heard."""
    created: float = 0.0
    """Seconds since 1970."""
    room: str = MAIN_ROOM
    person: str = ""
    priority: int = 0
    """Among the jobs of one person, the highest goes first."""
    live: bool = False
    """Made because its node is live; it gives way to a newer one."""
    request: ResolvedRequest | None = None
    """What was asked for directly, without a node."""
    ended: float = 0.0
    """Seconds since 1970; 0 while it is open."""
    cached: bool = False
    """The picture was there already: an equal request had been run before."""
    resolved: ResolvedRequest | None = None
    modulation: Modulation | None = None
    picture: str | None = None
    error: str | None = None
