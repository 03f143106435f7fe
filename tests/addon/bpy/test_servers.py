"""The button that starts a broker and an edge on this machine."""

import os
import socket
import sys
import time
from pathlib import Path

import bpy
import pytest

from addon.panels import servers
from addon.session import session

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    (tmp_path / ".alphaloom").mkdir()
    return tmp_path


def until(done, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, (servers.local.state, servers.local.problem)
        servers._look()
        session.tick()
        time.sleep(0.02)


@pytest.mark.skipif(
    Path(os.environ.get("ALPHALOOM_PYTHON", sys.executable)).parents[1] != ROOT / ".venv", reason="no .venv in this folder"
)
def test_a_button_starts_broker_and_edge_and_connects_and_another_ends_them(home: Path) -> None:
    (home / ".alphaloom/programs").write_text(str(ROOT))
    with socket.create_server(("127.0.0.1", 0)) as free:
        bpy.context.scene.alphaloom.broker = f"127.0.0.1:{free.getsockname()[1]}"
    assert bpy.ops.alphaloom.start_servers() == {"FINISHED"}
    until(lambda: servers.local.state == "running" and session.mirror.loaded and session.mirror.edges == 1)
    assert not bpy.ops.alphaloom.start_servers.poll()
    bpy.ops.alphaloom.stop_servers()
    until(lambda: servers.local.state == "off")
    assert session.connection.state == "offline"


def test_without_programs_the_button_says_where_they_are_looked_for(home: Path) -> None:
    with pytest.raises(RuntimeError, match=r"scripts/demo\.py"):
        bpy.ops.alphaloom.start_servers()
    assert servers.local.state == "off"
