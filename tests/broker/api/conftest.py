from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from serving import Served, served


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Served]:
    """Open, on this machine."""
    async with served(tmp_path / "data") as made:
        yield made


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Served]:
    """One that others can come to, and that needs tokens."""
    async with served(tmp_path / "data", host="0.0.0.0") as made:
        yield made
