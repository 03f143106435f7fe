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
MAX_PULLING = 8
"""Jobs of one edge that wait for models without taking a slot."""


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
        self.default = self.model = hello.model
        """The model of requests that name none; and the one that is loaded: that of the job that it was given last."""
        self.models = {hello.model: ""} | hello.models if hello.model else dict(hello.models)
        """Each with its fingerprint; empty: it must be pulled first, or nothing that it makes is remembered."""
        self.tasks = frozenset(hello.tasks)
        self.max_side = hello.max_side
        self.slots = max(1, hello.slots)
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
        return self.busy < self.slots and not self.draining and not self.silent

    @property
    def busy(self) -> int:
        """Jobs that take a slot. Those that wait for a model to be pulled do not, as long as they are few."""
        pulling = sum(execution.pulling is not None for execution in self.running.values())
        return len(self.running) - min(pulling, MAX_PULLING)

    def remember(self, node: tuple[str, str]) -> None:
        self.last_nodes.pop(node, None)
        self.last_nodes[node] = None
        if len(self.last_nodes) > LAST_NODES:
            del self.last_nodes[next(iter(self.last_nodes))]

    def nearness(self, model: str) -> int:
        """0: the model is loaded; 1: it is on the edge's disk; 2: it must be pulled first."""
        model = model or self.default
        if model == self.model:
            return 0
        # Its own has no fingerprint where it is remembered for nobody; it is there all the same.
        return 1 if model == self.default or self.models.get(model) else 2

    def can(self, wanted: Wanted) -> bool:
        return self.is_able(wanted) and not self.draining

    def is_able(self, wanted: Wanted) -> bool:
        """Whether it could, were it not about to leave."""
        return wanted.task in self.tasks and wanted.side <= self.max_side and (not wanted.model or wanted.model in self.models)


def choose(
    edges: Iterable[Edge], wanted: Wanted, node: tuple[str, str] | None = None, tried: Collection[int] = ()
) -> Edge | None:
    """A free edge that can: one that has not failed the job before another, then with the model loaded, or at least on its
    disk, then the one that a live node ran on, then the idlest. `tried` has the numbers of those that have failed it."""
    fitting = [edge for edge in edges if edge.free and edge.can(wanted)]
    if not fitting:
        return None
    return min(
        fitting,
        key=lambda edge: (
            edge.number in tried,
            edge.nearness(wanted.model),
            node is not None and node not in edge.last_nodes,
            edge.busy / edge.slots,
            edge.number,
        ),
    )
