"""What an edge can, and which one is given a job. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from protocol import messages as m

from .outbox import Outbox

if TYPE_CHECKING:
    from .executions import Execution

_numbers = count(1)
LAST_NODES = 100


@dataclass(frozen=True)
class Wanted:
    """What a job needs of an edge."""

    task: str
    model: str
    side: int

    def said(self) -> str:
        return f"{self.task} of {self.side} pixels a side" + (f" with {self.model!r}" if self.model else "")


class Edge:
    """An edge that dialled in."""

    def __init__(self, hello: m.Hello, name: str = ""):
        """`name`: its token's; without one, what it says counts."""
        self.number = next(_numbers)
        self.name = name or hello.name
        self.model, self.models = hello.model, frozenset((hello.model, *hello.models))
        self.tasks = frozenset(hello.tasks)
        self.max_side = hello.max_side
        self.slots = max(1, hello.slots)
        self.fingerprint = hello.fingerprint
        self.outbox = Outbox()
        self.running: dict[str, Execution] = {}
        """By the job that each was begun for."""
        self.draining = False
        self.silent = False
        """A lease has run out; it gets nothing until it says something."""
        self.last_nodes: dict[tuple[str, str], None] = {}
        """The live nodes, by room, that it ran last: what it holds ready for them helps the next time."""

    @property
    def free(self) -> bool:
        return len(self.running) < self.slots and not self.draining and not self.silent

    def remember(self, node: tuple[str, str]) -> None:
        self.last_nodes.pop(node, None)
        self.last_nodes[node] = None
        if len(self.last_nodes) > LAST_NODES:
            del self.last_nodes[next(iter(self.last_nodes))]

    def can(self, wanted: Wanted) -> bool:
        return self.is_able(wanted) and not self.draining

    def is_able(self, wanted: Wanted) -> bool:
        """Whether it could, were it not about to leave."""
        return wanted.task in self.tasks and wanted.side <= self.max_side and (not wanted.model or wanted.model in self.models)


def choose(
    edges: Iterable[Edge], wanted: Wanted, node: tuple[str, str] | None = None, tried: Collection[int] = ()
) -> Edge | None:
    """A free edge that can: one that has not failed the job before another, then with the model warm, then the one that a
    live node ran on, then the idlest. `tried` has the numbers of those that have failed it."""
    fitting = [edge for edge in edges if edge.free and edge.can(wanted)]
    if not fitting:
        return None
    return min(
        fitting,
        key=lambda edge: (
            edge.number in tried,
            wanted.model not in ("", edge.model),
            node is not None and node not in edge.last_nodes,
            len(edge.running) / edge.slots,
            edge.number,
        ),
    )
