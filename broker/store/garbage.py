"""What nobody needs any longer goes: old jobs, nodes deleted long ago, the cache beyond its quota, blobs nothing speaks of.

Blobs go first, judged by the rows as they are at the start; rows go after them. So what a run drops from the rows keeps
its blobs until the next run, and whoever took one from memory a moment before has written it down by then. A blob that
is used anew meanwhile is saved by its time: `Blobs.put` and `Blobs.keep` set it, `Blobs.has` notes it, and young ones stay.

Everything is done in short steps, so that what else waits for the store's thread comes in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from . import bodies, tables, writer
from .blobs import Blobs
from .database import Database

_DAY = 86_400.0
_ROWS = 500
"""That one step reads."""
_NODES = 20
"""That one step purges, each with all its jobs."""


@dataclass(frozen=True)
class Retention:
    """For how long what is kept, in seconds."""

    live_s: float = 3600.0
    """Ended jobs of live nodes, but for each node's newest picture."""
    jobs_s: float = 30 * _DAY
    """Jobs that failed, were cancelled or superseded, and those of no node."""
    purge_s: float = 30 * _DAY
    """Deleted nodes and links."""
    cache_s: float = 30 * _DAY
    cache_bytes: int = 4 << 30
    """Beyond it the oldest go."""
    blob_grace_s: float = 3600.0
    """Blobs that nothing speaks of, since they were last put or asked for."""


@dataclass(frozen=True)
class Collected:
    """What is gone. Between a step and this report a deleted node may have been restored: it is there again then."""

    jobs: int = 0
    nodes: tuple[tuple[str, str], ...] = ()
    """Room and id."""
    links: tuple[tuple[str, str], ...] = ()
    """Also those that went with their nodes."""
    cached: tuple[str, ...] = ()
    """Keys."""
    blobs: int = 0
    bytes: int = 0


def references(database: Database) -> Iterator[set[str]]:
    """The blobs that anything stored speaks of, in parts."""
    for table, keys, columns in _SPEAK_OF_BLOBS:
        for rows in _parts(database, table, keys, columns):
            yield bodies.blobs(*(body for row in rows for body in row[len(keys) :]))
    for rows in _parts(database, tables.cache, ("key",), ("blob",)):
        yield {blob for _, blob in rows}


_SPEAK_OF_BLOBS = (
    (tables.nodes, ("room", "id"), ("body",)),
    (tables.operations, ("room", "revision"), ("body", "before")),
    (tables.jobs, ("position",), ("body",)),
    (tables.facts, ("name",), ("value",)),
)


def _parts(database: Database, table: sa.Table, keys: tuple[str, ...], columns: tuple[str, ...]) -> Iterator[Any]:
    key = sa.tuple_(*(table.c[name] for name in keys))
    wanted = sa.select(*(table.c[name] for name in keys + columns)).order_by(*(table.c[name] for name in keys)).limit(_ROWS)
    after: Any = None
    while True:
        with database.reading() as db:
            rows = db.execute(wanted if after is None else wanted.where(key > after)).all()
        if rows:
            yield rows
        if len(rows) < _ROWS:
            return
        after = tuple(rows[-1][: len(keys)])


