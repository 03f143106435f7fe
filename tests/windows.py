"""A real Blender in a window on a virtual screen, its keys and mouse in the hands of a test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT.parent / "shared/tools/blender-root"
FOLDER = Path.home() / ".cache/alphaloom/blender-window"
"""Where the Debian root with Blender in it is made, once; it is no part of the repository."""
INSIDE = ROOT / "tests/addon/window/inside.py"
SCREEN = (1600, 900)
ROW = 16
"""Pixels: less than any button's height."""
_NUMPY = (
    "python3 -c 'import numpy' || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-numpy"
)
_SIDEBAR = "next(r for a in C.screen.areas if a.type == 'VIEW_3D' for r in a.regions if r.type == 'UI')"
STEP_S = 0.1
"""Between two things that a hand does: a person's are no faster, and Blender takes quick ones together."""


def why_not() -> str:
    """Why no windowed Blender can be had here; empty where it can."""
    if not TOOL.exists():
        return f"no {TOOL}, which makes a windowed Blender"
    if os.name != "posix" or os.geteuid() != 0:
        return "a windowed Blender is made by root on Linux only"
    made = subprocess.run([TOOL, "make", FOLDER], capture_output=True, text=True, timeout=900)
    if made.returncode == 0:  # Blender's own builds have NumPy, this one leaves it out
        install = [TOOL, "exec", FOLDER, "sh", "-c", _NUMPY]
        made = subprocess.run(install, cwd=FOLDER.parent, capture_output=True, text=True, timeout=300)
    return "" if made.returncode == 0 else f"no windowed Blender could be made: {made.stderr.strip()[-300:]}"


