"""What GET /metrics tells Prometheus. Labels say kinds, never a room, a person or a prompt.

What is counted is counted where it happens, through the methods of `Metrics`; what simply is, is looked up in the hub when
it is asked for.
"""

from __future__ import annotations

import re
import time
from collections import Counter as Tally
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from protocol.model import ENDED, Job

from .watchdog import BOUNDS_S, Watchdog

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
MAX_CODES = 200
_CODE = re.compile(r"[a-z0-9_]{1,40}")


class _Cache(Protocol):
    bytes: int

    def __len__(self) -> int: ...


class _Work(Protocol):
    @property
    def open(self) -> Mapping[str, Job]: ...
    @property
    def edges(self) -> Collection[Any]: ...
    @property
    def cache(self) -> _Cache: ...


class MeasuredHub(Protocol):
    """What is looked up in the hub."""

    @property
    def work(self) -> _Work: ...
    @property
    def rooms(self) -> Mapping[str, Any]: ...
    @property
    def clients(self) -> Collection[Any]: ...


class Metrics:
    """Of one broker, in a registry of its own."""

    def __init__(self, hub: MeasuredHub, watchdog: Watchdog | None = None):
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Looks(hub, watchdog))
        self._ended = Counter("alphaloom_jobs_ended", "Jobs that have ended", ["state", "live"], registry=registry)
        self._waited = _seconds("alphaloom_job_wait_seconds", "From asking for a job to its first beginning", registry)
        self._ran = _seconds("alphaloom_job_run_seconds", "From a job's last beginning to its picture", registry)
        self._lookups = Counter("alphaloom_cache_lookups", "Jobs by whether they had to be run", ["result"], registry=registry)
        self._operations = Counter("alphaloom_operations", "Operations on maps", registry=registry)
        messages = Counter("alphaloom_messages", "WebSocket messages", ["direction"], registry=registry)
        self._in, self._out = messages.labels("in"), messages.labels("out")
        self._errors = Counter("alphaloom_errors", "Errors that were answered", ["code"], registry=registry)
        self._bytes = Counter("alphaloom_blob_bytes", "Bytes of pictures", ["direction"], registry=registry)
        self._frames = Counter("alphaloom_eeg_frames", "EEG frames heard", registry=registry)
        self._codes: set[str] = set()
        self._began: dict[str, float] = {}

    def render(self) -> tuple[bytes, str]:
        """The body of GET /metrics, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    # -- what happens --

    def follow(self, job: Job) -> None:
        """A job's new state."""
        if job.state == "running":
            if job.attempt == 1:
                self._waited.observe(max(0.0, time.time() - job.created))
                self._lookups.labels("miss").inc()
            self._began[job.id] = time.monotonic()
        elif job.state in ENDED:
            self._ended.labels(job.state, str(job.live).lower()).inc()
            began = self._began.pop(job.id, None)
            if job.cached:
                self._lookups.labels("hit").inc()
            elif job.state == "done" and began is not None:
                self._ran.observe(time.monotonic() - began)

    def operation(self) -> None:
        self._operations.inc()

    def heard(self, messages: int = 1) -> None:
        self._in.inc(messages)

    def said(self, messages: int = 1) -> None:
        self._out.inc(messages)

    def error(self, code: str) -> None:
        """One of ours; what is no code, or one too many, is `other`."""
        if code not in self._codes:
            if len(self._codes) >= MAX_CODES or not _CODE.fullmatch(code):
                code = "other"
            self._codes.add(code)
        self._errors.labels(code).inc()

    def blob(self, direction: Literal["in", "out"], size: int) -> None:
        self._bytes.labels(direction).inc(size)

    def frame(self) -> None:
        self._frames.inc()


def _seconds(name: str, help: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, help, buckets=SECONDS, registry=registry)


class _Looks(Collector):
    """What is so at the moment."""

    def __init__(self, hub: MeasuredHub, watchdog: Watchdog | None):
        self._hub, self._watchdog = hub, watchdog

    def describe(self) -> Iterable[Metric]:
        return ()  # it need not look while it is registered

    def collect(self) -> Iterator[Metric]:
        work, rooms = self._hub.work, self._hub.rooms.values()
        states = Tally(job.state for job in work.open.values())
        jobs = GaugeMetricFamily("alphaloom_jobs_open", "Jobs that have not ended", labels=["state"])
        for state in ("queued", "running"):
            jobs.add_metric([state], states[state])
        yield jobs
        edges = GaugeMetricFamily("alphaloom_edges", "Edges that are connected", labels=["draining"])
        for draining in (False, True):
            edges.add_metric([str(draining).lower()], sum(edge.draining is draining for edge in work.edges))
        yield edges
        yield _gauge("alphaloom_edge_slots", "Jobs that the edges take at once", sum(edge.slots for edge in work.edges))
        yield _gauge("alphaloom_clients", "Clients that are connected", len(self._hub.clients))
        yield _gauge("alphaloom_rooms", "Maps", len(rooms))
        yield _gauge("alphaloom_nodes", "Nodes on all maps", sum(len(room.map.nodes) for room in rooms))
        live = sum(node.live for room in rooms for node in room.map.nodes.values())
        yield _gauge("alphaloom_live_nodes", "Nodes that are made anew by themselves", live)
        yield _gauge("alphaloom_cache_entries", "Pictures that need not be made again", len(work.cache))
        yield _gauge("alphaloom_cache_bytes", "Their size", work.cache.bytes)
        if self._watchdog:
            yield from _loop(self._watchdog)


def _loop(watchdog: Watchdog) -> Iterator[Metric]:
    worst = watchdog.overall
    family = GaugeMetricFamily(
        "alphaloom_loop_worst_seconds",
        "The event loop's longest callback since the start by wall and by CPU time, and its longest turn",
        labels=["of"],
    )
    for of, ms in (("wall", worst.wall_ms), ("cpu", worst.cpu_ms), ("turn", worst.turn_ms)):
        family.add_metric([of], ms / 1000)
    yield family
    counts, buckets, below = watchdog.histogram.counts, [], 0
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), counts, strict=True):
        below += count
        buckets.append((bound, below))
    yield HistogramMetricFamily(
        "alphaloom_loop_callback_seconds", "Wall time of the event loop's callbacks", buckets, watchdog.histogram.sum
    )


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help, value=value)
