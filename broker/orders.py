"""What a job asks for, as its map is now."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from protocol.model import Job, Modulation, Node, ResolvedRequest

from . import compose, estimate
from .dispatch import Wanted
from .ledger import Ledger
from .player import Player
from .rooms import Room


class Orders:
    def __init__(self, rooms: Mapping[str, Room], player: Player, ledger: Ledger):
        self._rooms, self._player, self._ledger = rooms, player, ledger

    def wanted(self, job: Job) -> Wanted | None:
        """What it needs of an edge; None where the node is gone."""
        if job.request:
            return Wanted(job.request.task, job.request.model, max(job.request.width, job.request.height))
        node = self._node(job)
        if node is None:
            return None
        return Wanted(node.task, node.settings.model, max(node.settings.width, node.settings.height))

    def size(self, job: Job) -> estimate.Size | None:
        node = self._node(job)
        return job.request or (node.settings if node else None)

    def resolve(self, job: Job) -> tuple[ResolvedRequest, Modulation | None]:
        """Raises AlphaloomError for what cannot be made."""
        if job.request:
            return compose.direct(job.request), None
        node = self._node(job)
        if job.resolved and node and not job.live:  # begun before: it is the picture that was begun, whatever the node says now
            return replace(job.resolved, model=node.settings.model), job.modulation
        return compose.resolve(self._rooms[job.room].map, job.node, self._player.playing(time.time()))

    def tells_eeg(self, job: Job) -> bool:
        """Whether the EEG's values shall be in the picture's file."""
        node = self._node(job)
        return node is not None and node.settings.eeg_in_file

    def is_blocked(self, job: Job) -> bool:
        """Whether it waits for another job, and not for an edge."""
        if job.live and any(other.live and other.state == "running" for other in self._ledger.of_node(job.room, job.node)):
            return True
        map = self._rooms[job.room].map
        return any(self._is_made(job.room, map.nodes[source]) for source in compose.waits_for(map, job.node))

    def _is_made(self, room: str, source: Node) -> bool:
        """Whether its picture is worth waiting for. A live node's next one is always being made."""
        return any(not job.live or source.picture is None for job in self._ledger.of_node(room, source.id))

    def _node(self, job: Job) -> Node | None:
        return self._rooms[job.room].map.nodes.get(job.node)
