"""The jobs that are open, each with its newest state: in memory, on disk, and then told.

A job is put in once, and comes out once, when it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from protocol.errors import AlphaloomError
from protocol.model import Job

from . import jobs
from .journal import Journal
from .store import Store, writes


class Ledger:
    def __init__(self, store: Store, journal: Journal):
        self._store, self._journal = store, journal
        self.open: dict[str, Job] = {}
        """By id, oldest first."""
        self.changed: Callable[[Job], None] = lambda job: None
        """Called with each job's new state at once."""
        self.told: Callable[[Job], None] = lambda job: None
        """Called with each job's new state when it is on disk."""
        self._of_node: dict[tuple[str, str], set[str]] = {}
        self._of_person: dict[str, int] = {}
        self._ending: dict[str, Job] = {}
        """Those that have ended and are not on disk yet."""
        self._ends: dict[str, list[asyncio.Future[Job]]] = {}
        self._known: set[int] = set()
        """Hashes of the ids of jobs that have ended: one that is asked for anew needs no look at the disk."""
        self._knows_all = True

    def load(self, ended: list[str]) -> None:
        """Ids of jobs that had ended before."""
        self._known, self._knows_all = set(map(hash, ended)), len(ended) < writes.KNOWN_JOBS

    async def find(self, id: str) -> Job | None:
        """An open job, or one that has ended."""
        while id not in self.open and (self._has_ended(id) or not self._knows_all):
            before = self._has_ended(id)
            await self._journal.settled()
            job = await self._store.run(self._store.job, id)
            if id not in self.open and (job or self._has_ended(id) == before):  # else it came or ended meanwhile
                return job
        return self.open.get(id)

    def _has_ended(self, id: str) -> bool:
        return hash(id) in self._known

    def newest(self, job: Job) -> Job:
        """A job that was put in a moment ago, as it is now."""
        return self.open.get(job.id) or self._ending.get(job.id, job)

    async def end_of(self, id: str) -> Job:
        """The job once it has ended, and is on disk. Raises AlphaloomError `unknown_job`."""
        if id in self.open:
            future = asyncio.get_running_loop().create_future()
            self._ends.setdefault(id, []).append(future)
            return await future
        job = await self.find(id)
        if job is None:
            raise AlphaloomError("unknown_job", f"No job is called {id[:80]!r}.", job=id[:80])
        return job

    def of_node(self, room: str, node: str) -> list[Job]:
        return [self.open[id] for id in sorted(self._of_node.get((room, node), ()))]

    def of_person(self, person: str) -> int:
        """How many."""
        return self._of_person.get(person, 0)

    def put(self, job: Job) -> None:
        """A job, or its new state."""
        if job.id not in self.open:
            self._count(job)
        self.open[job.id] = job
        if jobs.has_ended(job):
            self._forget(job)
        self.changed(job)
        self._journal.write(writes.PutJob(job))
        self._journal.then(lambda: self._tell(job), lambda: self._give_up(job))

    def _tell(self, job: Job) -> None:
        if self._ending.get(job.id) is job:
            del self._ending[job.id]
        self.told(job)
        if jobs.has_ended(job):
            for future in self._ends.pop(job.id, ()):
                if not future.done():
                    future.set_result(job)

    def _give_up(self, job: Job) -> None:
        """Its state can never be written: who waits for its end shall not wait for ever."""
        self._ending.pop(job.id, None)
        for future in self._ends.pop(job.id, ()):
            if not future.done():
                future.set_exception(AlphaloomError("internal", f"Job {job.id} could not be kept. The broker's log says why."))

    def _count(self, job: Job) -> None:
        self._of_person[job.person] = self.of_person(job.person) + 1
        if job.node:
            self._of_node.setdefault((job.room, job.node), set()).add(job.id)

    def _forget(self, job: Job) -> None:
        del self.open[job.id]
        self._ending[job.id] = job
        self._of_person[job.person] -= 1
        if not self._of_person[job.person]:
            del self._of_person[job.person]
        if job.node:
            siblings = self._of_node[job.room, job.node]
            siblings.discard(job.id)
            if not siblings:
                del self._of_node[job.room, job.node]
        if len(self._known) < writes.KNOWN_JOBS:
            self._known.add(hash(job.id))
        else:
            self._knows_all = False