class Collector:
    """One run: `look`, then `sweep`, then `drop`, each to its end. Only `sweep` touches no database."""

    def __init__(self, database: Database, blobs: Blobs, now: float, retention: Retention):
        self._database = database
        self._blobs = blobs
        self._now = now
        self._keep = retention
        self._used: set[str] = set()
        self._jobs = self._swept = self._bytes = 0
        self._nodes: list[tuple[str, str]] = []
        self._links: list[tuple[str, str]] = []
        self._cached: list[str] = []

    @property
    def collected(self) -> Collected:
        gone = tuple(self._nodes), tuple(self._links), tuple(self._cached)
        return Collected(self._jobs, *gone, self._swept, self._bytes)

    def look(self) -> Iterator[None]:
        for found in references(self._database):
            self._used |= found
            yield

    def sweep(self) -> Iterator[None]:
        self._blobs.remove_stale_parts()
        moment = self._now - self._keep.blob_grace_s
        self._blobs.forget_asked_before(moment)
        for prefix in range(256):
            for name in self._blobs.names(f"{prefix:02x}"):
                if name not in self._used and (size := self._blobs.remove_unused_since(name, moment)) is not None:
                    self._swept += 1
                    self._bytes += size
            yield

    def drop(self) -> Iterator[None]:
        yield from self._drop_jobs()
        yield from self._purge_nodes()
        yield from self._drop_links()
        yield from self._drop_cached()

    def _drop_jobs(self) -> Iterator[None]:
        position = tables.jobs.c.position
        part = sa.select(position).order_by(position).limit(_ROWS)
        positions: Any = [-1] * _ROWS
        while len(positions) == _ROWS:  # not until there are none: one more may come at every step
            last = positions[-1]
            with self._database.writing() as db:
                positions = db.scalars(part.where(position > last)).all()
                if positions:
                    here = sa.and_(position > last, position <= positions[-1])
                    self._jobs += db.execute(sa.delete(tables.jobs).where(here, self._superfluous())).rowcount
            yield

    def _superfluous(self) -> Any:
        jobs, newer, node = tables.jobs.c, tables.jobs.alias("newer"), tables.nodes.alias("node")
        ended = sa.func.coalesce(sa.func.nullif(jobs.ended, 0.0), jobs.created)
        has_newer = (
            sa.exists()
            .where(newer.c.room == jobs.room, newer.c.node == jobs.node)
            .where(newer.c.position > jobs.position, newer.c.state == "done")
        )
        has_node = sa.exists().where(node.c.room == jobs.room, node.c.id == jobs.node)
        old_live = sa.and_(jobs.live, ended < self._now - self._keep.live_s, sa.or_(jobs.state != "done", has_newer))
        old = sa.and_(ended < self._now - self._keep.jobs_s, sa.or_(jobs.state != "done", sa.not_(has_node)))
        return sa.and_(jobs.state.not_in(("queued", "running")), sa.or_(old_live, old))

    def _purge_nodes(self) -> Iterator[None]:
        while True:
            links: list[tuple[str, str]] = []
            with self._database.writing() as db:
                found = self._long_deleted(db, tables.nodes, _NODES)
                for room, id in found:
                    jobs, fallen = writer.purge_nodes(db, room, (id,))
                    self._jobs += jobs
                    links += [(room, link) for link in fallen]
            self._nodes += found
            self._links += links
            yield
            if not found:
                return

    def _drop_links(self) -> Iterator[None]:
        while True:
            with self._database.writing() as db:
                found = self._long_deleted(db, tables.links, _ROWS)
                for room, id in found:
                    writer.purge_links(db, room, (id,))
            self._links += found
            yield
            if not found:
                return

    def _long_deleted(self, db: sa.Connection, table: sa.Table, limit: int) -> list[tuple[str, str]]:
        deleted = table.c.deleted
        old = sa.and_(deleted > 0, deleted < self._now - self._keep.purge_s)
        return [(room, id) for room, id in db.execute(sa.select(table.c.room, table.c.id).where(old).limit(limit))]

    def _drop_cached(self) -> Iterator[None]:
        cache = tables.cache.c
        oldest = sa.select(cache.key, cache.size, cache.created).order_by(cache.created, cache.key).limit(_ROWS)
        while True:
            with self._database.writing() as db:
                total = int(db.scalar(sa.select(sa.func.sum(cache.size))) or 0)
                found = []
                for key, size, created in db.execute(oldest):
                    if created >= self._now - self._keep.cache_s and total <= self._keep.cache_bytes:
                        break
                    found.append(key)
                    total -= size
                writer.drop_cached(db, found)
            self._cached += found
            yield
            if not found:
                return
