"""Recordings for the tests that are not part of the project."""

import os
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(os.environ.get("ALPHALOOM_TEST_DATA") or Path(__file__).parents[2] / "shared/data")


def muse(name: str) -> Path:
    """A real Muse recording; skips the test where there is none."""
    path = FOLDER / "muse" / name
    if not path.exists():
        pytest.skip(f"no recordings for tests in {FOLDER}")
    return path


def columns(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(n,) stamps in s and (n, 4) µV of TP9, AF7, AF8, TP10."""
    rows = np.genfromtxt(path, delimiter=",", skip_header=1)
    return rows[:, 0], rows[:, 1:5]
