"""A broker and an edge that are started and ended by the extension, as real processes. No Blender needed."""

import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from addon.core import servers
from addon.core.servers import Programs, Servers
from protocol.errors import AlphaloomError

ROOT = Path(__file__).resolve().parents[3]
HERE = Programs(ROOT, Path(sys.executable))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


@pytest.fixture
def local() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def tick_until(local: Servers, done: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, (local.state, local.problem)
        local.tick()
        time.sleep(0.05)


def test_both_start_and_both_end(local: Servers, home: Path) -> None:
    port = free_port()
    local.start(HERE, f"ws://127.0.0.1:{port}", "--no-eeg", "--data", str(home / "data"))
    tick_until(local, lambda: local.state == "running")
    assert local.address == f"ws://127.0.0.1:{port}"
    local.stop()
    tick_until(local, lambda: local.state == "off")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_one_that_ends_by_itself_is_said_with_its_last_words_and_the_other_ends_too(local: Servers) -> None:
    local.start(HERE, f"ws://127.0.0.1:{free_port()}", "--port-that-nobody-knows")
    tick_until(local, lambda: local.state == "failed")
    assert local.problem[0].startswith("The broker ended with") and "--port-that-nobody-knows" in local.problem[-1]
    local.start(HERE, f"ws://127.0.0.1:{free_port()}", "--no-eeg")  # and can be tried again
    assert local.state == "broker starts" and not local.problem


def test_closing_ends_what_has_only_begun(local: Servers) -> None:
    local.start(HERE, f"ws://127.0.0.1:{free_port()}", "--no-eeg")
    local.close()
    assert local.state == "off"


def test_another_machines_address_is_refused(local: Servers) -> None:
    with pytest.raises(AlphaloomError, match="not this machine"):
        local.start(HERE, "wss://example.org:4444")


def test_the_programs_are_where_the_demo_was_run_or_where_the_preferences_say(home: Path) -> None:
    with pytest.raises(AlphaloomError, match=r"scripts/demo\.py"):
        servers.find("")
    (home / ".alphaloom").mkdir()
    (home / ".alphaloom/programs").write_text(f"{ROOT}\n")
    assert servers.find("").folder == ROOT
    with pytest.raises(AlphaloomError, match="has no broker"):
        servers.find(str(home))
    (home / "broker").mkdir()
    with pytest.raises(AlphaloomError, match=r"no \.venv"):
        servers.find(str(home))
