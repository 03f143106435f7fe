"""Who is next: round robin between people; one person's jobs by priority, then by age. Pure."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator

from protocol.model import Job

_Entry = tuple[int, int, str]
"""Minus the priority, the number of its arrival, the job's id: sorted, the first is the next."""


class FairQueue:
    def __init__(self) -> None:
        self._waiting: dict[str, list[_Entry]] = {}
        """By person, in the order in which they have their turn."""
        self._entries: dict[str, tuple[str, _Entry]] = {}
        self._jobs: dict[str, Job] = {}
        self._arrivals = itertools.count()
        self._arrived: dict[str, int] = {}
        self._since: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, job: str) -> bool:
        return job in self._entries

    def push(self, job: Job, now: float = 0.0) -> None:
        """A job that comes back from a lost attempt has the place of its first arrival. `now`: see `waited`."""
        self._since[job.id] = now
        number = self._arrived.setdefault(job.id, next(self._arrivals))
        entry = (-job.priority, number, job.id)
        bisect.insort(self._waiting.setdefault(job.person, []), entry)
        self._entries[job.id] = (job.person, entry)
        self._jobs[job.id] = job

    def remove(self, job: str) -> None:
        """No longer waiting, if it was."""
        if job in self._entries:
            person, entry = self._entries.pop(job)
            del self._jobs[job]
            line = self._waiting[person]
            del line[bisect.bisect_left(line, entry)]
            if not line:
                del self._waiting[person]

    def forget(self, job: str) -> None:
        """It has ended and will not come back."""
        self.remove(job)
        self._arrived.pop(job, None)
        self._since.pop(job, None)

    def waited(self, job: str, now: float) -> float:
        """How long it has been waiting this time, on the clock of `push`."""
        return now - self._since[job]

    def waiting(self, person: str) -> int:
        return len(self._waiting.get(person, ()))

    def take(self, fits: Callable[[Job], bool]) -> Job | None:
        """The next job that fits; its person goes to the end of the round."""
        for person, line in self._waiting.items():
            for _, _, id in line:
                job = self._jobs[id]
                if fits(job):
                    self.remove(id)
                    if person in self._waiting:
                        self._waiting[person] = self._waiting.pop(person)
                    return job
        return None

    def order(self) -> Iterator[Job]:
        """All that wait, in the order in which they would be taken if all of them fitted."""
        for row in itertools.zip_longest(*self._waiting.values()):
            yield from (self._jobs[entry[2]] for entry in row if entry)
