"""What is said. Every message is a dataclass; `type` on the wire is its name in `MESSAGES`.

Messages with a `payload` travel as binary frames, all others as text (see `wire`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .model import (
    MAIN_ROOM,
    TASKS,
    Change,
    Frame,
    Job,
    Map,
    Modulation,
    Operation,
    Performer,
    Place,
    Presence,
    ResolvedRequest,
    Rule,
)

LIVE_PICTURE_S = 0.2
"""At most six changes lie in any second then, whatever they are: three flashes, as WCAG 2.3.1 allows."""

# -- both ways --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello:
    """The first message each side sends."""

    version: int
    role: str
    """`viewer`, `editor`, `edge` or `admin`, as protocol.model.Role; the broker answers with the role that is granted."""
    name: str = ""
    """The person's, or the edge's. Where a token is given, its name goes before."""
    token: str = ""
    room: str = MAIN_ROOM
    revision: int = 0
    """A client that comes back: the last revision it has seen, and that operation's id, so that it hears what it missed."""
    operation: str = ""
    client: str = ""
    """In the broker's answer: this connection's id, as in Presence."""
    model: str = ""
    """An edge: the model that is loaded."""
    models: dict[str, str] = field(default_factory=dict)
    """An edge: each model that it can load (the loaded one, too) and its fingerprint: a hash of the weights, the kind of device
    and the versions. Equal requests on equal edges give equal pictures, which may therefore be remembered; empty: nothing is,
    or the model must be pulled first."""
    tasks: tuple[str, ...] = TASKS
    max_side: int = 0
    """An edge: the largest picture's longer side in pixels."""
    slots: int = 1
    """An edge: how many jobs it takes at once."""


@dataclass(frozen=True)
class Error:
    """Something that was said or asked went wrong; the connection lives on."""

    code: str
    message: str
    detail: dict[str, Any] = field(default_factory=dict)
    about: str = ""
    """The id of the job or node that it concerns."""


@dataclass(frozen=True)
class Cancel:
    job: str


@dataclass(frozen=True)
class Progress:
    job: str
    step: int
    steps: int
    attempt: int = 0


@dataclass(frozen=True)
class Preview:
    """What a job's picture looks like so far: a small JPEG. Newest wins, and nobody keeps it."""

    job: str
    payload: bytes
    attempt: int = 0
    node: str = ""
    """From the broker: the job's node."""


# -- client to broker -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """Change the map: all of it or, where one change cannot be, nothing. `id` makes it safe to send again."""

    id: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Undo:
    """Take back one's own last operation, where nobody else has gone over it since."""

    id: str


@dataclass(frozen=True)
class Redo:
    id: str


@dataclass(frozen=True)
class Select:
    """Tell the others which nodes one has selected."""

    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Subscribe:
    """Ask for the EEG's frames, so many a second at most of each performer; 0: none, as at the beginning."""

    frames_hz: float


@dataclass(frozen=True)
class SetPatch:
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class SetSham:
    """Let the recording that the broker was given drive instead of the live stream, or no longer."""

    on: bool


@dataclass(frozen=True)
class Generate:
    """Ask for a node's picture, or with `request` for one without a node.

    The asker chooses the job's id: asking twice with one id is one job.
    """

    node: str
    job: str
    priority: int = 0
    request: ResolvedRequest | None = None


@dataclass(frozen=True)
class Fetch:
    """Ask for a node's present picture again."""

    node: str


# -- broker to client -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Snapshot:
    """Everything, on arrival."""

    map: Map | None
    """None for who comes back and needs only what was `missed`."""
    patch: tuple[Rule, ...]
    jobs: tuple[Job, ...]
    """The room's that have not ended."""
    edges: int
    eeg: str
    """The EEG streams' names, or why there is none."""
    performers: tuple[Performer, ...] = ()
    sham: bool = False
    room: str = MAIN_ROOM
    missed: tuple[Operation, ...] = ()
    operation: str = ""
    """The id of the map's last operation."""
    people: tuple[Presence, ...] = ()


@dataclass(frozen=True)
class Edited:
    """Somebody (you too) changed the map. A client that knows its revision already leaves it out."""

    operation: Operation


@dataclass(frozen=True)
class Present:
    """Somebody came, selected something else, or left."""

    presence: Presence


@dataclass(frozen=True)
class Waiting:
    """Where one's own waiting jobs stand, by id; newest wins."""

    places: dict[str, Place]


@dataclass(frozen=True)
class Status:
    edges: int
    eeg: str
    performers: tuple[Performer, ...] = ()
    sham: bool = False


@dataclass(frozen=True)
class JobChanged:
    job: Job


@dataclass(frozen=True)
class Features:
    frame: Frame


@dataclass(frozen=True)
class Picture:
    """A node's new picture, or one's own without a node: `blob` names the payload, `media_type` says what it is."""

    node: str
    job: str
    blob: str
    media_type: str
    payload: bytes
    live: bool = False
    """Of a live node. Newest wins. The way may press together what was sent apart: so that nothing flashes, a client shows
    one no sooner than `LIVE_PICTURE_S` after it has changed that node's picture, and then the newest that has come."""


# -- broker and edge --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    job: str
    attempt: int
    request: ResolvedRequest
    modulation: Modulation | None = None
    """What the file shall say of the EEG; None where nobody asked for that."""
    previews: bool = False
    """Whether somebody will look at them."""


@dataclass(frozen=True)
class Pulling:
    """An edge: the job waits for a model that is on its way from its source."""

    job: str
    attempt: int
    model: str
    received: int
    """Bytes."""
    size: int
    """Bytes in all; 0: not known."""


@dataclass(frozen=True)
class Result:
    """A finished picture (PNG), and the request with what the edge filled in (model, steps, guidance, scheduler)."""

    job: str
    attempt: int
    request: ResolvedRequest
    payload: bytes
    fingerprint: str = ""
    """The model's, as in Hello; it may have been pulled since."""


@dataclass(frozen=True)
class Heartbeat:
    """An edge: the worker lives and is at work on these jobs. Progress counts as one, too."""

    jobs: tuple[str, ...]


@dataclass(frozen=True)
class Drain:
    """An edge: give me no more jobs; I finish what I have and leave. The broker: do that."""


@dataclass(frozen=True)
class JobFailed:
    job: str
    attempt: int
    code: str
    message: str


FROM_CLIENT = (Hello, Edit, Undo, Redo, Select, Subscribe, SetPatch, SetSham, Generate, Fetch, Cancel)
FROM_EDGE = (Hello, Progress, Preview, Pulling, Heartbeat, Drain, Result, JobFailed)
TO_CLIENT = (
    Hello,
    Error,
    Snapshot,
    Status,
    Edited,
    Present,
    Waiting,
    SetPatch,
    JobChanged,
    Progress,
    Preview,
    Pulling,
    Features,
    Picture,
)
TO_EDGE = (Hello, Error, Run, Cancel, Drain)
MESSAGES = {cls.__name__: cls for cls in (*FROM_CLIENT, *FROM_EDGE, *TO_CLIENT, *TO_EDGE)}
