"""Live nodes: made anew by themselves whenever what they would be made from has changed.

Design notes
- Newest wins: one job runs and one waits. The waiting one is resolved when its turn comes, so it is the newest already, and
  while it waits nothing is asked for.
- What a node would be made from is resolved only when its map has changed or the EEG has moved something by enough to be
  seen (`MOVED`), and no oftener than `max_hz` or than its pictures take to be made. An equal request asks for nothing.
- All live jobs are one person's, the broker's: however many there are, each of the people has a turn between two of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Job, Map, ResolvedRequest, new_id

from . import compose
from .compose import Playing
from .who import Who

log = logging.getLogger("broker")

NOBODY = Who("", "editor")
"""As whom live jobs are asked for."""
TICK_S, IDLE_S = 0.025, 0.1
"""Between two looks; and while no node is live."""
MOVED = 0.005
"""The part of its way that a cable must have moved."""
BUDGET_S = 0.003
"""The longest that one turn may resolve; the others' turn comes next."""
SMOOTHING = 0.3
REST_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""The pause after so many failures in a row."""


class _Room(Protocol):
    @property
    def map(self) -> Map: ...


class _Player(Protocol):
    def playing(self, now: float) -> Playing: ...


class LiveHub(Protocol):
    """What the live loop needs of the hub."""

    @property
    def rooms(self) -> Mapping[str, _Room]: ...
    @property
    def player(self) -> _Player: ...
    async def generate(self, who: Who, room: str, asked: m.Generate, live: bool = False) -> Job: ...
    def cancel(self, who: Who, job: str) -> Job: ...
    def tell(self, room: str | None, message: Any) -> None: ...


_Key = tuple[str, str]
"""A room's id and a node's."""


@dataclass
class _LiveNode:
    wanted: ResolvedRequest | None = None
    """As it was when its newest job was asked for."""
    begun: ResolvedRequest | None = None
    """Of the job that was begun last, and where the patch stood then."""
    playing: Playing | None = None
    waiting: str = ""
    """The job that has been asked for and has not begun."""
    running: dict[str, float] = field(default_factory=dict)
    """The jobs that run, and since when."""
    seconds: float = 0.0
    """How long a picture of it takes."""
    due: float = 0.0
    """Nothing is asked for before."""
    failures: int = 0
    said: tuple[str, str] | None = None
    """The error that was told."""


class Live:
    def __init__(self, hub: LiveHub, max_hz: float = 10.0, clock: Callable[[], float] = time.monotonic):
        self._hub, self._clock = hub, clock
        self._interval = 1 / max_hz
        self._nodes: dict[_Key, _LiveNode] = {}
        self._dirty: dict[_Key, None] = {}
        """What may have changed since it was resolved, those whose turn is next first."""
        self._maps: dict[str, Map] = {}
        """Each room's, as it was looked at last."""
        self._playing: Playing | None = None

    def __len__(self) -> int:
        """The number of live nodes."""
        return len(self._nodes)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TICK_S if self._nodes else IDLE_S)
            try:
                await self.step()
            except Exception:
                log.exception("the live loop stumbled")
                await asyncio.sleep(REST_S[0])

    async def step(self) -> None:
        """Look at what has changed, and ask for what is to be made anew."""
        self._notice()
        await self._ask()

    # -- what has changed --

    def _notice(self) -> None:
        for gone in self._maps.keys() - self._hub.rooms.keys():
            self._take_map(gone, Map())
            del self._maps[gone]
        for id, room in self._hub.rooms.items():
            if self._maps.get(id) is not room.map:
                self._take_map(id, room.map)
        if not self._nodes:
            return
        playing = self._hub.player.playing(time.time())
        if self._playing is None or not _near(self._playing, playing):
            self._playing = playing
            for key in self._nodes:
                if self._maps[key[0]].nodes[key[1]].settings.modulate:
                    self._dirty.setdefault(key)

    def _take_map(self, room: str, map: Map) -> None:
        old, self._maps[room] = self._maps.get(room, Map()), map
        for key in [key for key in self._nodes if key[0] == room]:
            node = map.nodes.get(key[1])
            if node is None or not node.live:
                self._let_go(key)
        for id in _changed(old, map):
            if map.nodes[id].live:
                self._nodes.setdefault((room, id), _LiveNode())
                self._dirty.setdefault((room, id))

    def _let_go(self, key: _Key) -> None:
        waiting = self._nodes.pop(key).waiting
        self._dirty.pop(key, None)
        if waiting:
            with contextlib.suppress(AlphaloomError):  # it has just ended
                self._hub.cancel(NOBODY, waiting)

    # -- what is asked for --

    async def _ask(self) -> None:
        end = self._clock() + BUDGET_S
        for key in list(self._dirty):
            now = self._clock()
            if now > end:
                return
            node = self._nodes.get(key)
            if node is None or node.waiting or now < node.due:
                continue
            del self._dirty[key]
            wanted, playing = self._resolve(key, node)
            if wanted is None or (node.begun and _same(wanted, node.begun)):
                node.due = now + self._interval
                continue
            # From when it was due: what a turn comes too late is not lost each time.
            node.due = max(node.due, now - TICK_S) + max(self._interval, node.seconds)
            if not await self._generate(key, node, wanted, playing):
                return

    def _resolve(self, key: _Key, node: _LiveNode) -> tuple[ResolvedRequest | None, Playing]:
        """None where it cannot be; why is told once."""
        playing = self._hub.player.playing(time.time())
        if node.playing is not None and _near(node.playing, playing):
            playing = node.playing  # less than can be seen
        try:
            wanted, _ = compose.resolve(self._maps[key[0]], key[1], playing)
        except AlphaloomError as error:
            sources = compose.waits_for(self._maps[key[0]], key[1])
            if not any((key[0], source) in self._nodes for source in sources):  # those make their pictures by themselves
                self._say(key, node, error)
            return None, playing
        node.said = None
        return wanted, playing

    async def _generate(self, key: _Key, node: _LiveNode, wanted: ResolvedRequest, playing: Playing) -> bool:
        """Whether it was taken; a full queue, or a full disk, is no reason to ask for the others now."""
        room, id = key
        node.waiting, node.wanted, node.playing = new_id(), wanted, playing
        try:
            await self._hub.generate(NOBODY, room, m.Generate(id, node.waiting), live=True)
        except AlphaloomError as error:
            node.waiting = ""
            node.due = self._clock() + REST_S[0]
            self._dirty[key] = None
            if error.code not in ("queue_full", "unknown_node", "unknown_room"):
                self._say(key, node, error)
            return False
        return True

    def _say(self, key: _Key, node: _LiveNode, error: AlphaloomError) -> None:
        if node.said != (error.code, error.message):
            node.said = (error.code, error.message)
            self._hub.tell(key[0], m.Error(error.code, error.message, error.detail, key[1]))

    # -- what becomes of it --

    def follow(self, job: Job) -> None:
        """A job's new state, at the moment in which it becomes so: what it was resolved from is still what is."""
        node = self._nodes.get((job.room, job.node))
        if node is None or job.request is not None:
            return
        now = self._clock()
        if job.id == node.waiting and job.state != "queued":
            node.waiting = ""
        began = node.running.pop(job.id, None)
        if job.state == "running" or (began is None and job.state == "done"):
            node.begun, node.playing = job.resolved, self._hub.player.playing(time.time())
        if job.state == "running":
            node.running[job.id] = now
        elif job.state == "done":
            node.failures = 0
            if began is not None and job.live:
                node.seconds += (SMOOTHING if node.seconds else 1.0) * (now - began - node.seconds)
        elif job.live and job.state in ("failed", "cancelled"):
            # The same again would come to the same; something else may be tried, after a rest.
            node.begun = job.resolved or node.wanted
            if job.state == "failed":
                node.due = now + REST_S[min(node.failures, len(REST_S) - 1)]
                node.failures += 1


