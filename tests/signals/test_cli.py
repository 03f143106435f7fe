import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from signals.baseline import Baseline

ROOT = Path(__file__).parents[2]


def signals(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "signals", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("replay", "nowhere.edf"), "nowhere.edf"),
        (("view", "--name", "no-such-stream", "--timeout", "0.2"), "no-such-stream"),
        (("record", "--name", "no-such-stream", "--timeout", "0.2", "--out", "{folder}"), "no-such-stream"),
        (("record", "--name", "x", "--timeout", "0.2", "--out", "{folder}/used"), "already"),
        (("record", "--name", "x", "--timeout", "0.2", "--out", "{folder}/file"), "Cannot record"),
        (("view", "--baseline", "{folder}/none.json"), "none.json"),
        (("synth", "--schedule", "relaxed:20,dancing:3"), "dancing:3"),
        (("synth", "--channels", "TP9,Nose"), "Nose"),
        (("synth", "--rate", "3"), "3 Hz"),
        (("synth", "--unit", "bananas"), "bananas"),
        (("view", "--unit", "furlongs"), "furlongs"),
        (("baseline", "--out", "{folder}/none/me.json"), "no folder"),
        (("baseline", "--out", "{folder}/file"), "already"),
        (("baseline", "--name", "no-such-stream", "--timeout", "0.2", "--out", "{folder}/me.json"), "no-such-stream"),
    ],
)
def test_what_cannot_be_done_is_one_line_that_names_it_and_a_failure(
    arguments: tuple[str, ...], named: str, tmp_path: Path
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "session.json").write_text("{}")
    (tmp_path / "file").write_text("")
    done = signals(*(a.replace("{folder}", str(tmp_path)) for a in arguments))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and named in done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("replay", "x.edf", "--speed", "-1"), "not a positive number"),
        (("replay", "x.edf", "--speed", "fast"), "fast"),
        (("synth", "--seed", "-1"), "not a whole number"),
        (("synth", "--state", "jaw", "--schedule", "jaw:1"), "not allowed with"),
        (("record",), "--out"),
        (("synth", "--name", ""), "empty"),
        (("synth", "--rate", "abc"), "'abc' is not a positive number"),
    ],
)
def test_a_wrong_option_is_refused(arguments: tuple[str, ...], named: str) -> None:
    done = signals(*arguments)
    assert done.returncode == 2 and named in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that can be caught")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_synth_ends_quietly_when_it_is_told_to(number: int, programs, stream_name: str) -> None:
    child = programs.start("synth", [sys.executable, "-m", "signals", "synth", "--name", stream_name])
    programs.await_line("synth", stream_name, 60)
    child.send_signal(number)
    assert child.wait(30) == 0
    assert (programs.logs / "synth.log").read_text().count("\n") == 1


def test_the_view_writes_plain_lines_into_a_pipe(programs, stream_name: str) -> None:
    programs.synth(stream_name, "--state", "blinks")
    programs.start("view", [sys.executable, "-m", "signals", "view", "--name", stream_name])
    line = programs.await_line("view", "alpha ", 60)
    assert stream_name in line and "TP10" in line
    programs.await_line("view", "blink", 60)
    programs.end("view")
    assert "\x1b" not in (programs.logs / "view.log").read_text()


def test_the_view_ends_by_itself(programs, stream_name: str) -> None:
    programs.synth(stream_name)
    done = signals("view", "--name", stream_name, "--seconds", "0.5")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout


def test_a_stream_without_a_unit_is_refused_with_the_way_to_state_it(programs, stream_name: str, tmp_path: Path) -> None:
    (tmp_path / "no_unit.py").write_text(
        "import numpy as np\nfrom signals.outlet import Outlet\nfrom signals.stream import StreamFormat\n"
        f"outlet = Outlet(StreamFormat({stream_name!r}, 100.0, ('Cz',), unit=''))\n"
        "print('there', flush=True)\n"
        "outlet.play((n / 100 + np.arange(10) / 100, np.random.randn(10, 1)) for n in range(0, 100000, 10))\n"
    )
    programs.start("outlet", [sys.executable, str(tmp_path / "no_unit.py")], {"PYTHONPATH": str(ROOT)})
    programs.await_line("outlet", "there", 60)
    refused = signals("view", "--name", stream_name, "--timeout", "3")
    assert refused.returncode == 1 and "--unit microvolts" in refused.stderr
    done = signals("record", "--name", stream_name, "--unit", "µV", "--out", str(tmp_path / "out"), "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "session.json").read_text())["files"][0]["unit"] == "µV"


def test_a_person_is_led_through_a_baseline(programs, stream_name: str, tmp_path: Path) -> None:
    programs.synth(stream_name, "--state", "relaxed")
    done = signals("baseline", "--name", stream_name, "--out", str(tmp_path / "me.json"), "--phase", "5")
    assert done.returncode == 0, done.stderr
    for words in ("Eyes open", "close your eyes", "% clean", "alpha peak at"):
        assert words in done.stdout
    assert Baseline.load(tmp_path / "me.json").alpha_peak == pytest.approx(10, abs=1)


def test_a_spoilt_baseline_is_one_line_and_no_file(programs, stream_name: str, tmp_path: Path) -> None:
    programs.synth(stream_name, "--schedule", "relaxed:3,jaw:60")
    done = signals("baseline", "--name", stream_name, "--out", str(tmp_path / "me.json"), "--phase", "5")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "clean" in done.stderr
    assert not (tmp_path / "me.json").exists()
