"""Only one broker serves a folder and a database."""

import subprocess
import sys
from pathlib import Path

import pytest
from stores import Place, Places, Postgres

from broker import store as s
from broker.store import Store
from protocol.errors import AlphaloomError

SERVER = """
import sys, time
from pathlib import Path
from broker.store import Store
store = Store(Path(sys.argv[1]), sys.argv[2], serving=True)
print("serving", flush=True)
sys.stdin.read()
"""


def refused(folder: Path, url: str) -> AlphaloomError:
    with pytest.raises(AlphaloomError) as caught:
        Store(folder, url, serving=True)
    assert caught.value.code == "store_in_use"
    return caught.value


def test_a_second_broker_is_refused_until_the_first_ends_however_it_ends(place: Place) -> None:
    command = [sys.executable, "-c", SERVER, str(place.folder), place.url]
    with subprocess.Popen(command, cwd=Path(s.__file__).parents[2], stdin=-1, stdout=-1, text=True) as first:
        assert first.stdout and first.stdout.readline() == "serving\n"
        error = refused(place.folder, place.url)
        assert str(place.folder) in error.message and f"process {first.pid}" in error.message and "--data" in error.message
        assert place.open().tokens() == [], "who only looks is let in"
        first.kill()
        first.wait()
        place.open(serving=True)
    refused(place.folder, place.url)
    place.reopen(serving=True)


def test_two_brokers_with_folders_of_their_own_and_one_database_are_refused(places: Places, tmp_path: Path) -> None:
    place = places("postgresql")
    place.open(serving=True)
    (tmp_path / "other").mkdir()
    message = refused(tmp_path / "other", place.url).message
    assert "database" in message and "postgresql" in message
    place.close()
    Store(tmp_path / "other", place.url, serving=True).close()


def test_a_broker_that_is_refused_leaves_the_folder_free(places: Places, tmp_path: Path) -> None:
    place = places("postgresql")
    place.open(serving=True)
    refused(tmp_path / "other", place.url)
    Store(tmp_path / "other", serving=True).close()


def test_a_connection_that_is_cut_does_not_keep_the_store_from_closing(places: Places, postgres: Postgres) -> None:
    place = places("postgresql")
    place.open(serving=True)
    postgres.cut(place.url)
    place.reopen(serving=True)
