"""The command line, in this process; what serves is in test_app."""

import os
import tomllib
from pathlib import Path

import pytest

from broker.__main__ import main
from broker.auth import digest
from broker.store import PutItem, PutRoom, RoomRow, Store
from protocol.model import Node


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("ALPHALOOM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))


def test_a_token_is_made_shown_once_listed_and_taken_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(tmp_path / "data")]
    assert main(["token", "add", "ada", "--role", "editor", *data]) == 0
    out, err = capsys.readouterr()
    secret = out.strip()
    assert secret.startswith("al_") and "ada" in err and secret not in err
    assert main(["token", "list", *data]) == 0
    out, _ = capsys.readouterr()
    assert "ada" in out and "editor" in out and secret not in out and digest(secret) not in out
    assert main(["token", "add", "ada", "--role", "viewer", *data]) == 1
    assert "token remove ada" in capsys.readouterr().err
    assert main(["token", "remove", "ada", *data]) == 0
    assert main(["token", "remove", "ada", *data]) == 1
    assert "'ada' has no token" in capsys.readouterr().err
    store = Store(tmp_path / "data")
    assert store.tokens() == []
    store.close()


def test_what_is_in_force_is_printed_as_toml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "4000", "--max-attempts", "5", "--database", "postgresql://u:hunter2@h/d"]) == 0
    out = capsys.readouterr().out
    assert tomllib.loads(out)["max_attempts"] == 5 and "# flag --max-attempts" in out
    assert "hunter2" not in out


@pytest.mark.parametrize("command", [[], ["config"], ["token", "list"], ["backup", "x"], ["restore", "x"]])
def test_a_setting_that_cannot_be_is_one_line_and_a_failure(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALPHALOOM_CACHE_MB", "-1")
    assert main(command) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "cache_mb" in err and "-1" in err and "environment ALPHALOOM_CACHE_MB" in err


def test_a_backup_is_restored_into_an_empty_folder_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, file = tmp_path / "first", tmp_path / "second", str(tmp_path / "backup.zip")
    store = Store(first)
    store.write([PutRoom(RoomRow("attic", "The attic"))])
    picture = store.blobs.put(b"picture")
    store.write([PutItem("attic", Node("a", picture=picture))])
    store.close()
    assert main(["backup", file, "--data", str(first)]) == 0
    assert main(["restore", file, "--data", str(second)]) == 0
    assert str(second) in capsys.readouterr().out
    store = Store(second)
    (room,) = store.load().rooms
    assert room.row.title == "The attic" and store.blobs.get(room.nodes[0].item.picture) == b"picture"
    store.close()
    assert main(["restore", file, "--data", str(second)]) == 1
    assert "already" in capsys.readouterr().err
    assert main(["restore", str(tmp_path / "none"), "--data", str(tmp_path / "third")]) == 1
    out, err = capsys.readouterr()
    assert "none" in err and err.count("\n") == 1 and not out


def test_on_another_address_nothing_listens_without_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["0", "--host", "0.0.0.0", "--no-eeg", "--data", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "python -m broker token add" in err and err.count("\n") == 1 and "ws://" not in out


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0 and all(
        f"python -m broker {name}" in out for name in ("token add", "config", "backup", "restore")
    )


def test_a_mistyped_command_is_told_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["confg"]) == 1
    err = capsys.readouterr().err
    assert "'confg'" in err and "backup" in err and err.count("\n") == 1


def test_a_backup_of_nothing_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", str(tmp_path / "all.zip"), "--data", str(tmp_path / "mistyped")]) == 1
    assert "mistyped" in capsys.readouterr().err and not (tmp_path / "mistyped").exists()


def test_the_port_may_be_given_as_any_other_setting(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["4321"], ["--port", "4321"]):
        assert main(["config", *arguments]) == 0
        assert tomllib.loads(capsys.readouterr().out)["port"] == 4321
