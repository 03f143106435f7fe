import json
from pathlib import Path

import pytest

from addon import headless
from addon.core.shared import errors


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert headless.main(list(arguments)) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("headless:")]
    assert len(lines) == 1
    return lines[0]


@pytest.fixture
def a_map(tmp_path: Path) -> str:
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"nodes": [{"id": "n", "prompt": "red"}], "links": []}))
    return str(path)


def test_a_map_that_is_not_there_or_broken_is_one_line(tmp_path: Path, capsys) -> None:
    assert "nowhere.json" in failure(capsys, "nowhere.json", "--out", str(tmp_path))
    (tmp_path / "bad.json").write_text('{"nodes": [{"prompt": "no id"}], "links": []}')
    assert "bad.json" in failure(capsys, str(tmp_path / "bad.json"), "--out", str(tmp_path))


def test_a_map_with_an_impossible_node_says_which_value(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"nodes": [{"id": "n", "settings": {"width": 100}}], "links": []}))
    with pytest.raises(errors.AlphaloomError, match="width is 100"):
        headless.load(tmp_path / "m.json")


def test_no_broker_is_one_line(a_map: str, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(headless, "CONNECT_S", 0.5)
    assert "python -m broker" in failure(capsys, a_map, "--out", str(tmp_path), "--broker", "127.0.0.1:9")


def test_no_edge_is_one_line(online: str, a_map: str, tmp_path: Path, capsys) -> None:
    assert "python -m edge" in failure(capsys, a_map, "--out", str(tmp_path), "--broker", online, "--timeout", "1")


def test_no_eeg_is_one_line_with_what_the_broker_says(online: str, a_map: str, tmp_path: Path, capsys) -> None:
    line = failure(capsys, a_map, "--out", str(tmp_path), "--broker", online, "--eeg", "0.5")
    assert "No EEG" in line and "off" in line


def test_a_node_is_made_over_frames(making: str, a_map: str, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    asked = [a_map, "--out", str(out), "--broker", making, "--size", "64", "36", "--frames", "3", "5", "--node"]
    assert "No node 'k'" in failure(capsys, *asked, "k")
    assert headless.main([*asked, "n"]) == 0
    assert sorted(file.name for file in (out / "frames").iterdir()) == [f"n_000{frame}.png" for frame in (3, 4, 5)]
