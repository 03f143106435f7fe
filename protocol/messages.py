"""What is said. Every message is a dataclass; `type` on the wire is its name in `MESSAGES`.

Messages with a `payload` travel as binary frames, all others as text (see `wire`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .model import Frame, Job, Link, Map, Node, Performer, ResolvedRequest, Rule

Role = Literal["client", "edge"]

# -- both ways --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello:
    """The first message each side sends. An edge also says what it can do."""

    version: int
    role: str
    name: str = ""
    model: str = ""
    max_side: int = 0


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


# -- client to broker; the broker repeats edits to everybody ---------------------------------------------


@dataclass(frozen=True)
class PutNode:
    """Create a node or replace it. Its `picture` is the broker's to set: a client's value is ignored."""

    node: Node


@dataclass(frozen=True)
class DeleteNode:
    """Delete a node and its links."""

    node: str


@dataclass(frozen=True)
class PutLink:
    link: Link


@dataclass(frozen=True)
class DeleteLink:
    link: str


@dataclass(frozen=True)
class SetPatch:
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class SetSham:
    """Let the recording that the broker was given drive instead of the live stream, or no longer."""

    on: bool


@dataclass(frozen=True)
class Generate:
    """Ask for a node's picture. The asker chooses the job's id: asking twice with one id is one job."""

    node: str
    job: str


@dataclass(frozen=True)
class Fetch:
    """Ask for a node's present picture again."""

    node: str


# -- broker to client -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Snapshot:
    """Everything, on arrival."""

    map: Map
    patch: tuple[Rule, ...]
    jobs: tuple[Job, ...]
    """Those that have not ended."""
    edges: int
    eeg: str
    """The EEG streams' names, or why there is none."""
    performers: tuple[Performer, ...] = ()
    sham: bool = False


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
    """A node's new picture: `blob` names the payload, `media_type` says what it is."""

    node: str
    job: str
    blob: str
    media_type: str
    payload: bytes


# -- broker and edge --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    job: str
    attempt: int
    request: ResolvedRequest


@dataclass(frozen=True)
class Result:
    """A finished picture (PNG), and the request with what the edge filled in (model, steps)."""

    job: str
    attempt: int
    request: ResolvedRequest
    payload: bytes


@dataclass(frozen=True)
class JobFailed:
    job: str
    attempt: int
    code: str
    message: str


FROM_CLIENT = (Hello, PutNode, DeleteNode, PutLink, DeleteLink, SetPatch, SetSham, Generate, Fetch, Cancel)
FROM_EDGE = (Hello, Progress, Result, JobFailed)
TO_CLIENT = (
    Hello,
    Error,
    Snapshot,
    Status,
    PutNode,
    DeleteNode,
    PutLink,
    DeleteLink,
    SetPatch,
    JobChanged,
    Progress,
    Features,
    Picture,
)
TO_EDGE = (Hello, Error, Run, Cancel)
MESSAGES = {cls.__name__: cls for cls in (*FROM_CLIENT, *FROM_EDGE, *TO_CLIENT, *TO_EDGE)}