def _near(one: Playing, other: Playing) -> bool:
    """Whether nobody would see the difference."""
    if one.state is other.state and one.rules is other.rules:
        return True
    if one.rules != other.rules or len(one.state) != len(other.state):
        return False
    return all(
        abs(a.position - b.position) < MOVED and a.count == b.count and (a.value is None) == (b.value is None)
        for a, b in zip(one.state, other.state, strict=True)
    )


def _same(wanted: ResolvedRequest, begun: ResolvedRequest) -> bool:
    """Whether it is what was begun; what is left open was filled in then."""
    model = begun.model if wanted.model else ""
    steps = None if wanted.steps is None else begun.steps
    scheduler = begun.scheduler if wanted.scheduler else ""
    return wanted == replace(begun, model=model, steps=steps, scheduler=scheduler)


def _changed(old: Map, new: Map) -> Collection[str]:
    """The nodes that may be made from something else now. To move a card changes none."""
    if old.links != new.links or old.nodes.keys() != new.nodes.keys():
        return new.nodes
    found: set[str] = set()
    for id, node in new.nodes.items():
        was = old.nodes[id]
        if was is node:
            continue
        if replace(was, x=node.x, y=node.y, picture=node.picture) != node:
            return new.nodes
        if was.picture != node.picture:
            found.update(link.child for link in new.links.values() if link.parent == id and link.kind == "image")
    return found
