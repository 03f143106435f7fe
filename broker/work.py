"""Jobs and the edges that run them: from being asked for to the end, which comes once, whatever dies.

One way through: `submit` → the queue → `_dispatch` → `_begin` (resolved, or remembered, or joined to an equal one that
runs) → the edge → `_store_result` → `_finish`. What is told is told by the journal, once it is on disk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from protocol import check
from protocol import messages as m
from protocol.errors import ELSEWHERE, AlphaloomError
from protocol.model import Job, Modulation, Place, ResolvedRequest

from . import asking, cache, estimate, jobs
from .asking import Limits
from .dispatch import Edge, Wanted, choose
from .executions import Execution, Executions, check_pulling, decided, filled_in, key_of, wrong_with
from .journal import Journal
from .ledger import Ledger
from .orders import Orders
from .player import Player
from .queue import FairQueue
from .rooms import Room
from .store import Store, writes
from .who import Who

log = logging.getLogger("broker")

MAX_REASON = 2000
MAX_STORING = 64
"""Pictures that are being written at once."""


class Work:
    def __init__(self, rooms: dict[str, Room], player: Player, store: Store, journal: Journal, limits: Limits):
        self._rooms, self._store, self._journal = rooms, store, journal
        self.limits = limits
        self.ledger = Ledger(store, journal)
        self.open = self.ledger.open
        self._orders = Orders(rooms, player, self.ledger)
        self.edges: list[Edge] = []
        self.cache = cache.Cache(limits.cache_age, limits.cache_bytes)
        self.queue = FairQueue()
        self.heard: Callable[[Job, m.Progress | m.Pulling], None] = lambda job, message: None
        """Called with what an edge says of a running job, for those who may see it."""
        self.heard_preview: Callable[[Edge, list[Job], m.Preview], None] = lambda edge, jobs, preview: None
        self.made: Callable[[Job, bytes], None] = lambda job, png: None
        """Called with a finished job whose picture is stored; what changes with it belongs to the same batch."""
        self.edges_changed: Callable[[], None] = lambda: None
        self._pace = estimate.Pace()
        self._storing: set[asyncio.Task[None]] = set()
        self._executions = Executions()
        self._forgiven: dict[str, int] = {}
        """Attempts by job that do not count: neither the job nor its edge was to blame."""
        self._tried: dict[str, set[int]] = {}
        """Edges by job that have failed it."""
        self._unable_since: dict[Wanted, float] = {}
        """Since when no edge can do what some job waits for."""

    def load(self, loaded: writes.Loaded) -> None:
        """Take up where the last broker stopped: what was running is queued again."""
        now = time.time()
        self.ledger.load(loaded.ended)
        self._drop_cached(self.cache.load(loaded.cache, now))
        for job in loaded.jobs:
            if job.state == "running":
                self._again(job, "the broker was restarted", forgiven=True)
            else:
                self._keep(job)
                self.queue.push(job, time.monotonic())

    # -- asking --

    async def submit(self, who: Who, room: Room, asked: m.Generate, live: bool = False) -> tuple[Job, bool]:
        """The job, and whether it had been asked for before. Raises AlphaloomError, `queue_full` among others."""
        check.identifier(asked.job)
        if known := await self.ledger.find(asked.job):
            if known.person != who.person and who.role != "admin":
                raise AlphaloomError("job_exists", f"Another's job is called {asked.job!r}; choose a new id.", job=asked.job)
            return known, True
        if self._rooms.get(room.id) is not room:
            raise AlphaloomError("unknown_room", f"The map {room.id!r} was deleted.", room=room.id)
        self._journal.need()
        asking.check_asked(asked, room, self._store.blobs)
        asking.check_bounds(asked, self.limits, self.ledger.of_person(who.person), len(self.open))
        job = Job(
            asked.job,
            asked.node,
            created=time.time(),
            room=room.id,
            person=who.person,
            priority=asked.priority,
            live=live,
            request=asked.request,
        )
        if live:
            self._supersede(job)
        self._keep(job)
        self.queue.push(job, time.monotonic())
        # No other that waits can be run now, or it would be running.
        if any(edge.free for edge in self.edges) and self._fits(job, {}):
            self.queue.remove(job.id)
            self._begin(job)
        else:
            self._shorten(job)
        return self.ledger.newest(job), False

    def cancel(self, who: Who, id: str) -> Job:
        """End one's own open job; an admin any. Raises AlphaloomError `unknown_job` or `not_yours`."""
        job = self.open.get(id)
        if job is None:
            raise AlphaloomError("unknown_job", f"No open job is called {id[:80]!r}.", job=id[:80])
        if job.person != who.person and who.role != "admin":
            raise AlphaloomError("not_yours", f"Job {id} is {job.person!r}'s: only they, or an admin, may cancel it.", job=id)
        job = self._end(jobs.cancel(job, time.time()))
        self._dispatch()
        return job

    def node_deleted(self, who: Who, room: str, node: str) -> None:
        """Its own jobs end, and what waits; another person's that runs already goes on into the node's history."""
        for job in self.ledger.of_node(room, node):
            if job.state == "queued" or job.person == who.person:
                self._end(jobs.cancel(job, time.time(), f"The node was deleted by {who.person}."))
        self._dispatch()

    def room_dropped(self, room: str) -> None:
        for job in [job for job in self.open.values() if job.room == room]:
            self._end(jobs.cancel(job, time.time(), "The map was deleted."))
        self._dispatch()

    def progress(self, id: str) -> tuple[int, int] | None:
        """Steps done and in all, of a running job."""
        execution = self._executions.of(id)
        return execution.progress if execution else None

    def pulling(self, id: str) -> m.Pulling | None:
        """What a running job's edge fetches for it first."""
        execution = self._executions.of(id)
        return execution.pulling if execution else None

    def places(self) -> dict[str, dict[str, Place]]:
        """Where all waiting jobs stand, by person."""
        return estimate.places(self.queue.order(), self._orders.size, self._executions.all(), self.edges, self._pace)

    # -- a job's states --

    def _keep(self, job: Job) -> None:
        if jobs.has_ended(job):
            self.queue.forget(job.id)
            self._forgiven.pop(job.id, None)
            self._tried.pop(job.id, None)
        self.ledger.put(job)

    def _end(self, job: Job) -> Job:
        """A job ends that may be running; its edge is told when nobody else wants the picture."""
        self._keep(job)
        if execution := self._executions.let_go(job.id):
            execution.edge.outbox.put(m.Cancel(execution.job))  # its slot is free when it has answered
        return job

    def _supersede(self, newer: Job) -> None:
        for older in self.ledger.of_node(newer.room, newer.node):
            if older.live and older.state == "queued":
                self._end(jobs.supersede(older, newer.created))

    # -- to the edges --

    def _dispatch(self) -> None:
        """Give waiting jobs to free edges; a job whose source is still being made waits for it."""
        while any(edge.free for edge in self.edges):
            can: dict[Wanted, bool] = {}
            job = self.queue.take(lambda job, can=can: self._fits(job, can))  # type: ignore[misc]
            if job is None:
                return
            self._begin(job)

    def _fits(self, job: Job, can: dict[Wanted, bool]) -> bool:
        wanted = self._orders.wanted(job)
        if wanted is None:
            return True  # it fails with its reason
        if wanted not in can:
            can[wanted] = choose(self.edges, wanted) is not None
        return can[wanted] and not self._orders.is_blocked(job)

    def _begin(self, job: Job) -> None:
        try:
            resolved, modulation = self._orders.resolve(job)
        except AlphaloomError as error:
            self._keep(jobs.fail(job, error.message, time.time()))
            return
        place = (job.room, job.node) if job.live else None
        wanted = self._orders.wanted(job)
        assert wanted is not None  # else it could not be resolved
        edge = choose(self.edges, wanted, place, self._tried.get(job.id, ()))
        assert edge is not None
        resolved, key = decided(resolved, edge)
        told = modulation if self._orders.tells_eeg(job) else None
        if told is not None:
            key = ""  # what the file says of that moment is in no other picture
        if self._spare(job, resolved, modulation, key):
            return
        job = jobs.start(job, resolved, modulation)
        self._executions.begin(job.id, job.attempt, resolved, key, edge, self.limits.lease, told is not None)
        if edge.nearness(resolved.model) < 2:
            edge.model = resolved.model or edge.model
        if place:
            edge.remember(place)
        self._keep(job)
        # An edge need not wait for the disk: what it does for a broker that dies here counts for nobody.
        edge.outbox.put(m.Run(job.id, job.attempt, resolved, told, previews=not job.live))

    def _spare(self, job: Job, resolved: ResolvedRequest, modulation: Modulation | None, key: str) -> bool:
        """Whether it need not be run: an equal picture is there, or on its way."""
        if not key:
            return False
        now = time.time()
        blob = self.cache.get(key, now)
        if blob and self._store.blobs.has(blob):
            self.queue.remove(job.id)
            self._keep_made(jobs.remember(job, blob, resolved, modulation, now), b"")
            return True
        execution = self._executions.equal(key)
        if execution is None:
            return False
        self.queue.remove(job.id)
        self._executions.join(execution, job.id)
        self._keep(jobs.start(job, resolved, modulation))
        return True

    def _shorten(self, job: Job) -> None:
        """A job that would have to wait for an edge need not, where its picture is there or on its way."""
        if not (len(self.cache) or len(self._executions)) or self._orders.is_blocked(job):
            return
        wanted = self._orders.wanted(job)
        try:
            resolved, modulation = self._orders.resolve(job)
        except AlphaloomError:
            return  # it fails when its turn comes
        if modulation and self._orders.tells_eeg(job):
            return
        able = (decided(resolved, edge) for edge in self.edges if wanted and edge.can(wanted))
        for key, whole in {key: whole for whole, key in able}.items():
            if self._spare(job, whole, modulation, key):
                return

    # -- from the edges --

    def join_edge(self, edge: Edge) -> None:
        self.edges.append(edge)
        self.edges_changed()
        self._dispatch()

    def leave_edge(self, edge: Edge) -> None:
        self.edges.remove(edge)
        self.edges_changed()
        for execution in list(edge.running.values()):
            if execution.jobs:
                log.warning("edge %s went away while it ran job %s", edge.name, execution.job)
            self._lose(execution, "the edge that ran it went away")
        self._dispatch()

    async def handle_edge(self, edge: Edge, message: Any) -> None:
        """Take in what an edge says. Raises AlphaloomError `not_your_job` for an attempt that is not, or no longer, its own."""
        if edge.silent:
            log.warning("edge %s is back", edge.name)
            edge.silent = False
            self._dispatch()
        if isinstance(message, m.Heartbeat):
            for id in message.jobs:
                if id in edge.running:
                    self._renew(edge.running[id], self.limits.lease)
        elif isinstance(message, m.Drain):
            self.drain(edge)
        elif isinstance(message, m.Progress):
            self._progress(self._own(edge, message), message)
        elif isinstance(message, m.Preview):
            execution = self._own(edge, message)
            self._works(execution)
            self.heard_preview(edge, [self.open[id] for id in execution.jobs], message)
        elif isinstance(message, m.Pulling):
            self._pulling(self._own(edge, message), message)
        elif isinstance(message, m.Result | m.JobFailed):
            execution = self._own(edge, message)
            if isinstance(message, m.Result):
                self._works(execution)  # an edge need not have said anything before
            del edge.running[execution.job]  # the fence: nothing more is heard of this attempt
            if isinstance(message, m.JobFailed):
                self._failed(execution, message)
            self._dispatch()
            if isinstance(message, m.Result):
                await self._begin_to_store(execution, message)
        else:
            raise AlphaloomError("unexpected_message", f"An edge does not send {type(message).__name__}.")

    def drain(self, edge: Edge) -> None:
        """It gets no more jobs, and leaves when it has done what it has."""
        if not edge.draining:
            log.info("edge %s takes no more jobs", edge.name)
            edge.draining = True
            edge.outbox.put(m.Drain())
            self.edges_changed()

    def _own(self, edge: Edge, message: m.Progress | m.Preview | m.Pulling | m.Result | m.JobFailed) -> Execution:
        execution = edge.running.get(message.job)
        if execution is None or execution.attempt != message.attempt:
            raise AlphaloomError(
                "not_your_job", f"Attempt {message.attempt} of job {message.job[:80]!r} is not yours.", job=message.job[:80]
            )
        return execution

    def _renew(self, execution: Execution, seconds: float) -> None:
        execution.lease_end = max(execution.lease_end, time.monotonic() + seconds)

    def _works(self, execution: Execution) -> None:
        """It makes the picture, so it has the model."""
        self._renew(execution, self.limits.lease)
        execution.pulled()
        execution.edge.model = execution.request.model or execution.edge.model

    def _progress(self, execution: Execution, message: m.Progress) -> None:
        self._works(execution)
        if message.step >= message.steps:
            self._renew(execution, self.limits.sending)
        execution.progress = (message.step, message.steps)
        self._tell(execution, message)

    def _pulling(self, execution: Execution, message: m.Pulling) -> None:
        check_pulling(message)
        self._renew(execution, self.limits.lease)
        execution.pull(message, time.monotonic())
        self._tell(execution, message)
        self._dispatch()  # it takes none of its edge's slots

    def _tell(self, execution: Execution, message: m.Progress | m.Pulling) -> None:
        for id in execution.jobs:
            self.heard(self.open[id], replace(message, job=id))

    async def _begin_to_store(self, execution: Execution, result: m.Result) -> None:
        """An edge's next answer is heard while this one is written; but not any number of them."""
        if len(self._storing) >= MAX_STORING:
            await asyncio.wait(self._storing, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._store_result(execution, result))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def close(self) -> None:
        """Until the pictures that have come are stored."""
        await asyncio.gather(*self._storing)

    async def _store_result(self, execution: Execution, result: m.Result) -> None:
        try:
            if wrong := wrong_with(result, execution.request):
                raise AlphaloomError("bad_result", wrong)
            picture = await self._store.blobs.run(self._store.blobs.put, result.payload)
            self._finish(execution, result, picture)
        except Exception as problem:  # whatever it is: a job ends
            if not isinstance(problem, AlphaloomError | OSError):
                log.exception("job %s", execution.job)
            for job in self._wanting(execution):
                self._keep(jobs.fail(job, f"The picture could not be kept: {problem}", time.time()))
        self._dispatch()  # who waited for this picture

    def _finish(self, execution: Execution, result: m.Result, picture: str) -> None:
        resolved = filled_in(execution.request, result.request)
        self._pace.learn(resolved, time.monotonic() - execution.began)
        now = time.time()
        for job in self._wanting(execution):
            self._keep_made(jobs.finish(job, picture, resolved, now), result.payload)
        if key := self._learnt(execution, result, resolved.model):
            entry = writes.Cached(key, picture, len(result.payload), now)
            gone = self.cache.put(entry, now)
            if key not in gone:
                self._journal.write(writes.PutCached(entry.key, entry.blob, entry.size, entry.created))
            self._drop_cached(gone)

    def _learnt(self, execution: Execution, result: m.Result, model: str) -> str:
        """The key by which it is remembered, after what the edge has said of its model, which may have been pulled since."""
        models = execution.edge.models
        if model in models and result.fingerprint:
            models[model] = result.fingerprint
        return "" if execution.tells_eeg else key_of(replace(execution.request, model=model), execution.edge)

    def _drop_cached(self, keys: list[str]) -> None:
        if keys:
            self._journal.write(writes.DropCached(tuple(keys)))

    def _keep_made(self, job: Job, png: bytes) -> None:
        self._keep(job)
        try:
            self.made(job, png)
        except Exception:  # the others that wanted this picture shall have it all the same
            log.exception("the picture of job %s could not be shown", job.id)

    def _failed(self, execution: Execution, message: m.JobFailed) -> None:
        reason = message.message[:MAX_REASON]
        for job in self._wanting(execution):
            if message.code == "draining":
                self._again(job, reason, forgiven=True)
            elif message.code in ELSEWHERE and self._is_another(job, execution.edge):
                self._again(job, f"edge {execution.edge.name} said: {reason}")
            else:
                self._keep(jobs.fail(job, reason, time.time()))

    def _is_another(self, job: Job, edge: Edge) -> bool:
        """Whether another edge than this one, and those that have failed it before, can run a job."""
        tried = self._tried.setdefault(job.id, set())
        tried.add(edge.number)
        wanted = self._orders.wanted(job)
        return wanted is not None and any(other.can(wanted) and other.number not in tried for other in self.edges)

    def _lose(self, execution: Execution, why: str) -> None:
        execution.edge.running.pop(execution.job, None)
        # One that is about to leave may never have begun it.
        forgiven = execution.edge.draining and execution.progress == (0, 0)
        for job in self._wanting(execution):
            self._again(job, why, forgiven)

    def _again(self, job: Job, why: str, forgiven: bool = False) -> None:
        """An attempt came to nothing: it is tried again, if it may."""
        if forgiven:
            self._forgiven[job.id] = self._forgiven.get(job.id, 0) + 1
        most = self.limits.attempts + self._forgiven.get(job.id, 0)
        job = jobs.lose(job, time.time(), why, most)
        self._keep(job)
        if not jobs.has_ended(job):
            self.queue.push(job, time.monotonic())

    def _wanting(self, execution: Execution) -> list[Job]:
        """It is over; the jobs that still want it."""
        return [self.open[id] for id in self._executions.land(execution)]

    # -- time --

    def tick(self) -> None:
        """Once a second: what takes too long, or waits for what does not come, goes on or ends."""
        now, wall = time.monotonic(), time.time()
        for edge in self.edges:
            for execution in list(edge.running.values()):
                if now > execution.lease_end or now - execution.began > self.limits.attempt:
                    self._give_up(execution, now)
        for job in [job for job in self.open.values() if job.state == "running" and not self._executions.of(job.id)]:
            log.error("job %s is run by nobody, and is tried again", job.id)  # a mistake of ours; no job is stuck for it
            self._again(job, "nobody ran it")
        waiting = [(job, self._orders.wanted(job)) for job in self.queue.order()]
        self._look_for_able({wanted for job, wanted in waiting if wanted and not self._orders.is_blocked(job)}, now)
        for job, wanted in waiting:
            if self.queue.waited(job.id, now) > self.limits.wait:
                self._keep(jobs.fail(job, f"No edge had time for it within {self.limits.wait:g} s.", wall))
            elif wanted and self._unable_since.get(wanted, now) < now - self.limits.no_edge:
                self._keep(jobs.fail(job, self._why_unable(wanted), wall))
        self._drop_cached(self.cache.shrink(wall))
        self._dispatch()

    def _give_up(self, execution: Execution, now: float) -> None:
        edge = execution.edge
        silent = now > execution.lease_end
        why = "its edge said nothing for too long" if silent else f"it took longer than {self.limits.attempt:g} s"
        log.warning("edge %s loses job %s: %s", edge.name, execution.job, why)
        edge.silent = edge.silent or silent
        edge.outbox.put(m.Cancel(execution.job))
        self._lose(execution, why)

    def _look_for_able(self, wanted: set[Wanted], now: float) -> None:
        """What is waited for and no edge can do, if there are any; one that is leaving will be back."""
        unable = {one for one in wanted if self.edges and not any(edge.is_able(one) for edge in self.edges)}
        self._unable_since = {one: self._unable_since.get(one, now) for one in unable}

    def _why_unable(self, wanted: Wanted) -> str:
        largest = max(edge.max_side for edge in self.edges)
        models = sorted({model for edge in self.edges for model in edge.models})
        return f"No edge makes {wanted.said()}; the largest is {largest}, and the models are {', '.join(models)}."
