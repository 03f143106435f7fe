"""Programs that take turns in a benchmark: each stays loaded, and works only while it is asked. Standard library only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import processes

_PATH = os.pathsep.join([str(processes.ROOT), str(processes.ROOT / "scripts")])
MARK = "answer "
"""Before each answer: libraries print to the same output."""


class Arm:
    """The benchmark's end: a child that answers each question, a line of JSON, with another. A context manager.

    It finds the project's packages and this module without further ado.
    """

    def __init__(self, name: str, command: list[str | Path], env: Mapping[str, str] | None = None):
        self._name = name
        self._process = subprocess.Popen(
            [str(part) for part in command], cwd=processes.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": _PATH} | dict(env or {}),
        )  # fmt: skip
        self.pid = self._process.pid

    def __enter__(self) -> Arm:
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, traceback: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):  # what was still to be said to it
                    pipe.close()

    def ask(self, question: Any, limit: float = 300) -> Any:
        """The answer. Raises ChildError when none comes within `limit` seconds."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        return self.hear(limit)

    def hear(self, limit: float = 300) -> Any:
        """What it says next. Raises ChildError when that is nothing within `limit` seconds."""
        assert self._process.stdout
        timer = threading.Timer(limit, self._process.kill)
        timer.start()
        try:
            for line in self._process.stdout:
                if line.startswith(MARK):
                    return json.loads(line.removeprefix(MARK))
        finally:
            timer.cancel()
        raise processes.ChildError(f"{self._name} ended, or did not answer within {limit:g} s; its last words are above")


def questions() -> Iterator[Any]:
    """The child's end: what it is asked."""
    for line in sys.stdin:
        yield json.loads(line)


async def questions_async() -> AsyncIterator[Any]:
    """The same, while the child's event loop goes on."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield json.loads(line)


def answer(value: Any) -> None:
    print(MARK + json.dumps(value), flush=True)
