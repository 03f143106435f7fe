"""What is given to the store to keep, and what comes back from it. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from protocol.model import Change, Job, Link, Node, Operation, Role

LOG_LENGTH = 5000
"""How many operations of a room are kept, for whoever comes back late and for undoing."""
KNOWN_JOBS = 1_000_000
"""Ended jobs whose ids are remembered, some 60 bytes each; with more, each new id costs a look at the disk."""


@dataclass(frozen=True)
class RoomRow:
    id: str
    title: str = ""
    created: float = 0.0
    revision: int = 0


# -- writes --


@dataclass(frozen=True)
class PutRoom:
    room: RoomRow


@dataclass(frozen=True)
class DropRoom:
    """The room and everything in it: items, operations, jobs."""

    id: str


@dataclass(frozen=True)
class PutItem:
    room: str
    item: Node | Link
    deleted: float = 0.0
    """When it was deleted, in seconds since 1970; 0: it is there."""
    deleted_in: int = 0
    """The revision that deleted it."""


@dataclass(frozen=True)
class PurgeItems:
    """Nodes and links go for good; with a node its links and its finished jobs. A node and a link may have the same id."""

    room: str
    nodes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class AddOperation:
    room: str
    operation: Operation
    before: tuple[Change, ...] = ()
    """The changes that would take it back."""


@dataclass(frozen=True)
class PutJob:
    job: Job


@dataclass(frozen=True)
class PutCached:
    key: str
    blob: str
    size: int
    created: float


@dataclass(frozen=True)
class DropCached:
    keys: tuple[str, ...]


@dataclass(frozen=True)
class PutFact:
    """Something that there is one of, such as the `patch` (a tuple of rules)."""

    name: str
    value: Any


Write = PutRoom | DropRoom | PutItem | PurgeItems | AddOperation | PutJob | PutCached | DropCached | PutFact


# -- what is loaded --


@dataclass(frozen=True)
class Stored:
    item: Node | Link
    deleted: float = 0.0
    deleted_in: int = 0


@dataclass(frozen=True)
class Logged:
    operation: Operation
    before: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Cached:
    key: str
    blob: str
    size: int
    created: float


@dataclass(frozen=True)
class LoadedRoom:
    row: RoomRow
    nodes: list[Stored] = field(default_factory=list)
    links: list[Stored] = field(default_factory=list)
    log: list[Logged] = field(default_factory=list)
    """The newest LOG_LENGTH operations, oldest first."""


@dataclass(frozen=True)
class Loaded:
    rooms: list[LoadedRoom] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    """Those that have not ended, oldest first."""
    facts: dict[str, Any] = field(default_factory=dict)
    """As they were put; `patch` is not there when it is an older version's."""
    cache: list[Cached] = field(default_factory=list)
    """Oldest first."""
    ended: list[str] = field(default_factory=list)
    """The ids of the newest KNOWN_JOBS jobs that have ended, oldest first."""


@dataclass(frozen=True)
class Token:
    name: str
    role: Role
    hash: str
    created: float
