import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def signals(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "signals", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_an_unreadable_recording_is_one_line_and_a_failure() -> None:
    done = signals("replay", "nowhere.edf")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "nowhere.edf" in done.stderr


def test_no_stream_is_one_line_and_a_failure() -> None:
    done = signals("view", "--name", "no-such-stream", "--timeout", "0.2")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "no-such-stream" in done.stderr


def test_a_bad_speed_is_refused() -> None:
    done = signals("replay", "x.edf", "--speed", "-1")
    assert done.returncode == 2 and "not a positive number" in done.stderr
