"""What outlives the broker: the map, the patch and the jobs in SQLite, pictures as files by their hash.

All methods block; the broker calls them through `Store.run`, one after the other on one worker thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from protocol import wire
from protocol.errors import AlphaloomError
from protocol.model import Job, Link, Map, Node, Rule

log = logging.getLogger("broker")

T = TypeVar("T")

_metadata = sa.MetaData()
_nodes = sa.Table(
    "nodes", _metadata, sa.Column("id", sa.String(64), primary_key=True), sa.Column("body", sa.JSON, nullable=False)
)
_links = sa.Table(
    "links",
    _metadata,
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(64), unique=True, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
)
_jobs = sa.Table(
    "jobs",
    _metadata,
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(64), unique=True, nullable=False),
    sa.Column("node", sa.String(64), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("body", sa.JSON, nullable=False),
)
_facts = sa.Table(
    "facts", _metadata, sa.Column("name", sa.String(64), primary_key=True), sa.Column("value", sa.JSON, nullable=False)
)


class Store:
    def __init__(self, folder: Path):
        try:
            self.blobs = folder / "blobs"
            self.blobs.mkdir(parents=True, exist_ok=True)
            self._engine = sa.create_engine(f"sqlite:///{folder / 'alphaloom.sqlite'}")
            sa.event.listen(self._engine, "connect", lambda c, _: c.execute("PRAGMA journal_mode=WAL"))
            _metadata.create_all(self._engine)
        except (OSError, sa.exc.DatabaseError) as problem:
            reason = str(getattr(problem, "orig", problem))
            raise AlphaloomError(
                "no_store", f"Cannot keep the map in {str(folder)!r}: {reason}. Give another folder with --data."
            ) from None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def close(self) -> None:
        self._thread.shutdown()
        self._engine.dispose()

    # -- map and patch --

    def load(self) -> tuple[Map, tuple[Rule, ...] | None, list[Job]]:
        """The map, the patch (None: none, or an older version's) and the jobs that have not ended, oldest first."""
        with self._engine.connect() as db:
            nodes = [wire.build(Node, body) for (body,) in db.execute(sa.select(_nodes.c.body))]
            links = [wire.build(Link, body) for (body,) in db.execute(sa.select(_links.c.body).order_by(_links.c.position))]
            facts = dict(db.execute(sa.select(_facts.c.name, _facts.c.value)).all())
            open_jobs = sa.select(_jobs.c.body).where(_jobs.c.state.in_(("queued", "running"))).order_by(_jobs.c.position)
            jobs = [_job(body) for (body,) in db.execute(open_jobs)]
        rules = _rules(facts["patch"]) if "patch" in facts else None
        map = Map({n.id: n for n in nodes}, {e.id: e for e in links}, facts.get("revision", 0))
        return map, rules, jobs

    def change(
        self,
        revision: int,
        put: tuple[Node | Link, ...] = (),
        drop: tuple[str, ...] = (),
        rules: tuple[Rule, ...] | None = None,
    ) -> None:
        """One edit of the map, all or nothing. `drop` has ids of nodes and links."""
        with self._engine.begin() as db:
            for item in put:
                self._put(db, _nodes if isinstance(item, Node) else _links, "id", id=item.id, body=wire.plain(item))
            for table in (_nodes, _links):
                db.execute(sa.delete(table).where(table.c.id.in_(drop)))
            if rules is not None:
                self._put(db, _facts, "name", name="patch", value=wire.plain(rules))
            self._put(db, _facts, "name", name="revision", value=revision)

    # -- jobs --

    def put_job(self, job: Job) -> None:
        with self._engine.begin() as db:
            self._put(db, _jobs, "id", id=job.id, node=job.node, state=job.state, body=wire.plain(job))

    def job(self, job_id: str) -> Job | None:
        with self._engine.connect() as db:
            body = db.scalar(sa.select(_jobs.c.body).where(_jobs.c.id == job_id))
        return None if body is None else _job(body)

    def pictures(self) -> list[Job]:
        """The newest job that made a picture, for each node that has one."""
        newest = sa.select(sa.func.max(_jobs.c.position)).where(_jobs.c.state == "done").group_by(_jobs.c.node)
        with self._engine.connect() as db:
            found = db.execute(sa.select(_jobs.c.body).where(_jobs.c.position.in_(newest)))
            return [_job(body) for (body,) in found]

    @staticmethod
    def _put(db: sa.Connection, table: sa.Table, key: str, **values: Any) -> None:
        statement = insert(table).values(**values)
        db.execute(statement.on_conflict_do_update([key], set_={k: v for k, v in values.items() if k != key}))

    # -- blobs --

    def put_blob(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        path = self.blobs / name
        if not path.exists():
            part = path.with_suffix(f".{os.getpid()}")
            part.write_bytes(data)
            part.replace(path)
        return name

    def blob(self, name: str) -> bytes:
        """Raises AlphaloomError `unknown_blob`."""
        path = self.blobs / name
        if not (len(name) == 64 and name.isalnum() and path.is_file()):
            raise AlphaloomError("unknown_blob", f"No blob is called {name[:80]!r}. Upload it with POST /blobs.")
        return path.read_bytes()


def _rules(body: Any) -> tuple[Rule, ...] | None:
    try:
        rules: tuple[Rule, ...] = wire.build(tuple[Rule, ...], body)
        return rules
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        log.warning("the stored patch is an older version's and is left out: %s", problem)
        return None


def _job(body: dict[str, Any]) -> Job:
    try:
        job: Job = wire.build(Job, body)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        log.warning("job %s: the EEG behind it is an older version's and is left out: %s", body.get("id"), problem)
        job = wire.build(Job, body | {"modulation": None})
    return job
