"""Inside Blender: other people on the same map, and where this side's cards are."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from addon import scene as cards
from addon.core.connection import Connection
from addon.core.mirror import Mirror
from addon.core.shared import messages as m
from addon.core.shared import model
from addon.session import session


class Other:
    """Somebody else on the same map."""

    def __init__(self, broker: str, ticks: Callable[..., None]) -> None:
        self.connection = Connection("other")
        self.connection.room = session.connection.room
        self.connection.open(broker)
        self.mirror = Mirror()
        self.ticks = ticks

    def edit(self, *changes: model.Change) -> None:
        self.connection.send(m.Edit(model.new_id(), changes))
        self.until(lambda: len(self.connection.outbox) == 0)

    def until(self, done: Callable[[], bool]) -> None:
        def tick() -> bool:
            self.connection.tick()
            while self.connection.inbox:
                self.mirror.apply(self.connection.inbox.popleft())
            return done()

        self.ticks(tick)

    def node(self, ident: str) -> model.Node:
        return self.mirror.map.nodes.get(ident, model.Node(""))


def settled() -> bool:
    """Whether the broker has answered all edits of this side."""
    return not session.mirror.pending


def card(ident: str = "n") -> bpy.types.Object | None:
    return cards.find("card", ident)


def place(ident: str = "n") -> tuple[float, float]:
    """Where a card stands, in card widths."""
    x, y = cards.standing()[0][ident]
    return round(x, 3), round(y, 3)
