"""Rooms, operations, cache, tokens; jobs that can be asked for by person and room. What there was goes to room `main`."""

import json
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ROOM = "main"
_OLD = ("nodes", "links", "jobs", "facts")
_ENDED = ("done", "failed", "cancelled", "superseded")


def _old(name: str, *columns: str) -> sa.TableClause:
    typed = [sa.column(c, sa.JSON if c in ("body", "value") else None) for c in columns]
    return sa.table(f"old_{name}", *typed)


_old_nodes = _old("nodes", "id", "body")
_old_links = _old("links", "position", "id", "body")
_old_jobs = _old("jobs", "position", "id", "node", "state", "body")
_old_facts = _old("facts", "name", "value")

_metadata = sa.MetaData()


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _time(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=False)


def _number(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, **options)


_open = sa.text("state IN ('queued', 'running')")
_rooms = sa.Table("rooms", _metadata, _key("id"), _text("title"), _time("created"), _number("revision"))
_nodes = sa.Table("nodes", _metadata, _key("room"), _key("id"), _time("deleted"), _number("deleted_in"), _text("body"))
_links = sa.Table(
    "links",
    _metadata,
    _key("room"),
    _key("id"),
    _text("parent"),
    _text("child"),
    _time("deleted"),
    _number("deleted_in"),
    _text("body"),
)
sa.Table(
    "operations",
    _metadata,
    _key("room"),
    _number("revision", primary_key=True, autoincrement=False),
    _text("body"),
    _text("before"),
)
_jobs = sa.Table(
    "jobs",
    _metadata,
    sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    _text("room"),
    _text("node"),
    _text("person"),
    _text("state"),
    sa.Column("live", sa.Boolean, nullable=False),
    _time("created"),
    _time("ended"),
    _text("body"),
    sa.Index("jobs_of_node", "room", "node", "position"),
    sa.Index("jobs_of_person", "person", "position"),
    sa.Index("jobs_open", "position", sqlite_where=_open, postgresql_where=_open),
)
sa.Table("cache", _metadata, _key("key"), _text("blob"), _number("size"), _time("created"))
sa.Table("tokens", _metadata, _key("name"), _text("role"), _text("hash"), _time("created"))
_facts = sa.Table("facts", _metadata, _key("name"), _text("value"))


def upgrade() -> None:
    db = op.get_bind()
    for name in _OLD:
        op.rename_table(name, f"old_{name}")
    if db.dialect.name == "postgresql":  # where an index's name and a sequence's stay with the renamed table
        for table, constraint in (("links", "id_key"), ("jobs", "id_key"), *((name, "pkey") for name in _OLD)):
            op.execute(f"ALTER INDEX {table}_{constraint} RENAME TO old_{table}_{constraint}")
        for table in ("links", "jobs"):
            op.execute(f"ALTER SEQUENCE {table}_position_seq RENAME TO old_{table}_position_seq")
    _metadata.create_all(db)
    _move_map(db)
    _move_jobs(db)
    for name in _OLD:
        op.drop_table(f"old_{name}")


def _move_map(db: sa.Connection) -> None:
    facts: dict[str, Any] = dict(db.execute(sa.select(_old_facts)).all())
    revision = facts.pop("revision", 0)
    nodes = [_item(id, body) for id, body in db.execute(sa.select(_old_nodes))]
    links = [
        _item(id, body | {"order": position}) | {"parent": body["parent"], "child": body["child"]}
        for position, id, body in db.execute(sa.select(_old_links).order_by(_old_links.c.position))
    ]
    _insert(db, _nodes, nodes)
    _insert(db, _links, links)
    _insert(db, _facts, [{"name": name, "value": json.dumps(value)} for name, value in facts.items()])
    if nodes or revision or db.scalar(sa.select(sa.func.count()).select_from(_old_jobs)):
        _insert(db, _rooms, [{"id": _ROOM, "title": "", "created": time.time(), "revision": revision}])


def _item(id: str, body: Any) -> dict[str, Any]:
    return {"room": _ROOM, "id": id, "deleted": 0.0, "deleted_in": 0, "body": json.dumps(body)}


def _move_jobs(db: sa.Connection) -> None:
    for rows in _in_parts(db):
        _insert(db, _jobs, [_job(*row) for row in rows])
    if db.dialect.name == "postgresql":
        op.execute("SELECT setval('jobs_position_seq', (SELECT coalesce(max(position), 0) + 1 FROM jobs), false)")


def _in_parts(db: sa.Connection) -> Iterator[Any]:
    last = -1
    while True:
        part = sa.select(_old_jobs).where(_old_jobs.c.position > last).order_by(_old_jobs.c.position).limit(1000)
        rows = db.execute(part).all()
        if not rows:
            return
        yield rows
        last = rows[-1][0]


def _job(position: int, id: str, node: str, state: str, body: Any) -> dict[str, Any]:
    created = float(body.get("created") or 0.0)
    ended = created if state in _ENDED else 0.0
    body = body | {"room": _ROOM, "ended": ended}
    columns = {"position": position, "id": id, "room": _ROOM, "node": node, "person": "", "state": state, "live": False}
    return columns | {"created": created, "ended": ended, "body": json.dumps(body)}


def _insert(db: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        db.execute(sa.insert(table), rows)


def downgrade() -> None:
    raise NotImplementedError("Take back a backup instead.")
