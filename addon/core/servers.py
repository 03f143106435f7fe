"""A broker and an edge of one's own, on this machine: two child processes that a button starts and stops. No `bpy`, no thread.

Design notes
- They are looked after in `tick`: what has been said in their logs, whether they live. Nothing here waits.
- They end with Blender. Where Blender is killed they go on, and the next Connect finds them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from .shared import address, errors

HOME = ".alphaloom"
FOUND = "programs"
"""In HOME: the folder of the programs, which scripts/demo.py writes there."""
LOOK_S = 0.3
GRACE_S = 8.0
"""For them to end by themselves."""
LAST_LINES = 4
State = Literal["off", "broker starts", "edge starts", "running", "stopping", "failed"]


@dataclass(frozen=True)
class Programs:
    """Where the broker and the edge are."""

    folder: Path
    python: Path


def find(folder: str) -> Programs:
    """Those in `folder`, or where it is empty those that the demo has made. Raises AlphaloomError `no_programs`."""
    found = Path.home() / HOME / FOUND
    if not folder and found.is_file():
        folder = found.read_text(encoding="utf-8").strip()
    if not folder:
        raise errors.AlphaloomError(
            "no_programs",
            "No broker is installed here. Run scripts/demo.py of Alphaloom's repository once, or set its folder in the "
            "extension's preferences.",
        )
    place = Path(folder).expanduser()
    python = place / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (place / "broker").is_dir() or not python.exists():
        missing = "no broker" if not (place / "broker").is_dir() else "no .venv: run its scripts/demo.py once"
        raise errors.AlphaloomError("no_programs", f"{folder!r} has {missing}.", folder=folder)
    return Programs(place, python)


class Servers:
    """`state` says how far they are; `problem` why they are not running, with the log's last lines."""

    def __init__(self) -> None:
        self.state: State = "off"
        self.problem: list[str] = []
        self.address = ""
        """The broker's, once it listens."""
        self._programs: Programs | None = None
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._logs = Path()
        self._looked_at = 0.0
        self._until = 0.0

    def start(self, programs: Programs, broker: str, *options: str) -> None:
        """Start a broker at the address `broker`, then an edge; `options` are the broker's. Raises AlphaloomError
        `not_here`."""
        if self._children:
            return
        at = urlsplit(address.parse(broker).http)
        if at.hostname != "127.0.0.1":
            raise errors.AlphaloomError("not_here", f"{broker!r} is not this machine; write {address.DEFAULT}.")
        self.problem, self.address, self._programs = [], "", programs
        self._logs = Path.home() / HOME / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._begin("broker", str(at.port), *options)
        self.state = "broker starts"

    def stop(self) -> None:
        """Ask them to end; `tick` sees to it that they do."""
        if not self._children:
            self.state = "off"
            return
        for child in self._children.values():
            with contextlib.suppress(OSError):
                child.terminate()
        self.state, self._until = "stopping", time.monotonic() + GRACE_S

    def close(self) -> None:
        """End them now: Blender ends, too."""
        self.stop()
        while self._children:
            self._reap()
            time.sleep(0.02)  # another process cannot be awaited any other way

    def tick(self) -> None:
        now = time.monotonic()
        if not self._children or now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        if self.state in ("stopping", "failed"):
            self._reap()
            return
        for name, child in self._children.items():
            if child.poll() is not None:
                self._fail(name)
                return
        if self.state == "broker starts" and (line := self._line("broker", "/v1/ws")):
            self.address = next(word for word in line.split() if "://" in word).partition("/v1/ws")[0]
            self._begin("edge", "--broker", self.address)
            self.state = "edge starts"
        elif self.state == "edge starts" and self._line("edge", "at work"):
            self.state = "running"

    def _begin(self, name: str, *arguments: str) -> None:
        assert self._programs is not None
        hidden = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}
        # Blender's own paths are not for another Python.
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        with open(self._logs / f"{name}.log", "wb") as log:
            self._children[name] = subprocess.Popen(
                [str(self._programs.python), "-m", name, *arguments], cwd=self._programs.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, env=clean | {"PYTHONUNBUFFERED": "1"}, **hidden,
            )  # fmt: skip

    def _fail(self, name: str) -> None:
        """One has ended by itself: say what it said last, and end the other."""
        status = self._children.pop(name).returncode
        lines = (self._logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
        self.stop()
        self.problem = [f"The {name} ended with {status}.", *lines[-LAST_LINES:]]
        self.state = "failed"

    def _reap(self) -> None:
        for name, child in list(self._children.items()):
            if child.poll() is None and time.monotonic() > self._until:
                child.kill()
                child.wait()
            if child.poll() is not None:
                del self._children[name]
        if not self._children and self.state == "stopping":
            self.state = "off"

    def _line(self, name: str, text: str) -> str:
        """The first line of a log that has `text`."""
        with open(self._logs / f"{name}.log", encoding="utf-8", errors="replace") as log:
            return next((line for line in log if text in line), "")
