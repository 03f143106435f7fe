"""What outlives the broker: rooms, jobs, cache and tokens in SQLite or PostgreSQL, pictures as files by their hash.

All methods block; the broker calls them through `Store.run`, one after the other on one worker thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from protocol.errors import AlphaloomError
from protocol.model import Job

from . import backup, bodies, loading, tables
from .backup import restore
from .blobs import Blobs
from .claim import Claim
from .database import Database, StoreUnavailable
from .garbage import Collected, Collector, Retention
from .writer import Writer
from .writes import (
    LOG_LENGTH,
    AddOperation,
    Cached,
    DropCached,
    DropRoom,
    Loaded,
    LoadedRoom,
    Logged,
    PurgeItems,
    PutCached,
    PutFact,
    PutItem,
    PutJob,
    PutRoom,
    RoomRow,
    Stored,
    Token,
    Write,
)

__all__ = [
    "LOG_LENGTH",
    "AddOperation",
    "Blobs",
    "Cached",
    "Collected",
    "DropCached",
    "DropRoom",
    "Loaded",
    "LoadedRoom",
    "Logged",
    "PurgeItems",
    "PutCached",
    "PutFact",
    "PutItem",
    "PutJob",
    "PutRoom",
    "Retention",
    "RoomRow",
    "Store",
    "StoreUnavailable",
    "Stored",
    "Token",
    "Write",
    "restore",
]

T = TypeVar("T")
_END = object()


class Store:
    """Every method raises StoreUnavailable while the database does not answer or the disk is full."""

    def __init__(self, folder: Path, url: str = "", serving: bool = False, **blob_options: Any):
        """`url`: of a PostgreSQL database; empty: SQLite in the folder. `blob_options` go to Blobs.

        `serving`: as the only broker that does, until closed; who only looks or writes a little may come beside it.
        Raises AlphaloomError `no_store` when it cannot be opened or is of a newer version, and `store_in_use`.
        """
        self.folder = folder
        with ExitStack() as ends:
            self._database = Database(folder, url)
            ends.callback(self._database.close)
            if serving:  # before the tables of one that runs are brought up to date under it
                ends.callback(Claim(folder, self._database).release)
            self._database.open()
            try:
                self.blobs = Blobs(folder, **blob_options)
            except OSError as problem:
                raise AlphaloomError(
                    "no_store", f"Cannot keep pictures in {str(folder)!r}: {problem}. Give another folder with --data."
                ) from None
            self._ends = ends.pop_all()
        self._writer = Writer(self._database.upsert)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """On the store's thread, after what waits there."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def close(self) -> None:
        self._thread.shutdown()
        self.blobs.close()
        self._ends.close()

    # -- rooms, jobs, cache, facts --

    def write(self, batch: Sequence[Write]) -> None:
        """All of it or nothing, and on disk when this returns. The same batch written again changes nothing."""
        with self._database.writing() as db:
            self._writer.apply(db, batch)

    def load(self) -> Loaded:
        """What the broker keeps in memory. What an older version wrote and this one cannot read is left out."""
        with self._database.reading(snapshot=True) as db:
            return loading.load(db)

    def job(self, job_id: str) -> Job | None:
        with self._database.reading() as db:
            row = db.execute(sa.select(tables.jobs).where(tables.jobs.c.id == bodies.text(job_id))).first()
        return None if row is None else bodies.read_job(row)

    def jobs(self, person: str = "", state: str = "", room: str = "", limit: int = 100, before: str | None = None) -> list[Job]:
        """Newest first; an empty text is any. `before`: older than this job.

        Raises AlphaloomError `unknown_job` where no job has this id.
        """
        wanted = {"person": person, "state": state, "room": room}
        conditions = [tables.jobs.c[name] == bodies.text(value) for name, value in wanted.items() if value]
        with self._database.reading() as db:
            return loading.newest_jobs(db, conditions, limit, before)

    def history(self, room: str, node: str, limit: int = 100, live: bool = False, before: str | None = None) -> list[Job]:
        """The jobs that made a node's pictures, newest first; those made because it is live only with `live`.

        Raises AlphaloomError `unknown_job` where no job has the id `before`.
        """
        jobs = tables.jobs.c
        conditions = [jobs.room == bodies.text(room), jobs.node == bodies.text(node), jobs.state == "done"]
        if not live:
            conditions.append(sa.not_(jobs.live))
        with self._database.reading() as db:
            return loading.newest_jobs(db, conditions, limit, before)

    def pictures(self, room: str) -> list[Job]:
        """The newest job that made a picture, for each node of the room that has one."""
        with self._database.reading() as db:
            return loading.pictures(db, room)

    # -- tokens --

    def tokens(self) -> list[Token]:
        """By name."""
        with self._database.reading() as db:
            rows = db.execute(sa.select(tables.tokens).order_by(tables.tokens.c.name))
            return [Token(row.name, row.role, row.hash, row.created) for row in rows]

    def put_token(self, token: Token) -> None:
        """One of the same name is replaced."""
        row = {"role": token.role, "hash": token.hash, "created": token.created}
        statement = self._database.upsert(tables.tokens).values(name=token.name, **row)
        with self._database.writing() as db:
            db.execute(statement.on_conflict_do_update(index_elements=["name"], set_=row))

    def drop_token(self, name: str) -> bool:
        """Whether there was one."""
        with self._database.writing() as db:
            return db.execute(sa.delete(tables.tokens).where(tables.tokens.c.name == bodies.text(name))).rowcount > 0

    # -- upkeep --

    def collect_garbage(self, now: float, retention: Retention) -> Collected:
        """What nobody needs any longer goes, all in one go; see `collect`."""
        collector = Collector(self._database, self.blobs, now, retention)
        for part in (collector.look, collector.sweep, collector.drop):
            for _ in part():
                pass
        return collector.collected

    async def collect(self, now: float, retention: Retention) -> Collected:
        """What nobody needs any longer goes, in short steps between which others have their turn."""
        collector = Collector(self._database, self.blobs, now, retention)
        for part, run in ((collector.look, self.run), (collector.sweep, self.blobs.run), (collector.drop, self.run)):
            steps = part()
            while await run(next, steps, _END) is not _END:
                pass
        return collector.collected

    def backup(self, file: Path) -> None:
        """Everything as it is now, also while this or another program writes. Takes its time: not for the store's thread.

        Raises AlphaloomError `no_backup` when the file cannot be written.
        """
        backup.back_up(self._database, self.blobs, file)
