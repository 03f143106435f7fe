"""Every test of the store runs on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import stores

from broker.store import Store

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[stores.Postgres]:
    pytest.importorskip("pgserver", reason="pgserver, which brings PostgreSQL, has no wheel for this platform")
    with stores.postgres() as server:
        yield server


@pytest.fixture
def places(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[stores.Places]:
    """Makes places, by the database's name."""
    with ExitStack() as ends:

        def make(database: str = "sqlite") -> stores.Place:
            folder = tmp_path / f"store{len(list(tmp_path.glob('store*')))}"
            folder.mkdir()
            url = ""
            if database == "postgresql":
                server = request.getfixturevalue("postgres")
                url = server.create()
                ends.callback(server.drop, url)
            made = stores.Place(folder, url)
            ends.callback(made.close)
            return made

        yield make


@pytest.fixture(params=DATABASES)
def place(places: stores.Places, request: pytest.FixtureRequest) -> stores.Place:
    return places(request.param)


@pytest.fixture
def store(place: stores.Place) -> Store:
    return place.open()
