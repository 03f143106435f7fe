"""Child processes that always end: however this program does, they do. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GRACE_S = 8.0


class ChildError(Exception):
    """A child ended, or did not do what it was started for; the message has its last line."""


class Children:
    """Named child processes with their output in `logs`. A context manager: leaving it ends them all."""

    def __init__(self, logs: Path):
        self.logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, name: str, command: list[str | Path], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        with open(self.logs / f"{name}.log", "wb") as log:
            child = subprocess.Popen(
                [str(part) for part in command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(env or {}),
            )  # fmt: skip
        self._children[name] = child
        return child

    def end(self, *names: str) -> None:
        """End those named, or all: kindly first, the last started first."""
        chosen = [name for name in reversed(self._children) if not names or name in names]
        ending = [self._children.pop(name) for name in chosen]
        for child in ending:
            with contextlib.suppress(OSError):
                child.terminate()
        deadline = time.monotonic() + GRACE_S
        for child in ending:
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def check(self, *names: str) -> None:
        """Raises ChildError if one of those named, or any, has ended by itself."""
        for name, child in self._children.items():
            if (not names or name in names) and child.poll() is not None:
                raise ChildError(f"{name} ended ({child.returncode}): {self.last_line(name)}")

    def last_line(self, name: str) -> str:
        lines = (self.logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def await_line(self, name: str, text: str, seconds: float) -> str:
        """The first line of a child's output that has `text`. Raises ChildError after `seconds` or when it ends."""
        for _ in until(seconds):
            for line in (self.logs / f"{name}.log").read_text(errors="replace").splitlines():
                if text in line:
                    return line
            self.check()
        raise ChildError(f"{name} has not said {text!r} within {seconds:g} s; its last line: {self.last_line(name)}")

    def await_broker(self, name: str = "broker", seconds: float = 60) -> str:
        """The address that a broker which was started here announces: ws://HOST:PORT, or wss://. Raises ChildError."""
        line = self.await_line(name, "/v1/ws", seconds)
        return next(word for word in line.split() if "://" in word).partition("/v1/ws")[0]


def until(seconds: float, every: float = 0.1) -> Iterator[None]:
    """Tries, spaced by `every`, for `seconds`: another process cannot be awaited any other way."""
    end = time.monotonic() + seconds
    while True:
        yield
        if time.monotonic() > end:
            return
        time.sleep(every)


def get(url: str) -> Any:
    """JSON from a server on this machine; None while nobody answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=10) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def end_on_signals() -> None:
    """Turn a request to terminate into KeyboardInterrupt, so that `with Children` ends them."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)  # a shell's background job starts with it ignored
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, interrupt)
