"""The tables as they are now. How they came to be is in `migrations`; a test holds the two together.

What is asked for has a column, everything else is in `body`, as JSON. No foreign keys: writes of one transaction are
grouped by table, and whoever drops something drops what hangs on it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

REVISION = "0002"
"""The newest migration."""

metadata = sa.MetaData()


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _time(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=False)


def _number(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, **options)


rooms = sa.Table("rooms", metadata, _key("id"), _text("title"), _time("created"), _number("revision"))
nodes = sa.Table("nodes", metadata, _key("room"), _key("id"), _time("deleted"), _number("deleted_in"), _text("body"))
links = sa.Table(
    "links",
    metadata,
    _key("room"),
    _key("id"),
    _text("parent"),
    _text("child"),
    _time("deleted"),
    _number("deleted_in"),
    _text("body"),
)
operations = sa.Table(
    "operations",
    metadata,
    _key("room"),
    _number("revision", primary_key=True, autoincrement=False),
    _text("body"),
    _text("before"),
)
OPEN = sa.text("state IN ('queued', 'running')")  # as text, because SQLite takes the index only for the same words
jobs = sa.Table(
    "jobs",
    metadata,
    # SQLite counts up nothing but an INTEGER.
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
    sa.Index("jobs_open", "position", sqlite_where=OPEN, postgresql_where=OPEN),
)
cache = sa.Table("cache", metadata, _key("key"), _text("blob"), _number("size"), _time("created"))
tokens = sa.Table("tokens", metadata, _key("name"), _text("role"), _text("hash"), _time("created"))
facts = sa.Table("facts", metadata, _key("name"), _text("value"))
