"""What older versions kept is opened by this one."""

import json
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from stores import Place, Places

from broker import store as s
from broker.store import Blobs, Store, migrate, tables
from broker.store.database import Database
from protocol.errors import AlphaloomError
from protocol.model import Job, Link, Modulation, Move, Node, Rule, Settings

# As the versions before migrations made it.
OLD = """
CREATE TABLE facts (name VARCHAR(64) NOT NULL, value JSON NOT NULL, PRIMARY KEY (name));
CREATE TABLE jobs (position INTEGER NOT NULL, id VARCHAR(64) NOT NULL, node VARCHAR(64) NOT NULL, state VARCHAR(16) NOT NULL,
    body JSON NOT NULL, PRIMARY KEY (position), UNIQUE (id));
CREATE TABLE links (position INTEGER NOT NULL, id VARCHAR(64) NOT NULL, body JSON NOT NULL,
    PRIMARY KEY (position), UNIQUE (id));
CREATE TABLE nodes (id VARCHAR(64) NOT NULL, body JSON NOT NULL, PRIMARY KEY (id));
CREATE INDEX ix_jobs_node ON jobs (node);
CREATE INDEX ix_jobs_state ON jobs (state);
"""
SETTINGS = {
    "width": 64,
    "height": 64,
    "steps": None,
    "guidance": 4.0,
    "strength": 0.6,
    "seed": 5,
    "blend": 0.5,
    "modulate": True,
}
BLOB = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of b"abc"


def old_node(id: str, prompt: str, picture: str | None = None) -> tuple[str, Any]:
    more = {"negative": "", "task": "txt2img", "settings": SETTINGS, "x": 1.5, "y": -2.0, "source": None, "mask": None}
    return id, {"id": id, "prompt": prompt, "picture": picture} | more


def old_job(id: str, node: str, state: str, modulation: Any = None) -> tuple[str, str, str, Any]:
    body = {"id": id, "node": node, "state": state, "attempt": 1, "created": 9.5, "resolved": None, "picture": None}
    return id, node, state, body | {"modulation": modulation, "error": None}


def make_old(folder: Path) -> None:
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / BLOB).write_bytes(b"abc")
    with sqlite3.connect(folder / "alphaloom.sqlite") as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(OLD)
        for id, body in (old_node("a", "möss", BLOB), old_node("b", "rust")):
            db.execute("INSERT INTO nodes VALUES (?, ?)", (id, json.dumps(body)))
        for position, id, parent in ((2, "x", "b"), (5, "l", "a")):
            body = {"id": id, "parent": parent, "child": "b", "kind": "blend"}
            db.execute("INSERT INTO links VALUES (?, ?, ?)", (position, id, json.dumps(body)))
        moves = {"time": 2.0, "streams": ["headset"], "sham": False}
        moves["moves"] = [{"feature": "alpha", "value": 0.5, "z": 2.0, "target": "blend", "before": 0.0, "after": 1.0}]
        jobs = old_job("1", "a", "done", moves), old_job("2", "a", "queued"), old_job("3", "b", "done", {"frame": {}})
        for id, node, state, body in jobs:
            row = (id, node, state, json.dumps(body))
            db.execute("INSERT INTO jobs (id, node, state, body) VALUES (?, ?, ?, ?)", row)
        rule = {"feature": "alpha", "target": "blend", "amount": 0.1, "performer": 1, "gain": 1.0}
        db.execute("INSERT INTO facts VALUES ('patch', ?)", (json.dumps([rule]),))
        db.execute("INSERT INTO facts VALUES ('revision', 7)")
    db.close()


def test_a_folder_of_the_versions_before_migrations_opens_with_everything_in_room_main(tmp_path: Path) -> None:
    make_old(tmp_path)
    for _ in ("moved", "there already"):
        place = Place(tmp_path)
        store = place.open()
        (room,) = (loaded := store.load()).rooms
        assert (room.row.id, room.row.revision, room.log) == ("main", 7, [])
        assert room.row.created > 0
        settings = Settings(64, 64, seed=5)
        nodes = (
            Node("a", "möss", settings=settings, x=1.5, y=-2.0, picture=BLOB),
            Node("b", "rust", settings=settings, x=1.5, y=-2),
        )
        assert room.nodes == [s.Stored(node) for node in nodes]
        links = Link("l", "a", "b", "blend", 5), Link("x", "b", "b", "blend", 2)
        assert room.links == [s.Stored(link) for link in links]
        assert loaded.facts == {"patch": (Rule("alpha", "blend", 0.1),)}
        assert loaded.jobs == [Job("2", "a", attempt=1, created=9.5)]
        modulation = Modulation(2.0, ("headset",), (Move("alpha", 0.5, 2.0, "blend", 0.0, 1.0),))
        done = Job("1", "a", "done", 1, 9.5, ended=9.5, modulation=modulation)
        assert store.pictures("main") == [done, Job("3", "b", "done", 1, 9.5, ended=9.5)]
        assert store.history("main", "a") == [done]
        assert store.blobs.get(BLOB) == b"abc"
        place.close()


def test_new_jobs_come_after_the_old_ones(tmp_path: Path) -> None:
    make_old(tmp_path)
    place = Place(tmp_path)
    store = place.open()
    store.write([s.PutJob(Job("0", "a"))])
    assert [job.id for job in store.jobs()] == ["0", "3", "2", "1"]
    place.close()


def test_a_move_that_fails_half_way_leaves_the_old_tables_as_they_were(tmp_path: Path) -> None:
    make_old(tmp_path)
    file = tmp_path / "alphaloom.sqlite"
    with sqlite3.connect(file) as db:
        db.execute("INSERT INTO jobs (id, node, state, body) VALUES ('4', 'a', 'done', '{torn')")
        before = list(db.iterdump())
    with pytest.raises(AlphaloomError) as caught:
        Store(tmp_path)
    assert caught.value.code == "no_store"
    with sqlite3.connect(file) as db:
        assert list(db.iterdump()) == before


def test_the_migrations_make_the_tables_that_the_code_knows(place: Place) -> None:
    place.open()
    assert migrate.revisions()[-1] == tables.REVISION
    database = Database(place.folder, place.url)
    try:
        with database.reading() as db:
            assert compare_metadata(MigrationContext.configure(db, opts={"compare_type": True}), tables.metadata) == []
            unique = sa.inspect(db).get_unique_constraints("jobs")
            assert [constraint["column_names"] for constraint in unique] == [["id"]]
    finally:
        database.close()


def test_a_store_of_a_newer_version_is_not_touched_and_says_to_update(place: Place) -> None:
    place.open()
    place.close()
    place.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(AlphaloomError, match="Update Alphaloom") as caught:
        place.open()
    assert caught.value.code == "no_store"
    assert place.execute("SELECT version_num FROM alembic_version") == [("9999",)]


def test_logging_stays_as_it_is(places: Places, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    handlers, level = list(logging.getLogger().handlers), logging.getLogger("broker").level
    places().open()
    assert logging.getLogger().handlers == handlers
    assert (logging.getLogger("broker").level, logging.getLogger("broker").disabled) == (level, False)
    assert not [record for record in caplog.records if record.name.startswith("alembic")]


def test_flat_blobs_are_found_though_another_program_moves_them_at_the_same_time(tmp_path: Path) -> None:
    make_old(tmp_path)
    first, second = Blobs(tmp_path), Blobs(tmp_path)
    assert first.get(BLOB) == second.get(BLOB) == b"abc"
    assert [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == [BLOB]
    first.close()
    second.close()
