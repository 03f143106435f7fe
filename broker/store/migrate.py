"""Alembic, driven from here: users need no alembic.ini, and its logging stays out of ours."""

from __future__ import annotations

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from protocol.errors import AlphaloomError

log = logging.getLogger("broker")


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return made


def revisions() -> list[str]:
    """That this version knows, oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


def upgrade(db: sa.Connection, found: str | None, revision: str, place: str) -> None:
    """Inside the transaction of `db`: all or nothing. Raises AlphaloomError `no_store` where the tables are newer."""
    known = revisions()
    if found is not None and found not in known:
        raise AlphaloomError(
            "no_store",
            f"The map in {place} was kept by a newer Alphaloom (tables {found}; this one knows {known[-1]}). Update Alphaloom.",
            found=found,
            known=known[-1],
        )
    if found is not None:
        log.info("the tables in %s are brought from %s to %s", place, found, revision)
    # Alembic says at INFO what it does; that is ours to say.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    made = config()
    made.attributes["connection"] = db
    command.upgrade(made, revision)
