"""The one place where the map, the jobs and the people come together.

One way through: a message comes in (`handle_client`, `handle_edge`), changes the store, then the memory, then goes
to everybody. All of it runs on the event loop; whatever blocks goes to the store's thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from protocol import check, wire
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Frame, Job, Map, Node, Performer
from signals import patch_files
from signals.patch_files import Patch

from . import compose, jobs
from .outbox import Outbox
from .player import Player
from .store import Store

log = logging.getLogger("broker")

MAX_OPEN_JOBS = 500
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Edge:
    """An edge that dialled in. It runs one job at a time."""

    def __init__(self, hello: m.Hello):
        self.name = hello.name
        self.model = hello.model
        self.max_side = hello.max_side
        self.outbox = Outbox()
        self.job: str | None = None
        self.attempt = 0


class Hub:
    def __init__(self, store: Store):
        self.store = store
        self.map = Map()
        self.player = Player()
        self.jobs: dict[str, Job] = {}
        """The jobs that have not ended, oldest first."""
        self.clients: set[Outbox] = set()
        self.edges: list[Edge] = []
        self.eeg = "off"
        # One change at a time, so that what is stored and what is told have the same order.
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Take up where the last broker stopped: what was running is queued again."""
        self.map, rules, unfinished = await self.store.run(self.store.load)
        if rules is not None:
            try:
                self.player.set_patch(patch_files.named(rules))
            except AlphaloomError as error:
                log.warning("the stored patch cannot be played, the default takes its place: %s", error.message)
        for job in unfinished:
            await self._keep(jobs.lose(job) if job.state == "running" else job)

    # -- clients ------------------------------------------------------------------------------------------

    def join(self, client: Outbox) -> None:
        self.clients.add(client)
        performers, open_jobs = self.player.heard(), tuple(self.jobs.values())
        edges, sham = len(self.edges), self.player.sham
        client.put(m.Snapshot(self.map, self.player.rules, open_jobs, edges, self.eeg, performers, sham))

    def leave(self, client: Outbox) -> None:
        self.clients.discard(client)

    async def handle_client(self, client: Outbox, message: Any) -> None:
        """Do what a client asks. Raises AlphaloomError, which the session answers with."""
        handlers: dict[type, Callable[[Any], Coroutine[Any, Any, None]]] = {
            m.PutNode: self._put_node,
            m.DeleteNode: self._delete_node,
            m.PutLink: self._put_link,
            m.DeleteLink: self._delete_link,
            m.SetSham: self._set_sham,
            m.Generate: self._generate,
            m.Cancel: self._cancel,
        }
        if isinstance(message, m.Fetch):
            await self._fetch(client, message)
        elif isinstance(message, m.SetPatch):
            for warning in await self.set_patch(patch_files.named(message.rules)):
                client.put(m.Error("idle_rule", warning))
        elif type(message) in handlers:
            async with self._lock:
                await handlers[type(message)](message)
        else:
            raise AlphaloomError("unexpected_message", f"A client does not send {type(message).__name__}.")

    def tell(self, message: Any) -> None:
        for client in self.clients:
            client.put(message)

    async def _put_node(self, message: m.PutNode) -> None:
        node = message.node
        check.node(node)
        known = self.map.nodes.get(node.id)
        if known is None and len(self.map.nodes) >= check.MAX_NODES:
            raise AlphaloomError("map_full", f"The map has {check.MAX_NODES} nodes, the most it takes.", node=node.id)
        node = replace(node, picture=known.picture if known else None)
        await self._store_node(node)
        self.tell(m.PutNode(node))

    async def _delete_node(self, message: m.DeleteNode) -> None:
        if message.node not in self.map.nodes:
            raise AlphaloomError("unknown_node", f"No node {message.node[:80]!r} is on the map.", node=message.node[:80])
        loose = [e.id for e in self.map.links.values() if message.node in (e.parent, e.child)]
        for job in [j for j in self.jobs.values() if j.node == message.node]:
            await self._end(job)
        nodes = {k: v for k, v in self.map.nodes.items() if k != message.node}
        links = {k: v for k, v in self.map.links.items() if k not in loose}
        await self._change(replace(self.map, nodes=nodes, links=links), drop=(message.node, *loose))
        for link in loose:
            self.tell(m.DeleteLink(link))
        self.tell(m.DeleteNode(message.node))
        await self._dispatch()

    async def _put_link(self, message: m.PutLink) -> None:
        check.link(message.link, self.map)
        await self._change(replace(self.map, links=self.map.links | {message.link.id: message.link}), put=(message.link,))
        self.tell(message)

    async def _delete_link(self, message: m.DeleteLink) -> None:
        links = {k: v for k, v in self.map.links.items() if k != message.link}
        await self._change(replace(self.map, links=links), drop=(message.link,))
        self.tell(message)

    async def _store_node(self, node: Node) -> None:
        await self._change(replace(self.map, nodes=self.map.nodes | {node.id: node}), put=(node,))

    async def _change(self, map: Map, **what: Any) -> None:
        map = replace(map, revision=self.map.revision + 1)
        await self.store.run(lambda: self.store.change(map.revision, **what))
        self.map = map

    async def _fetch(self, client: Outbox, message: m.Fetch) -> None:
        node = self.map.nodes.get(message.node)
        if node is None or node.picture is None:
            raise AlphaloomError("no_picture", f"Node {message.node[:80]!r} has no picture yet.", node=message.node[:80])
        data = await self.store.run(self.store.blob, node.picture)
        client.put(m.Picture(node.id, "", node.picture, "image/png", data))

    # -- jobs ---------------------------------------------------------------------------------------------

    async def _generate(self, message: m.Generate) -> None:
        check.identifier(message.job)
        if message.node not in self.map.nodes:
            raise AlphaloomError("unknown_node", f"No node {message.node[:80]!r} is on the map.", node=message.node[:80])
        known = self.jobs.get(message.job) or await self.store.run(self.store.job, message.job)
        if known:  # asked again after a lost connection, say
            self.tell(m.JobChanged(known))
            return
        if len(self.jobs) >= MAX_OPEN_JOBS:
            raise AlphaloomError("queue_full", f"{MAX_OPEN_JOBS} jobs are waiting, the most there may be. Try again later.")
        await self._keep(Job(message.job, message.node, created=time.time()))
        await self._dispatch()

    async def _cancel(self, message: m.Cancel) -> None:
        job = self.jobs.get(message.job)
        if job is None:
            raise AlphaloomError("unknown_job", f"No open job is called {message.job[:80]!r}.", job=message.job[:80])
        await self._end(job)
        await self._dispatch()  # who waited for its picture need not wait any longer

    async def _end(self, job: Job) -> None:
        """Cancel a job and tell its edge. Whoever ends jobs dispatches afterwards, once the map is as it shall be."""
        await self._keep(jobs.cancel(job))
        for edge in self.edges:
            if edge.job == job.id:
                edge.outbox.put(m.Cancel(job.id))

    async def _keep(self, job: Job) -> None:
        """Store a job's new state, then show it."""
        await self.store.run(self.store.put_job, job)
        self.jobs[job.id] = job
        if jobs.has_ended(job):
            del self.jobs[job.id]
        self.tell(m.JobChanged(job))

    async def _dispatch(self) -> None:
        """Give waiting jobs to idle edges, oldest first; a job whose source is still being made waits for it."""
        for job in list(self.jobs.values()):
            if job.state != "queued":
                continue
            if any(other.node in compose.waits_for(self.map, job.node) for other in self.jobs.values()):
                continue
            try:
                resolved, modulation = compose.resolve(self.map, job.node, self.player.playing(time.time()))
            except AlphaloomError as error:
                await self._keep(jobs.fail(job, error.message))
                continue
            idle = [edge for edge in self.edges if edge.job is None]
            side = max(resolved.width, resolved.height)
            fitting = [edge for edge in idle if side <= edge.max_side]
            if fitting:
                edge, job = fitting[0], jobs.start(job, resolved, modulation)
                edge.job, edge.attempt = job.id, job.attempt
                await self._keep(job)
                edge.outbox.put(m.Run(job.id, job.attempt, resolved))
            elif self.edges and all(side > edge.max_side for edge in self.edges):
                largest = max(edge.max_side for edge in self.edges)
                await self._keep(jobs.fail(job, f"No edge makes {side} pixels a side; the largest is {largest}."))

    # -- edges --------------------------------------------------------------------------------------------

    async def join_edge(self, edge: Edge) -> None:
        async with self._lock:
            self.edges.append(edge)
            self._tell_status()
            await self._dispatch()

    async def leave_edge(self, edge: Edge) -> None:
        async with self._lock:
            self.edges.remove(edge)
            self._tell_status()
            job = self.jobs.get(edge.job or "")
            if job is not None:
                log.warning("edge %s went away while it ran job %s", edge.name, job.id)
                await self._keep(jobs.lose(job))
            await self._dispatch()

    async def handle_edge(self, edge: Edge, message: Any) -> None:
        """Take in what an edge says of its job. Raises AlphaloomError when the job is not, or no longer, its own."""
        if not isinstance(message, m.Progress | m.Result | m.JobFailed):
            raise AlphaloomError("unexpected_message", f"An edge does not send {type(message).__name__}.")
        async with self._lock:
            # The attempt number is the fence: what an edge says of an attempt that is not its own is not heard.
            if edge.job != message.job or edge.attempt != message.attempt:
                raise AlphaloomError(
                    "not_your_job", f"Attempt {message.attempt} of job {message.job[:80]!r} is not yours.", job=message.job[:80]
                )
            job = self.jobs.get(message.job)  # none when it was cancelled meanwhile
            if isinstance(message, m.Progress):
                if job:
                    self.tell(message)
                return
            edge.job = None
            if job and isinstance(message, m.Result):
                await self._finish(job, message)
            elif job and isinstance(message, m.JobFailed):
                await self._keep(jobs.fail(job, message.message))
            await self._dispatch()

    async def _finish(self, job: Job, result: m.Result) -> None:
        if not result.payload.startswith(PNG_SIGNATURE):
            await self._keep(jobs.fail(job, "The edge sent something that is no PNG."))
            return
        picture = await self.store.run(self.store.put_blob, result.payload)
        # What was asked is the broker's to say; the edge only fills in what it chose.
        assert job.resolved is not None
        resolved = replace(job.resolved, model=result.request.model, steps=result.request.steps)
        await self._store_node(replace(self.map.nodes[job.node], picture=picture))
        await self._keep(jobs.finish(job, picture, resolved))
        self.tell(m.Picture(job.node, job.id, picture, "image/png", result.payload))

    # -- EEG ----------------------------------------------------------------------------------------------

    async def set_patch(self, new: Patch) -> list[str]:
        """Play another patch; what in it stays idle, and why. Raises AlphaloomError `bad_patch`, and the old one stays."""
        patch_files.check(new.rules)
        async with self._lock:
            await self._change(self.map, rules=new.rules)
            self.player.set_patch(new)
            self.tell(m.SetPatch(new.rules))
        self._warn()
        return self.player.warnings()

    async def set_sham(self, on: bool) -> None:
        """Raises AlphaloomError `no_sham`."""
        async with self._lock:
            await self._set_sham(m.SetSham(on))

    async def _set_sham(self, message: m.SetSham) -> None:
        self.player.set_sham(message.on)
        log.info("sham: %s", f"{self.player.recording} drives" if message.on else "off")
        self._tell_status()

    def hear(self, number: int, frame: Frame) -> None:
        """A performer's newest frame."""
        self.tell(m.Features(self.player.hear(number, frame, time.time())))
        self._warn()

    def hear_sham(self, frame: Frame) -> None:
        self.player.hear_sham(frame, time.time())

    def set_performer(self, number: int, performer: Performer | None, problem: str) -> None:
        """Who is listened to, or why nobody is heard."""
        self.player.problems[number] = problem
        if performer is not None:
            self.player.performers[number] = performer
        self.eeg = self.player.status() or "looking for a stream"
        log.info("EEG: %s", self.eeg)
        self._warn()
        self._tell_status()

    def _warn(self) -> None:
        for line in self.player.news():
            log.warning("%s", line)

    def report(self, error: AlphaloomError) -> None:
        """Something went wrong that nobody who is connected has asked for."""
        log.warning("%s", error.message)
        self.tell(m.Error(error.code, error.message, error.detail))

    def _tell_status(self) -> None:
        self.tell(m.Status(len(self.edges), self.eeg, self.player.heard(), self.player.sham))

    def eeg_report(self) -> dict[str, Any]:
        return {"eeg": self.eeg, **self.player.report()}

    # -- reports ------------------------------------------------------------------------------------------

    async def session(self) -> dict[str, Any]:
        """Each node's picture with its resolved request and the EEG behind it."""
        made = await self.store.run(self.store.pictures)
        shown = [job for job in made if job.node in self.map.nodes]
        return {"patch": wire.plain(self.player.rules), "eeg": self.eeg, "pictures": [wire.plain(job) for job in shown]}