def blender(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Blender without a window, in the same surroundings."""
    command = [str(TOOL), "run", str(FOLDER), *arguments]
    return subprocess.run(command, cwd=folder, env=_surroundings(folder), capture_output=True, text=True, timeout=180)


def _surroundings(folder: Path, **more: str) -> dict[str, str]:
    own = {"BIND": str(ROOT), "BLENDER_USER_RESOURCES": str(folder / "blender")}
    return os.environ | own | more


class Window:
    """Blender, started in `folder`, where its log goes; `shots` is for pictures of its screen."""

    _known: ClassVar[dict[str, float]] = {}
    """Where buttons were found, by any window: they are mostly there again."""

    def __init__(self, folder: Path, shots: Path, *arguments: str) -> None:
        self.folder, self.shots = folder, shots
        self._hands: subprocess.Popen[str] | None = None
        self._last = 0.0
        """Where the last button was found."""
        self.display = f":{90 + os.getpid() % 400}"
        shots.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as server, open(folder / "blender.log", "wb") as log:
            command = [TOOL, "window", FOLDER, folder / "screen", *arguments, "--python", INSIDE]
            command += ["--", str(server.getsockname()[1])]
            self._process = subprocess.Popen(
                [str(part) for part in command], cwd=folder, env=_surroundings(folder, WINDOW_DISPLAY=self.display),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            server.settimeout(120)
            try:
                self._socket, _ = server.accept()
            except TimeoutError:
                self.close()
                raise AssertionError(f"Blender did not start: {self.log()}") from None
        self._socket.settimeout(120)
        self._lines = self._socket.makefile("rb")

    def log(self) -> str:
        return (self.folder / "blender.log").read_text(errors="replace")

    def close(self) -> None:
        if self._hands is not None:
            self._hands.terminate()
            self._hands.wait()
        with contextlib.suppress(AttributeError, OSError, AssertionError):
            self.do("bpy.ops.wm.quit_blender()")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # the virtual screen, too
        self._process.wait()

    # -- inside --

    def do(self, code: str) -> None:
        """Run statements inside Blender."""
        self._say(code, False)

    def value(self, code: str) -> Any:
        """An expression's value inside Blender, as JSON carries it."""
        return self._say(code, True)

    def until(self, code: str, seconds: float = 60) -> Any:
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not (found := self.value(code)):
            assert time.monotonic() < end, f"{code!r} is not so after {seconds:g} s"
            time.sleep(0.1)
        return found

    def _say(self, code: str, is_value: bool) -> Any:
        self._socket.sendall(json.dumps([code, is_value]).encode() + b"\n")
        line = self._lines.readline()
        assert line, f"Blender has ended: {self.log()[-2000:]}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    # -- by hand --

    def keys(self, *names: str) -> None:
        """Press keys as xdotool names them: `g`, `ctrl+z`, `Return`."""
        for name in names:
            self._hand(f"key {name}")

    def write(self, path: str, text: str) -> None:
        """Write into a field of the sidebar."""
        self.click(*self.field(path))
        self.keys("ctrl+a")
        self.type(text)
        self.keys("Return")

    def push(self, operator: str, across: float = 0.45) -> None:
        """Press the button that calls `operator`, as `alphaloom.connect`, `across` the sidebar from its left."""
        self.click(*self._find(f"bpy.ops.{operator}(", "ctrl+c", across))

    def type(self, text: str) -> None:
        self._hand(f'type --delay 20 "{text}"', 0.03 * len(text))

    def move(self, x: float, y: float) -> None:
        """The mouse to a pixel of the screen, counted from its top left."""
        self._hand(f"mousemove {round(x)} {round(y)}")

    def click(self, x: float, y: float) -> None:
        self.move(x, y)
        self._hand("click 1")

    def press(self, x: float, y: float, *way: tuple[float, float]) -> None:
        """Press the left button at a place, go a way, let go."""
        self.move(x, y)
        self._hand("mousedown 1")
        for place in way:
            self.move(*place)
        self._hand("mouseup 1")

    # -- the sidebar --

    def open_sidebar(self) -> None:
        """Open the sidebar's tab Alphaloom, where buttons are looked for from now on."""
        self.do("override = view()\nwith override: C.space_data.show_region_ui = True")
        self.until(f"{_SIDEBAR}.width > 100")
        self.do(f"{_SIDEBAR}.active_panel_category = 'Alphaloom'")

    def field(self, path: str, across: float = 0.45) -> tuple[float, float]:
        """Where the field of a property is, by its data path as Blender copies it; `across` the sidebar from its left."""
        return self._find(path, "ctrl+shift+c", across)

    def _find(self, wanted: str, keys: str, across: float) -> tuple[float, float]:
        """Blender tells nobody where its buttons are; but what is copied from under the mouse says which it is."""
        x, y, width, height = self.value(f"(lambda r: (r.x, r.y, r.width, r.height))({_SIDEBAR})")
        top = SCREEN[1] - y - height
        # What is pressed next is mostly near what was pressed last; and a panel may grow while it is looked through.
        rows = sorted((top + n * ROW for n in range(int(height / ROW))), key=lambda row: abs(row - self._last))
        rows = [self._known.get(wanted, rows[0]), *rows, *rows]
        for row in rows:
            place = x + across * width, row
            self.do("C.window_manager.clipboard = ''")
            self.move(*place)
            self.keys(keys)
            if self.value("C.window_manager.clipboard").startswith(wanted):
                self._known[wanted] = self._last = row
                return place
        raise AssertionError(f"{wanted!r} is not in the sidebar; see {self.shot('missing')}")

    # -- looking --

    def shot(self, name: str) -> Path:
        """The screen as it is when Blender has drawn it anew."""
        self.do("bpy.ops.wm.redraw_timer(type='DRAW_WIN_SWAP', iterations=1)")
        file = self.shots / f"{name}.png"
        subprocess.run(**self._inside("import", "-window", "root", str(file)), check=True, timeout=60, capture_output=True)
        return file

    def _hand(self, what: str, more: float = 0.0) -> None:
        if self._hands is None:
            self._hands = subprocess.Popen(**self._inside("xdotool", "-"), stdin=subprocess.PIPE, text=True)
        assert self._hands.stdin is not None
        self._hands.stdin.write(what + "\n")
        self._hands.stdin.flush()
        time.sleep(STEP_S + more)  # a hand's own time: X tells nobody when Blender has taken an event
        self.value("1")  # Blender has gone through its loop since

    def _inside(self, *command: str) -> dict[str, Any]:
        surroundings = _surroundings(self.folder, WINDOW_DISPLAY=self.display)
        return {"args": [str(TOOL), "exec", str(FOLDER), *command], "cwd": self.folder, "env": surroundings}
