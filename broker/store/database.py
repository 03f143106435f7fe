"""The connection to SQLite or PostgreSQL: how it is opened, brought up to date, and what its failures are called."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from protocol.errors import AlphaloomError

from . import tables

FILE = "alphaloom.sqlite"
_MIGRATING = 4444
"""PostgreSQL's advisory lock that only one program at a time brings the tables up to date."""
_BUSY_MS = 10_000
# A server that is gone is noticed within seconds, also where its machine just went silent.
_PATIENCE = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}


class StoreUnavailable(AlphaloomError):
    """The database does not answer or the disk is full. Nothing was written; the same may be tried again."""

    def __init__(self, reason: str):
        super().__init__(
            "store_unavailable",
            f"The store cannot be reached or written: {reason}. Free disk space, start the database, or restore "
            "the backup of a damaged one.",
        )


class Database:
    """Raises AlphaloomError `no_store` when it cannot be opened or is of a newer version."""

    def __init__(self, folder: Path, url: str = ""):
        self.place = repr(str(folder))
        try:
            if url:
                self.place = _shown(url)
                self.engine = _postgresql(url)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                self.engine = _sqlite(folder / FILE)
            self._writing = self.engine.execution_options(writing=True)
        except (OSError, ImportError, sa.exc.SQLAlchemyError) as problem:
            raise self._unusable(problem) from None
        self.upsert: Any = _upsert(self.engine.dialect.name)

    def open(self) -> None:
        """Bring the tables up to date. Raises AlphaloomError `no_store`."""
        try:
            with self._writing.begin() as db:
                self.migrate(db)
        except (OSError, ValueError, sa.exc.SQLAlchemyError) as problem:
            self.close()
            raise self._unusable(problem) from None
        except AlphaloomError:
            self.close()
            raise

    def migrate(self, db: sa.Connection, revision: str = tables.REVISION) -> None:
        if self.engine.dialect.name == "postgresql":
            db.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))
        if (found := stored_revision(db)) == revision:
            return
        # Alembic takes a tenth of a second to import, and is not needed at most starts.
        from .migrate import upgrade

        upgrade(db, found, revision, self.place)

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def reading(self, snapshot: bool = False) -> Iterator[sa.Connection]:
        """With `snapshot` everything is seen as it is at one moment, which SQLite does anyway."""
        engine = self.engine
        if snapshot and engine.dialect.name == "postgresql":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with failures_named(), engine.connect() as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction: all or nothing."""
        with failures_named(), self._writing.begin() as db:
            yield db

    def _unusable(self, problem: Exception) -> AlphaloomError:
        reason = " ".join(str(getattr(problem, "orig", None) or problem).split())
        return AlphaloomError(
            "no_store",
            f"Cannot keep the map in {self.place}: {reason}. Give another folder with --data, or another database.",
        )


def stored_revision(db: sa.Connection) -> str | None:
    """Of the tables; None before there were migrations."""
    if not sa.inspect(db).has_table("alembic_version"):
        return None
    return db.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


@contextmanager
def failures_named() -> Iterator[None]:
    """Raises StoreUnavailable for all but a row's own fault."""
    try:
        yield
    except (sa.exc.DataError, sa.exc.IntegrityError) as problem:  # a row's own fault: tried again it fails again
        if not problem.connection_invalidated:
            raise
        raise StoreUnavailable(_reason(problem)) from problem
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as problem:
        raise StoreUnavailable(_reason(problem)) from problem


def _reason(problem: Exception) -> str:
    return " ".join(str(getattr(problem, "orig", None) or problem).split())[:300]


def _sqlite(file: Path) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(file)),
        connect_args={"timeout": _BUSY_MS / 1000, "isolation_level": None},
        hide_parameters=True,  # prompts are nobody's to read in a log
    )

    @sa.event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, __: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_MS}", "journal_size_limit=67108864"):
            connection.execute(f"PRAGMA {pragma}")

    # Python's sqlite3 begins no transaction for a SELECT or a CREATE TABLE, so it is done here. Who means to write says
    # so at once: a reader that turns writer while another program writes is refused without waiting.
    @sa.event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        writing = connection.get_execution_options().get("writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(text: str) -> sa.Engine:
    url = sa.make_url(text)
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername != "postgresql+psycopg":
        raise AlphaloomError(
            "no_store",
            f"The database {_shown(text)} is none that is supported. Give postgresql://USER@HOST/NAME, or none for SQLite.",
        )
    patience = {name: value for name, value in _PATIENCE.items() if name not in url.query}
    options = {"application_name": "alphaloom"} | patience
    return sa.create_engine(url, pool_pre_ping=True, connect_args=options, hide_parameters=True)


def _shown(url: str) -> str:
    """Without its password."""
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return "that is given"


def _upsert(dialect: str) -> Any:
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert
