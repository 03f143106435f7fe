"""Rows as values again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from protocol.errors import AlphaloomError
from protocol.model import Change, Job, Link, Node, Operation

from . import bodies, tables
from .writes import KNOWN_JOBS, LOG_LENGTH, Cached, Loaded, LoadedRoom, Logged, RoomRow, Stored


def load(db: sa.Connection) -> Loaded:
    rooms = [_room(db, row) for row in db.execute(sa.select(tables.rooms).order_by(tables.rooms.c.created, tables.rooms.c.id))]
    jobs = db.execute(sa.select(tables.jobs).where(tables.OPEN).order_by(tables.jobs.c.position))
    facts = {name: bodies.read_fact(name, value) for name, value in db.execute(sa.select(tables.facts))}
    cache = db.execute(sa.select(tables.cache).order_by(tables.cache.c.created, tables.cache.c.key))
    return Loaded(
        rooms,
        _jobs(jobs),
        {name: value for name, value in facts.items() if value is not None},
        [Cached(row.key, row.blob, row.size, row.created) for row in cache],
        _ended(db),
    )


def _ended(db: sa.Connection) -> list[str]:
    newest = (
        sa.select(tables.jobs.c.id)
        .where(tables.jobs.c.state.not_in(("queued", "running")))
        .order_by(tables.jobs.c.position.desc())
    )
    return list(db.scalars(newest.limit(KNOWN_JOBS)))[::-1]


def _room(db: sa.Connection, row: Any) -> LoadedRoom:
    nodes, links = _items(db, tables.nodes, Node, row.id), _items(db, tables.links, Link, row.id)
    return LoadedRoom(RoomRow(row.id, row.title, row.created, row.revision), nodes, links, _log(db, row.id))


def _items(db: sa.Connection, table: sa.Table, kind: type, room: str) -> list[Stored]:
    rows = db.execute(sa.select(table).where(table.c.room == room).order_by(table.c.id))
    found = [(row, bodies.read(kind, row.body, f"{kind.__name__.lower()} {row.id}")) for row in rows]
    return [Stored(item, row.deleted, row.deleted_in) for row, item in found if item is not None]


def _log(db: sa.Connection, room: str) -> list[Logged]:
    """From the oldest that can be read, and all after it, on: who missed one in the middle would never know."""
    columns = tables.operations.c
    newest = sa.select(tables.operations).where(columns.room == room).order_by(columns.revision.desc()).limit(LOG_LENGTH)
    found: list[Logged] = []
    for row in db.execute(newest):
        operation = bodies.read(Operation, row.body, f"operation {row.revision} with all before it")
        before = bodies.read(tuple[Change, ...], row.before, f"operation {row.revision} with all before it")
        if operation is None or before is None:
            break
        found.append(Logged(operation, before))
    return found[::-1]


def newest_jobs(db: sa.Connection, conditions: list[Any], limit: int, before: str | None) -> list[Job]:
    """Raises AlphaloomError `unknown_job` where no job has the id `before`."""
    jobs = tables.jobs.c
    if before is not None:
        position = db.scalar(sa.select(jobs.position).where(jobs.id == bodies.text(before)))
        if position is None:
            raise AlphaloomError("unknown_job", f"No job is called {before[:80]!r}.", job=before[:80])
        conditions = [*conditions, jobs.position < position]
    return _jobs(db.execute(sa.select(tables.jobs).where(*conditions).order_by(jobs.position.desc()).limit(limit)))


def pictures(db: sa.Connection, room: str) -> list[Job]:
    jobs = tables.jobs.c
    newest = (
        sa.select(sa.func.max(jobs.position))
        .where(jobs.room == room, jobs.node != "", jobs.state == "done")
        .group_by(jobs.node)
    )
    return _jobs(db.execute(sa.select(tables.jobs).where(jobs.position.in_(newest)).order_by(jobs.position)))


def _jobs(rows: Any) -> list[Job]:
    return [job for job in map(bodies.read_job, rows) if job is not None]
