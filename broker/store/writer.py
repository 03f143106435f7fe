"""A batch of writes as few statements: those of one kind go together, and of several for one thing only the last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from protocol.model import Change, Job, Link, Node, Operation

from . import bodies, tables
from . import writes as w

_PRUNE_EVERY = 500
_MANY = 500
"""As many ids as go into one statement."""
_Row = dict[str, Any]


class Writer:
    def __init__(self, insert: Any):
        self._puts: dict[type, Callable[[sa.Connection, list[Any]], None]] = {
            w.PutRoom: _put(_upsert(insert, tables.rooms, "id"), _room),
            w.AddOperation: _put(insert(tables.operations).on_conflict_do_nothing(), _operation),
            w.PutJob: _put(_upsert(insert, tables.jobs, "id", "position"), _job),
            w.PutCached: _put(_upsert(insert, tables.cache, "key"), _cached),
            w.PutFact: _put(_upsert(insert, tables.facts, "name"), _fact),
            Node: _put(_upsert(insert, tables.nodes, "room", "id"), _item),
            Link: _put(_upsert(insert, tables.links, "room", "id"), _link),
        }
        self._drops: dict[type, Callable[[sa.Connection, Any], object]] = {
            w.DropRoom: lambda db, write: drop_room(db, write.id),
            w.PurgeItems: _purge,
            w.DropCached: lambda db, write: drop_cached(db, write.keys),
        }
        self._added: dict[str, int] = {}
        """Operations of each room since it was pruned."""

    def apply(self, db: sa.Connection, batch: Iterable[w.Write]) -> None:
        """In order as far as it matters: what is put is grouped by table, between one drop and the next."""
        waiting: dict[type, dict[Any, Any]] = {}
        for write in batch:
            if type(write) in self._drops:
                self._flush(db, waiting)
                self._drops[type(write)](db, write)
            else:
                kind = type(write.item) if isinstance(write, w.PutItem) else type(write)
                same = waiting.setdefault(kind, {})
                # The newest takes the place of the one before it, so jobs keep the order they came in. What was done
                # is done: the first operation of a revision stays.
                if not (isinstance(write, w.AddOperation) and _identity(write) in same):
                    same[_identity(write)] = write
        self._flush(db, waiting)

    def _flush(self, db: sa.Connection, waiting: dict[type, dict[Any, Any]]) -> None:
        for kind, writes in waiting.items():
            self._puts[kind](db, list(writes.values()))
        for write in waiting.get(w.AddOperation, {}).values():
            self._prune(db, write)
        waiting.clear()

    def _prune(self, db: sa.Connection, write: w.AddOperation) -> None:
        """Now and then, so that it costs nothing to speak of."""
        added = self._added.get(write.room, _PRUNE_EVERY) + 1
        if added > _PRUNE_EVERY:
            added = 0
            log = tables.operations.c
            oldest = write.operation.revision - w.LOG_LENGTH
            db.execute(sa.delete(tables.operations).where(log.room == write.room, log.revision <= oldest))
        self._added[write.room] = added


def drop_room(db: sa.Connection, room: str) -> None:
    db.execute(sa.delete(tables.rooms).where(tables.rooms.c.id == room))
    for table in (tables.nodes, tables.links, tables.operations, tables.jobs):
        db.execute(sa.delete(table).where(table.c.room == room))


def purge_nodes(db: sa.Connection, room: str, ids: Sequence[str]) -> tuple[int, list[str]]:
    """Nodes; how many jobs went with them, and which links."""
    gone, fallen = 0, list[str]()
    nodes, links, jobs = tables.nodes.c, tables.links.c, tables.jobs.c
    for part in _parts(ids):
        db.execute(sa.delete(tables.nodes).where(nodes.room == room, nodes.id.in_(part)))
        touching = sa.or_(links.parent.in_(part), links.child.in_(part))
        fallen += db.scalars(sa.delete(tables.links).where(links.room == room, touching).returning(links.id)).all()
        finished = jobs.state.not_in(("queued", "running"))
        gone += db.execute(
            sa.delete(tables.jobs).where(jobs.room == room, jobs.node.in_(part), jobs.node != "", finished)
        ).rowcount
    return gone, fallen


def purge_links(db: sa.Connection, room: str, ids: Sequence[str]) -> None:
    links = tables.links.c
    for part in _parts(ids):
        db.execute(sa.delete(tables.links).where(links.room == room, links.id.in_(part)))


def drop_cached(db: sa.Connection, keys: Sequence[str]) -> None:
    for part in _parts(keys):
        db.execute(sa.delete(tables.cache).where(tables.cache.c.key.in_(part)))


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _MANY] for start in range(0, len(ids), _MANY))


def _purge(db: sa.Connection, write: w.PurgeItems) -> None:
    purge_nodes(db, write.room, write.nodes)
    purge_links(db, write.room, write.links)


def _upsert(insert: Any, table: sa.Table, *keys: str) -> Any:
    """`keys` but the first of jobs are not given: the database counts them."""
    statement = insert(table)
    unique = ["id"] if table is tables.jobs else list(keys)
    return statement.on_conflict_do_update(
        index_elements=unique, set_={c.name: statement.excluded[c.name] for c in table.c if c.name not in keys}
    )


def _put(statement: Any, row: Callable[[Any], _Row]) -> Callable[[sa.Connection, list[Any]], None]:
    def put(db: sa.Connection, writes: list[Any]) -> None:
        db.execute(statement, [row(write) for write in writes])

    return put


def _identity(write: Any) -> Any:
    match write:
        case w.PutRoom():
            return write.room.id
        case w.PutItem():
            return write.room, write.item.id
        case w.AddOperation():
            return write.room, write.operation.revision
        case w.PutJob():
            return write.job.id
        case w.PutCached():
            return write.key
        case w.PutFact():
            return write.name
    raise TypeError(f"{type(write).__name__} is nothing that is written")


def _room(write: w.PutRoom) -> _Row:
    room = write.room
    return {"id": room.id, "title": bodies.text(room.title), "created": room.created, "revision": room.revision}


def _item(write: w.PutItem) -> _Row:
    item = write.item
    return {
        "room": write.room,
        "id": item.id,
        "deleted": write.deleted,
        "deleted_in": write.deleted_in,
        "body": bodies.dump(type(item), item),
    }


def _link(write: w.PutItem) -> _Row:
    assert isinstance(write.item, Link)
    return _item(write) | {"parent": write.item.parent, "child": write.item.child}


def _operation(write: w.AddOperation) -> _Row:
    return {
        "room": write.room,
        "revision": write.operation.revision,
        "body": bodies.dump(Operation, write.operation),
        "before": bodies.dump(tuple[Change, ...], write.before),
    }


def _job(write: w.PutJob) -> _Row:
    job = write.job
    return {
        "id": job.id,
        "room": job.room,
        "node": bodies.text(job.node),
        "person": bodies.text(job.person),
        "state": job.state,
        "live": job.live,
        "created": job.created,
        "ended": job.ended,
        "body": bodies.dump(Job, job),
    }


def _cached(write: w.PutCached) -> _Row:
    return {"key": write.key, "blob": write.blob, "size": write.size, "created": write.created}


def _fact(write: w.PutFact) -> _Row:
    return {"name": write.name, "value": bodies.dump_fact(write.value)}
