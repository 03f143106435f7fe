"""What this side knows of the broker's map, jobs, people and EEG. No `bpy`: messages in, what changed out.

`map` is what is shown: the broker's map, and on top of it one's own edits that it has not answered yet. A refused edit is
taken off again, so that the broker's own values come back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .shared import edits, model
from .shared import messages as m

MAX_NAME = 24
"""Characters of a model's name in a line."""


class Mirror:
    def __init__(self) -> None:
        self.map = model.Map()
        self.pending: dict[str, m.Edit] = {}
        """One's own edits under way, by their ids."""
        self.people: dict[str, model.Presence] = {}
        """Who is here, by connection."""
        self.places: dict[str, model.Place] = {}
        """Where one's own waiting jobs stand."""
        self.jobs: dict[str, model.Job] = {}
        """Open jobs and, until the node's next one, the last to end."""
        self.progress: dict[str, tuple[int, int]] = {}
        """Steps done and steps in all, by node."""
        self.pulling: dict[str, m.Pulling] = {}
        """The model that is fetched for a node's job, by node."""
        self.frame: model.Frame | None = None
        """The newest of the first performer."""
        self.frames: dict[str, model.Frame] = {}
        """Each performer's newest, by stream."""
        self.edges = 0
        self.eeg = ""
        self.performers: tuple[model.Performer, ...] = ()
        self.sham = False
        self.error = ""
        self.loaded = False
        self._truth = model.Map()

    @property
    def truth(self) -> model.Map:
        """The broker's map, without what is under way."""
        return self._truth

    def begin(self, edit: m.Edit) -> set[str]:
        """Take in an edit of one's own that is on its way; the ids of what it changes."""
        self.pending[edit.id] = edit
        self.error = ""  # of what was done before
        return self._show(_ids(edit.changes))

    def apply(self, message: Any) -> set[str]:
        """Take in one message from the broker; the ids of the nodes and links that are no longer what they were."""
        if isinstance(message, m.Snapshot):
            return self._arrive(message)
        if isinstance(message, m.Edited):
            self._truth = edits.apply(self._truth, message.operation)
            return self._show(_ids(message.operation.changes) | self._end(message.operation.id))
        if isinstance(message, m.Error):
            if message.code != "idle_rule":  # is said where the rule stands
                self.error = message.message
            return self._show(self._end(message.about))
        if isinstance(message, m.Present):
            self._present(message.presence)
        elif isinstance(message, m.Waiting):
            self.places = message.places
        elif isinstance(message, m.Status):
            self.edges, self.eeg = message.edges, message.eeg
            self.performers, self.sham = message.performers, message.sham
        elif isinstance(message, m.JobChanged):
            self._job(message.job)
        elif isinstance(message, m.Progress):
            job = self.jobs.get(message.job)
            if job is not None:
                self.progress[job.node] = (message.step, message.steps)
                self.pulling.pop(job.node, None)
        elif isinstance(message, m.Pulling):
            job = self.jobs.get(message.job)
            if job is not None:
                self.pulling[job.node] = message
        elif isinstance(message, m.Features):
            self.frames[message.frame.stream] = message.frame
            if not self.performers or message.frame.stream == self.performers[0].stream:
                self.frame = message.frame
        return set()

    def _arrive(self, snapshot: m.Snapshot) -> set[str]:
        self.edges, self.eeg, self.loaded = snapshot.edges, snapshot.eeg, True
        self.performers, self.sham = snapshot.performers, snapshot.sham
        self.people = {presence.client: presence for presence in snapshot.people}
        self.jobs = {job.id: job for job in snapshot.jobs}
        self.progress.clear()
        self.pulling.clear()
        self.places = {}
        if snapshot.map is None:
            self._truth = edits.apply_all(self._truth, snapshot.missed)
        else:
            self._truth = snapshot.map
        for operation in snapshot.missed:
            self._end(operation.id)
        before = self.map
        self._show(set())
        pairs = ((before.nodes, self.map.nodes), (before.links, self.map.links))
        return {id for old, new in pairs for id in old.keys() | new.keys() if old.get(id) != new.get(id)}

    def _end(self, edit: str) -> set[str]:
        """An edit of one's own was answered."""
        ended = self.pending.pop(edit, None)
        return _ids(ended.changes) if ended else set()

    def _show(self, ids: set[str]) -> set[str]:
        """Lay what is under way over the broker's map."""
        shown = self._truth
        for edit in self.pending.values():
            shown = edits.apply(shown, model.Operation(shown.revision + 1, edit.id, edit.changes))
        if self.pending:  # the broker deletes a node's links with it, an edit under way does not say so
            links = {k: link for k, link in shown.links.items() if link.parent in shown.nodes and link.child in shown.nodes}
            shown = model.Map(shown.nodes, links, shown.revision)
        self.map = shown
        return ids

    def _present(self, presence: model.Presence) -> None:
        if presence.here:
            self.people[presence.client] = presence
        else:
            self.people.pop(presence.client, None)

    def _job(self, job: model.Job) -> None:
        if job.state != "running":
            self.progress.pop(job.node, None)
            self.pulling.pop(job.node, None)
        ended = [k for k, old in self.jobs.items() if old.node == job.node and old.state in model.ENDED]
        for key in ended:
            del self.jobs[key]
        self.jobs[job.id] = job

    def runs(self, job: str) -> bool:
        return job in self.jobs and self.jobs[job].state == "running"

    def is_made(self, node: str) -> bool:
        """Whether a job of it runs."""
        return any(job.node == node and job.state == "running" for job in self.jobs.values())

    def state_of(self, node: str, say: Callable[[str], str] = str) -> str:
        """One short line about a node's newest job; empty when its picture is simply there. `say` translates."""
        newest = [job for job in self.jobs.values() if job.node == node]
        if not newest:
            return ""
        job = newest[-1]
        if job.state == "running" and node in self.pulling:
            return _pulling(self.pulling[node], say)
        if job.state == "running" and node in self.progress:
            return say("step {} of {}").format(*self.progress[node])
        if job.state == "failed":
            return say("failed: {reason}").format(reason=job.error)
        return "" if job.state == "done" else say(job.state)


def _pulling(pulled: m.Pulling, say: Callable[[str], str]) -> str:
    far = f"{100 * pulled.received // pulled.size} %" if pulled.size else f"{pulled.received / 1e6:.0f} MB"
    return say("pulling {model} {far}").format(model=pulled.model[:MAX_NAME], far=far)


def _ids(changes: tuple[model.Change, ...]) -> set[str]:
    return {change.id for change in changes}
