"""One broker at a time serves a data folder and a database: two would overwrite each other's maps and run jobs twice.

What holds the claim ends with the program, however it ends: an open file, and a connection to PostgreSQL.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import filelock
import sqlalchemy as sa

from protocol.errors import AlphaloomError

from .database import Database, failures_named

FILE = "broker.lock"
_PID = "broker.pid"
_SERVING = 4445
"""PostgreSQL's advisory lock that a broker holds while it serves."""
_WAIT_S = 1.0
"""The one before may be about to end."""


class Claim:
    def __init__(self, folder: Path, database: Database):
        """Raises AlphaloomError `store_in_use`, `no_store`, StoreUnavailable."""
        self._ends = contextlib.ExitStack()
        with contextlib.ExitStack() as ends:
            _claim_folder(folder, ends)
            if database.engine.dialect.name == "postgresql":
                _claim_database(database, ends)
            self._ends = ends.pop_all()

    def release(self) -> None:
        self._ends.close()


def _claim_folder(folder: Path, ends: contextlib.ExitStack) -> None:
    # A soft lock, the file's mere being there, would outlive a program that is killed.
    lock = filelock.FileLock(folder / FILE, timeout=_WAIT_S, thread_local=False, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        ends.callback(lock.release)
        (folder / _PID).write_text(str(os.getpid()))
    except filelock.Timeout:
        raise _in_use(f"the data folder {str(folder)!r}{_by(folder)}") from None
    except (OSError, NotImplementedError) as problem:
        raise AlphaloomError(
            "no_store", f"Cannot claim the data folder {str(folder)!r}: {problem}. Give another one with --data."
        ) from None


def _claim_database(database: Database, ends: contextlib.ExitStack) -> None:
    with failures_named():
        engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
        db = ends.enter_context(engine.connect())
        ends.callback(db.invalidate)  # back in the pool it would go on holding the lock
        # A machine that just went silent is noticed within half a minute.
        for name, value in (("idle", 10), ("interval", 5), ("count", 3)):
            db.exec_driver_sql(f"SET tcp_keepalives_{name} = {value}")
        db.exec_driver_sql(f"SET lock_timeout = {int(_WAIT_S * 1000)}")
        try:
            db.execute(sa.select(sa.func.pg_advisory_lock(_SERVING)))
        except sa.exc.OperationalError as problem:
            if getattr(problem.orig, "sqlstate", "") != "55P03":
                raise
            raise _in_use(f"the database {database.place}") from None


def _by(folder: Path) -> str:
    try:
        return f" (process {int((folder / _PID).read_text())})"
    except (OSError, ValueError):
        return ""


def _in_use(what: str) -> AlphaloomError:
    return AlphaloomError(
        "store_in_use",
        f"Another broker serves {what}. Stop it, or give this one another folder with --data, and another --database if it "
        "has one.",
    )
