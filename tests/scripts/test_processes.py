import subprocess
import sys
from pathlib import Path

import pytest
from processes import ChildError, Children, get

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(600)"


def alive(pid: int) -> bool:
    return subprocess.run(["ps", "-p", str(pid)], capture_output=True).returncode == 0


def test_children_are_ended_when_the_block_is_left_even_those_that_refuse(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("processes.GRACE_S", 0.5)
    with pytest.raises(KeyboardInterrupt), Children(tmp_path) as children:
        stubborn = children.start("stubborn", [sys.executable, "-c", STUBBORN])
        children.await_line("stubborn", "ready", 20)
        raise KeyboardInterrupt
    assert not alive(stubborn.pid)


def test_a_child_that_dies_is_reported_with_its_last_line(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("brief", [sys.executable, "-c", "print('first'); raise SystemExit('out of paint')"])
        with pytest.raises(ChildError, match=r"brief ended.*out of paint"):
            children.await_line("brief", "never said", 20)


def test_a_child_that_stays_silent_is_reported(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("silent", [sys.executable, "-c", "import time; time.sleep(600)"])
        with pytest.raises(ChildError, match="has not said 'hello'"):
            children.await_line("silent", "hello", 0.3)


def test_nobody_at_an_address_is_none() -> None:
    assert get("http://127.0.0.1:9/") is None
