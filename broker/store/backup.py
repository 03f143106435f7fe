"""A backup is one zip: `backup.json`, every table as JSON lines, every blob that they speak of.

Rows, not a copy of the database file: so PostgreSQL is backed up like SQLite, one can be restored as the other, and an
older version's backup is restored through the migrations. The rows are read in one transaction that sees the database
as it was at one moment, whoever goes on writing.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from protocol.errors import AlphaloomError

from . import bodies, tables
from .blobs import Blobs
from .database import Database, stored_revision

log = logging.getLogger("broker")

_FORMAT = 1
_HEAD = "backup.json"
_ROWS = 1000
_DAMAGED = (OSError, zipfile.BadZipFile, zlib.error, ValueError, LookupError, TypeError, sa.exc.SQLAlchemyError)


def back_up(database: Database, blobs: Blobs, file: Path) -> None:
    """Raises AlphaloomError `no_backup` when the file cannot be written; then what was there before is there still."""
    part = file.with_name(f".{file.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as raw:
            with zipfile.ZipFile(raw, "w") as archive:
                used = _write_rows(database, archive)
                _write_blobs(blobs, archive, used)
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(file)
    except OSError as problem:
        raise AlphaloomError(
            "no_backup", f"Cannot write the backup {str(file)!r}: {problem.strerror or problem}. Give another file."
        ) from None
    finally:
        part.unlink(missing_ok=True)


def _write_rows(database: Database, archive: zipfile.ZipFile) -> set[str]:
    """The blobs that the rows speak of."""
    used: set[str] = set()
    with database.reading(snapshot=True) as db:
        head = {"format": _FORMAT, "tables": stored_revision(db), "created": time.time()}
        archive.writestr(_HEAD, json.dumps(head))
        for table in tables.metadata.sorted_tables:
            with archive.open(_packed(f"tables/{table.name}.jsonl"), "w", force_zip64=True) as file:
                for row in db.execution_options(yield_per=_ROWS).execute(sa.select(table)).mappings():
                    file.write(json.dumps(dict(row)).encode() + b"\n")
                    used |= bodies.blobs(*(v for v in row.values() if isinstance(v, str)))
                    if table is tables.cache:
                        used.add(row["blob"])
    return used


def _write_blobs(blobs: Blobs, archive: zipfile.ZipFile, used: set[str]) -> None:
    # Keeping all of them first hinders a broker that is running from collecting one before its turn.
    there = [name for name in sorted(used) if blobs.keep(name)]
    if missing := len(used) - len(there):
        log.warning("%d blobs that the map speaks of are not there, so the backup lacks them, too", missing)
    for name in there:
        try:
            archive.write(blobs.path(name), f"blobs/{name}")  # pictures are compressed already
        except (AlphaloomError, FileNotFoundError):
            log.warning("blob %s went while the backup was made", name)


def _packed(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, time.localtime()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def restore(file: Path, folder: Path, url: str = "") -> None:
    """Fill an empty store from a backup; killed half-way, it is an empty one still.

    Raises AlphaloomError `bad_backup`, `store_not_empty`, `no_store`, StoreUnavailable.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            head = _head(archive)
            database = Database(folder, url)
            try:
                with database.writing() as db:
                    _refuse_unless_empty(database, db)
                    _restore_blobs(archive, folder)
                    _restore_rows(database, db, archive, head["tables"])
            finally:
                database.close()
    except _DAMAGED as problem:
        raise AlphaloomError("bad_backup", f"Cannot restore {str(file)!r}: {problem}.") from None


def _head(archive: zipfile.ZipFile) -> dict[str, Any]:
    from . import migrate

    head: dict[str, Any] = json.loads(archive.read(_HEAD))
    if head["format"] != _FORMAT or head["tables"] not in migrate.revisions():
        raise ValueError("a newer Alphaloom made it, so update this one")
    return head


def _refuse_unless_empty(database: Database, db: sa.Connection) -> None:
    for name in set(sa.inspect(db).get_table_names()) & set(tables.metadata.tables):
        if db.execute(sa.select(sa.literal(1)).select_from(sa.table(name)).limit(1)).first():
            where = f"There is a map in {database.place} already."
            raise AlphaloomError("store_not_empty", f"{where} Restore into another folder or database.")


def _restore_blobs(archive: zipfile.ZipFile, folder: Path) -> None:
    blobs = Blobs(folder)
    try:
        for name in archive.namelist():
            if name.startswith("blobs/") and blobs.put(archive.read(name)) != name.removeprefix("blobs/"):
                raise ValueError(f"{name} is damaged")
    finally:
        blobs.close()


def _restore_rows(database: Database, db: sa.Connection, archive: zipfile.ZipFile, revision: str) -> None:
    if stored_revision(db) not in (None, revision):
        tables.metadata.drop_all(db)  # they are empty
        db.execute(sa.text("DROP TABLE alembic_version"))
    database.migrate(db, revision)
    then = sa.MetaData()
    then.reflect(db)
    for name in archive.namelist():
        if name.startswith("tables/"):
            table = then.tables[name.removeprefix("tables/").removesuffix(".jsonl")]
            for rows in _rows(archive, name):
                db.execute(sa.insert(table), rows)
    if db.dialect.name == "postgresql":
        newest = "SELECT coalesce(max(position), 0) + 1 FROM jobs"
        db.execute(sa.text(f"SELECT setval(pg_get_serial_sequence('jobs', 'position'), ({newest}), false)"))
    database.migrate(db)


def _rows(archive: zipfile.ZipFile, name: str) -> Iterator[list[dict[str, Any]]]:
    rows = []
    with archive.open(name) as file:
        for line in file:
            rows.append(json.loads(line))
            if len(rows) == _ROWS:
                yield rows
                rows = []
    if rows:
        yield rows
