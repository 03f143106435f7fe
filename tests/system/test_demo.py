"""The README's first command, as a stranger types it."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import environments
import numpy as np
import processes
import pytest
from conftest import ROOT
from PIL import Image

pytestmark = pytest.mark.skipif(not environments.blender_lines(), reason="no Python 3.13 or 3.11 for Blender's module")
NODES = {"ocean", "fire", "dusk", "lagoon", "lava", "reef", "moss"}


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys._base_executable, "scripts/demo.py", *map(str, arguments)]  # type: ignore[attr-defined]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def inspect(verb: str, blend: Path) -> dict[str, Any]:
    command = [environments.blender_python(), "-m", "tests.system.inspect_blend", verb, blend]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    report = [line for line in done.stdout.splitlines() if line.startswith("REPORT ")]
    assert report, done.stdout + done.stderr
    return json.loads(report[0].removeprefix("REPORT "))


@pytest.fixture(scope="module")
def relaxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("relaxed")
    done = demo("--eeg", "relaxed", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def aroused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The demo in an artist's file, and what that file was before."""
    out = tmp_path_factory.mktemp("aroused")
    before = inspect("make", out / "artist.blend")
    done = demo("--eeg", "aroused", "--blend", out / "artist.blend", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, before


def test_it_leaves_a_lit_render_a_blend_and_the_session(relaxed: Path) -> None:
    picture = np.asarray(Image.open(relaxed / "mindmap.png").convert("RGB"), float)
    assert picture.shape == (900, 1600, 3)
    assert picture.std() > 20 and 10 < picture.mean() < 200
    session = json.loads((relaxed / "session.json").read_text())
    assert {p["node"] for p in session["pictures"]} == NODES


def test_the_session_says_which_feature_moved_which_parameter(relaxed: Path) -> None:
    pictures = {p["node"]: p for p in json.loads((relaxed / "session.json").read_text())["pictures"]}
    for picture in pictures.values():
        assert len(picture["modulation"]["streams"]) == 1 and not picture["modulation"]["sham"]
        moves = {m["target"]: m for m in picture["modulation"]["moves"]}
        assert {m["feature"] for m in moves.values()} <= {"alpha", "engage"}
        assert 0 < moves["turbulent/calm"]["value"] < 1 and moves["turbulent/calm"]["after"] > 0
        assert picture["resolved"]["model"] == "texture-tiny" and picture["resolved"]["steps"]
    assert "blend" in {m["target"] for m in pictures["dusk"]["modulation"]["moves"]}
    assert "strength" in {m["target"] for m in pictures["reef"]["modulation"]["moves"]}
    assert pictures["moss"]["resolved"]["task"] == "inpaint" and pictures["moss"]["resolved"]["mask"]


def test_the_blend_shows_every_picture_when_it_is_opened_again(relaxed: Path) -> None:
    report = inspect("open", relaxed / "mindmap.blend")
    assert set(report["pictures"]) == NODES
    for picture in report["pictures"].values():
        assert picture["packed"] and picture["shown"] and picture["size"] == [256, 256]
        assert max(picture["mean"]) > 0.05 and picture["spread"] > 0.2


def test_an_artists_objects_and_settings_stay_as_they_were(aroused: tuple[Path, dict[str, Any]]) -> None:
    out, before = aroused
    after = inspect("open", out / "mindmap.blend")
    assert before["objects"] and after["objects"] == before["objects"]
    assert after["render"] == before["render"]
    assert after["cards"] == len(NODES)


def test_relaxed_and_aroused_give_visibly_different_pictures(relaxed: Path, aroused: tuple[Path, dict[str, Any]]) -> None:
    one, other = (np.asarray(Image.open(folder / "mindmap.png").convert("RGB"), float) for folder in (relaxed, aroused[0]))
    assert np.abs(one - other).mean() > 3
    means = [inspect("open", folder / "mindmap.blend")["pictures"] for folder in (relaxed, aroused[0])]
    different = [n for n in NODES if np.abs(np.subtract(means[0][n]["mean"], means[1][n]["mean"])).max() > 0.02]
    assert len(different) >= 5, means


def test_an_unreadable_recording_is_one_line_and_a_failure(tmp_path: Path) -> None:
    done = demo("--recording", tmp_path / "nowhere.edf", "--out", tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "nowhere.edf" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_busy_port_is_gone_round_and_ctrl_c_ends_every_child(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # whoever has it already makes it just as busy
            stack.enter_context(socket.create_server(("127.0.0.1", 4444)))
        _serve_and_interrupt(tmp_path)


def _serve_and_interrupt(tmp_path: Path) -> None:
    command = [sys._base_executable, "scripts/demo.py", "--serve", "--out", str(tmp_path)]  # type: ignore[attr-defined]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        lines.append(line)
        if "running" in line:
            break
    assert any("port 4444 is busy" in line for line in lines)
    broker = next(word for line in lines for word in line.split() if word.startswith("ws://"))
    assert processes.get(broker.replace("ws:", "http:") + "/health")["edges"] == 1
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 0
    assert processes.get(broker.replace("ws:", "http:") + "/health") is None
    # Whoever still ran would hold its log's folder as its own command line's argument.
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert broker not in running and str(tmp_path) not in running
