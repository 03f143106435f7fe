from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from desk import Desk, open_desk

from broker.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def desk(store: Store) -> AsyncIterator[Desk]:
    async for made in open_desk(store):
        yield made
