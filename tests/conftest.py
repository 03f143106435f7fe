"""Real parts for the tests: processes of this project, started on free ports and always ended."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import processes
import pytest

# As the edge says it, and before torch is loaded: beside another busy process a waiting thread that spins makes a step of
# the model take several times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).resolve().parent.parent
PYTHON = os.environ.get("ALPHALOOM_PYTHON", sys.executable)
"""The main environment's Python; tests inside Blender's are given it."""


class Programs(processes.Children):
    """The project's programs as child processes."""

    def broker(self, data: Path, *options: str, name: str = "broker", port: int = 0) -> str:
        """Start a broker; its address, `ws://127.0.0.1:PORT`."""
        options = options or ("--no-eeg",)
        self.start(name, [PYTHON, "-m", "broker", str(port), "--data", data, *options])
        return self.await_broker(name)

    def edge(self, broker: str, name: str = "edge") -> None:
        self.start(name, [PYTHON, "-m", "edge", "--broker", broker, "--name", name])
        self.await_line(name, "at work", 180)

    def noop_edge(self, broker: str, *options: str, name: str = "edge") -> None:
        """An edge without a model, for tests in which a real one would only add seconds."""
        self.start(name, [PYTHON, "scripts/bench_broker_arms/noop_edge.py", broker, "--name", name, *options])
        self.await_line(name, "at work", 30)

    def synth(self, stream: str, *options: str, name: str = "synth") -> None:
        self.start(name, [PYTHON, "-m", "signals", "synth", "--name", stream, *options])
        self.await_line(name, repr(stream), 60)

    def replay(self, stream: str, recording: Path, *options: str) -> None:
        self.start("replay", [PYTHON, "-m", "signals", "replay", recording, "--name", stream, *options])
        self.await_line("replay", repr(stream), 60)

    def signal(self, name: str, number: int) -> None:
        self._children[name].send_signal(number)

    def wait(self, name: str, seconds: float = 60) -> int:
        """Until it ends by itself; its exit status."""
        return self._children.pop(name).wait(seconds)

    def kill(self, name: str) -> None:
        """SIGKILL, no goodbye."""
        child = self._children.pop(name)
        child.kill()
        child.wait()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    with Programs(tmp_path / "logs") as children:
        yield children


@pytest.fixture(scope="module")
def start_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Programs]]:
    """Programs that live as long as a test module."""
    with Programs(tmp_path_factory.mktemp("logs")) as children:
        yield lambda: children


@pytest.fixture(scope="session")
def lasting_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """Programs that live as long as all tests do."""
    with Programs(tmp_path_factory.mktemp("logs")) as children:
        yield children


@pytest.fixture
def stream_name(request: pytest.FixtureRequest) -> str:
    """An LSL name that no other test, run or machine on the network uses."""
    return f"test-{os.getpid()}-{request.node.name}"[:60]
