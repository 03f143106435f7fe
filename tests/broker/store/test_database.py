import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import stores
from stores import Place, Places, Postgres

from broker import store as s
from broker.store import Store
from protocol.errors import AlphaloomError
from protocol.model import Job


def jobs(count: int, start: int = 0) -> list[s.PutJob]:
    return [s.PutJob(Job(f"{start + n:04}", "a", error="x" * 1000)) for n in range(count)]


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that a test may stop."""
    pytest.importorskip("pgserver", reason="pgserver, which brings PostgreSQL, has no wheel for this platform")
    with stores.postgres() as server:
        yield server


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AlphaloomError, match="--data") as caught:
        Store(tmp_path / "file")
    assert caught.value.code == "no_store"
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "alphaloom.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(AlphaloomError, match="--data"):
        Store(broken)


@pytest.mark.parametrize(
    "url",
    ["mysql://ann:secret@h/d", "postgresql+psycopg2://ann:secret@h/d", "nonsense", "postgresql://ann:secret@127.0.0.1:1/d"],
)
def test_a_database_that_cannot_be_used_says_so_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        Store(tmp_path, url)
    assert caught.value.code == "no_store" and "secret" not in caught.value.message


def test_sqlite_is_durable_and_lets_others_read(places: Places) -> None:
    store = places().open()
    with store._database.reading() as db:
        found = [db.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert found == ["wal", 2]


def test_the_driver_may_be_named_in_the_url_or_not(places: Places) -> None:
    place = places("postgresql")
    store = place.open()
    store.write(jobs(1))
    named = Place(place.folder, place.url.replace("postgresql://", "postgresql+psycopg://"))
    assert len(named.open().load().jobs) == 1
    named.close()


def test_a_connection_that_was_cut_while_idle_is_not_noticed(places: Places, postgres: Postgres) -> None:
    place = places("postgresql")
    store = place.open()
    store.write(jobs(1))
    postgres.cut(place.url)
    store.write(jobs(1, 1))
    postgres.cut(place.url)
    assert len(store.load().jobs) == 2


def test_a_connection_that_is_cut_within_a_batch_keeps_nothing_of_it_and_it_can_be_written_again(
    places: Places, postgres: Postgres
) -> None:
    place = places("postgresql")
    store = place.open()
    batch = [*jobs(3), s.PurgeItems("main", ("b",)), *jobs(3, 3)]
    cuts = iter([place.url])

    @sa.event.listens_for(store._database.engine, "before_cursor_execute")
    def cut(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("DELETE FROM nodes") and (url := next(cuts, None)):
            postgres.cut(url)

    with pytest.raises(s.StoreUnavailable) as caught:
        store.write(batch)
    assert caught.value.code == "store_unavailable"
    assert store.jobs() == []
    store.write(batch)
    assert len(store.jobs()) == 6


def test_a_server_that_stops_is_said_to_be_unavailable_until_it_is_back(tmp_path: Path, own_postgres: Postgres) -> None:
    place = Place(tmp_path, own_postgres.create())
    store = place.open()
    store.write(jobs(1))
    own_postgres.stop()
    for call in (lambda: store.write(jobs(1, 1)), store.load, lambda: store.job("0000"), store.tokens):
        with pytest.raises(s.StoreUnavailable):
            call()
    own_postgres.start()
    store.write(jobs(1, 1))
    assert len(store.load().jobs) == 2
    place.close()


def test_a_full_disk_keeps_nothing_of_a_batch_and_it_can_be_written_again(places: Places) -> None:
    store = places().open()
    store.write(jobs(10))
    full = True

    @sa.event.listens_for(store._database.engine, "checkout")
    def limit(connection: sqlite3.Connection, *_: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 5 if full else 1 << 30}")

    with pytest.raises(s.StoreUnavailable, match="full"):
        store.write(jobs(500, 10))
    assert len(store.load().jobs) == 10
    full = False
    store.write(jobs(500, 10))
    assert len(store.load().jobs) == 510


def test_a_damaged_database_is_unavailable_and_what_was_to_be_written_is_not_said(places: Places) -> None:
    place = places()
    store = place.open()
    store.write(jobs(500))
    place.reopen().write([])
    file = place.folder / "alphaloom.sqlite"
    with file.open("r+b") as database:
        database.seek(8192)
        database.write(b"\xff" * (file.stat().st_size - 8192))
    with pytest.raises(s.StoreUnavailable, match="malformed"):
        place.reopen().write(jobs(500, 500))


def test_a_row_that_can_never_be_written_is_that_rows_fault_and_is_not_shown(store: Store) -> None:
    with pytest.raises((sa.exc.StatementError, OverflowError)) as caught:
        store.write([s.PutCached("a secret", "blob", 2**70, 0.0)])
    assert "a secret" not in str(caught.value)


WRITER = """
import sys
from pathlib import Path
from broker import store as s
from protocol.model import Job
store = s.Store(Path(sys.argv[1]), sys.argv[2])
for n in range(int(sys.argv[4])):
    store.write([s.PutJob(Job(f"{sys.argv[3]}-{n}", "a")), s.PutFact(sys.argv[3], n)])
store.close()
"""


def test_several_programs_may_open_and_write_one_store(place: Place) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(place.folder), place.url, name, "100"], cwd=Path(s.__file__).parents[2]
        )
        for name in ("x", "y", "z")
    ]
    try:
        assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    loaded = place.open().load()
    assert len(loaded.jobs) == 300 and loaded.facts == {"x": 99, "y": 99, "z": 99}
