from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()
