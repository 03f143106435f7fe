"""What this side knows of the broker's map, jobs and EEG. No `bpy`: messages in, what changed out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .shared import messages as m
from .shared import model


class Mirror:
    def __init__(self) -> None:
        self.map = model.Map()
        self.jobs: dict[str, model.Job] = {}
        """Open jobs and, until the node's next one, the last to end."""
        self.progress: dict[str, tuple[int, int]] = {}
        """Steps done and steps in all, by node."""
        self.frame: model.Frame | None = None
        self.edges = 0
        self.eeg = ""
        self.performers: tuple[model.Performer, ...] = ()
        self.sham = False
        self.error = ""
        self.loaded = False

    def apply(self, message: Any) -> None:
        """Take in one message from the broker."""
        nodes, links = self.map.nodes, self.map.links
        if isinstance(message, m.Snapshot):
            self.map, self.edges, self.eeg, self.loaded = message.map, message.edges, message.eeg, True
            self.jobs = {job.id: job for job in message.jobs}
            self.performers, self.sham = message.performers, message.sham
            self.progress.clear()
        elif isinstance(message, m.Status):
            self.edges, self.eeg = message.edges, message.eeg
            self.performers, self.sham = message.performers, message.sham
        elif isinstance(message, m.PutNode):
            self.map = replace(self.map, nodes=nodes | {message.node.id: message.node})
        elif isinstance(message, m.DeleteNode):
            self.map = replace(self.map, nodes={k: v for k, v in nodes.items() if k != message.node})
        elif isinstance(message, m.PutLink):
            self.map = replace(self.map, links=links | {message.link.id: message.link})
        elif isinstance(message, m.DeleteLink):
            self.map = replace(self.map, links={k: v for k, v in links.items() if k != message.link})
        elif isinstance(message, m.JobChanged):
            self._job(message.job)
        elif isinstance(message, m.Progress):
            job = self.jobs.get(message.job)
            if job is not None:
                self.progress[job.node] = (message.step, message.steps)
        elif isinstance(message, m.Features):
            self.frame = message.frame
        elif isinstance(message, m.Picture) and message.node in nodes:
            node = replace(nodes[message.node], picture=message.blob)
            self.map = replace(self.map, nodes=nodes | {node.id: node})
        elif isinstance(message, m.Error):
            self.error = message.message

    def _job(self, job: model.Job) -> None:
        if job.state != "running":
            self.progress.pop(job.node, None)
        ended = [k for k, old in self.jobs.items() if old.node == job.node and old.state in model.ENDED]
        for key in ended:
            del self.jobs[key]
        self.jobs[job.id] = job

    def state_of(self, node: str) -> str:
        """One short line about a node's newest job; empty when its picture is simply there."""
        newest = [job for job in self.jobs.values() if job.node == node]
        if not newest:
            return ""
        job = newest[-1]
        if job.state == "running" and node in self.progress:
            return "step {} of {}".format(*self.progress[node])
        if job.state == "failed":
            return f"failed: {job.error}"
        return "" if job.state == "done" else job.state
