"""The extension's zip, installed in a windowed Blender as an artist does it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import build_addon
import pytest
import windows

SHOTS = windows.ROOT / "out/window"
"""Kept, to be looked at."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/addon/window" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(900))  # a window that is drawn without a graphics card takes its time


@pytest.fixture(scope="session")
def windowed() -> None:
    reason = windows.why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def zipped(windowed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_addon.build(tmp_path_factory.mktemp("zip"))


@pytest.fixture
def open_window(zipped: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., windows.Window]]:
    """Starts Blender with the extension installed; it is ended with the test."""
    zipped = Path(shutil.copy(zipped, tmp_path))
    done = windows.blender(tmp_path, "--command", "extension", "install-file", "-r", "user_default", "-e", str(zipped))
    assert done.returncode == 0 and "Error" not in done.stdout + done.stderr, done.stdout + done.stderr
    opened: list[windows.Window] = []

    def start(*arguments: str) -> windows.Window:
        opened.append(windows.Window(tmp_path, SHOTS / request.node.name.removeprefix("test_"), *arguments))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
    for one in opened:
        assert "Traceback" not in one.log(), one.log()
