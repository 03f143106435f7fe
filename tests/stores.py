"""Stores for the tests, on every database that they can be kept in."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from broker.store import Store
from broker.store.database import Database


class Place:
    """Where a store is kept: a folder, and an empty database of its own."""

    def __init__(self, folder: Path, url: str = ""):
        self.folder = folder
        self.url = url
        self._opened: list[Store] = []

    def open(self, **options: Any) -> Store:
        """Closed with the place."""
        store = Store(self.folder, self.url, **options)
        self._opened.append(store)
        return store

    def reopen(self, **options: Any) -> Store:
        """What the next broker opens: all others are closed."""
        self.close()
        return self.open(**options)

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()

    def execute(self, statement: str, **values: Any) -> list[Any]:
        """As another program would."""
        database = Database(self.folder, self.url)
        try:
            with database.writing() as db:
                found = db.execute(sa.text(statement), values)
                return list(found) if found.returns_rows else []
        finally:
            database.close()


Places = Callable[..., Place]
"""A new place, by the database's name; SQLite where none is said."""


class Postgres:
    """A real server, of which every test gets a database of its own."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs', where a machine has no XDG_RUNTIME_DIR
            import pgserver

            # Not one of pytest's folders: run by root, the server is another user's and could not enter.
            self._folder = Path(tempfile.mkdtemp(prefix="alphaloom-postgres-"))
            self._get = lambda: pgserver.get_server(self._folder, cleanup_mode="stop")
            self._server: Any = self._get()

    def create(self) -> str:
        """The URL of a new database."""
        name = "test_" + uuid.uuid4().hex
        self._maintain(f"CREATE DATABASE {name}")
        return str(self._server.get_uri(name))

    def drop(self, url: str) -> None:
        name = sa.make_url(url).database
        self._maintain(f"DROP DATABASE {name} WITH (FORCE)")

    def cut(self, url: str) -> None:
        """Every connection to a database ends, as when a network breaks."""
        name = sa.make_url(url).database
        self._maintain(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def stop(self) -> None:
        self._server.cleanup()

    def start(self) -> None:
        self._server = self._get()

    def end(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _maintain(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self._server.get_uri(), autocommit=True) as db:
            db.execute(statement)  # type: ignore[call-overload]


@contextmanager
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server
    finally:
        server.end()
