import argparse
import tomllib
from pathlib import Path
from typing import Any

import pytest

from broker import config
from broker.settings import Settings, is_loopback, masked
from protocol.errors import AlphaloomError


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ALPHALOOM_{name.upper()}", raising=False)
    monkeypatch.delenv("ALPHALOOM_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))


def loaded(*arguments: str) -> config.Config:
    parser = argparse.ArgumentParser()
    config.add_port(parser)
    config.add_flags(parser)
    options = vars(parser.parse_args(arguments))
    return config.load(options, options["config"])


def complaint(*arguments: str) -> AlphaloomError:
    with pytest.raises(AlphaloomError) as refused:
        loaded(*arguments)
    return refused.value


def test_with_nothing_set_all_are_defaults_that_only_this_machine_can_reach() -> None:
    found = loaded()
    assert set(found.origins.values()) == {"default"} and found.file is None
    assert found.settings == Settings() and found.settings.is_open


def test_flags_go_before_the_environment_before_the_file_before_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "b.toml"
    file.write_text("port = 1\nmax_connections = 1\nmax_attempts = 1\n")
    monkeypatch.setenv("ALPHALOOM_PORT", "2")
    monkeypatch.setenv("ALPHALOOM_MAX_CONNECTIONS", "2")
    found = loaded("3", "--config", str(file))
    settings, origins = found.settings, found.origins
    assert (settings.port, origins["port"]) == (3, "flag port")
    assert (settings.max_connections, origins["max_connections"]) == (2, "environment ALPHALOOM_MAX_CONNECTIONS")
    assert (settings.max_attempts, origins["max_attempts"]) == (1, f"file {file}")
    assert (settings.lease_s, origins["lease_s"]) == (15.0, "default")


def test_the_environment_may_name_the_file_and_the_home_folders_is_read_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home" / ".alphaloom" / "broker.toml"
    home.parent.mkdir(parents=True)
    home.write_text("port = 5")
    assert loaded().settings.port == 5
    other = tmp_path / "other.toml"
    other.write_text("port = 6")
    monkeypatch.setenv("ALPHALOOM_CONFIG", str(other))
    assert loaded().settings.port == 6
    assert loaded("--config", str(home)).settings.port == 5


def test_the_flags_that_there_always_were_mean_what_they_meant(tmp_path: Path) -> None:
    settings = loaded(
        *("0", "--data", str(tmp_path), "--patch", "storm", "--eeg", "a, b", "--eeg", "type=EEG", "--baseline", "x.json"),
        *("--baseline", "y.json", "--sham", "z.edf", "--mains", "50", "--unit", "microvolts", "--reference", "average"),
        *("--markers", "cues", "--no-eeg"),
    ).settings  # fmt: skip
    assert (settings.port, settings.data, settings.patch) == (0, tmp_path, "storm")
    assert settings.eeg == ("a, b", "type=EEG"), "a stream's name may have a comma in it"
    assert settings.baseline == (Path("x.json"), Path("y.json")) and settings.sham == Path("z.edf")
    assert (settings.mains, settings.unit, settings.reference) == (50, "microvolts", "average")
    assert settings.markers == ("cues",) and settings.no_eeg


@pytest.mark.parametrize(
    ("text", "values"),
    [("one", ("one",)), ("one, two", ("one", "two")), ('["one, two", "three"]', ("one, two", "three"))],
)
def test_the_environments_lists_are_parted_by_commas_or_json(
    monkeypatch: pytest.MonkeyPatch, text: str, values: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ALPHALOOM_EEG", text)
    assert loaded().settings.eeg == values


@pytest.mark.parametrize(
    ("arguments", "name", "words"),
    [
        (["70000"], "port", ["'70000'", "flag port", "65535"]),
        (["--max-connections", "0"], "max_connections", ["'0'", "flag --max-connections", "1"]),
        (["--lease-s", "nan"], "lease_s", ["nan", "flag --lease-s"]),
        (["--mains", "40"], "mains", ["40", "50"]),
        (["--reference", "left"], "reference", ["'left'", "average"]),
        (["--allowed-origins", "maps.example.org"], "allowed_origins", ["https://"]),
        (["--allowed-hosts", "maps.example.org:80"], "allowed_hosts", ["without a port"]),
        (["--trusted-proxies", "somewhere"], "trusted_proxies", ["somewhere"]),
        (["--host", "a b"], "host", ["127.0.0.1"]),
        (["--keyfile", "k.pem"], "keyfile", ["certfile"]),
    ],
)
def test_a_wrong_value_is_named_with_its_setting_and_where_it_stands(arguments: list[str], name: str, words: list[str]) -> None:
    error = complaint(*arguments)
    assert error.code == "bad_setting" and error.detail["setting"] == name
    assert error.message.startswith(f"{name} is ") and all(word in error.message for word in words), error.message


def test_a_wrong_value_in_the_environment_or_the_file_is_said_to_stand_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "b.toml"
    file.write_text('cache_hours = "long"\n')
    error = complaint("--config", str(file))
    assert "cache_hours is 'long'" in error.message and f"file {file}" in error.message
    monkeypatch.setenv("ALPHALOOM_CACHE_HOURS", "longer")
    error = complaint("--config", str(file))
    assert "'longer'" in error.message and "environment ALPHALOOM_CACHE_HOURS" in error.message


def test_an_unknown_setting_in_the_file_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    file = tmp_path / "b.toml"
    file.write_text("max_connection = 5\n")
    assert "max_connections?" in complaint("--config", str(file)).message


@pytest.mark.parametrize("content", [None, b"port = ", b"\xff\xfe"])
def test_a_file_that_was_named_and_cannot_be_read_is_said(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "b.toml"
    if content is not None:
        file.write_bytes(content)
    error = complaint("--config", str(file))
    assert error.code == "bad_config" and str(file) in error.message


def test_what_is_shown_is_toml_that_says_where_each_comes_from_and_can_be_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ALPHALOOM_MAX_ATTEMPTS", "5")
    found = loaded("--eeg", 'a "b" \\ \x7f ☃', "--cache-hours", "0.5", "--sham", "x.edf")
    text = config.show(found)
    assert "max_attempts = 5  # environment ALPHALOOM_MAX_ATTEMPTS" in text and "port = 4444  # default" in text
    assert "# certfile is not set" in text
    file = tmp_path / "again.toml"
    file.write_text(text, encoding="utf-8")
    monkeypatch.delenv("ALPHALOOM_MAX_ATTEMPTS")
    assert loaded("--config", str(file)).settings == found.settings
    assert set(tomllib.loads(text)) | {"certfile", "keyfile", "models", "patch"} == set(Settings.model_fields)


SECRET = "postgresql+psycopg://me:hunter2@db.example.org/maps?sslpassword=hunter2"


def test_a_databases_password_is_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert "hunter2" not in config.show(loaded("--database", SECRET)) and "db.example.org" in masked(SECRET)
    assert "hunter2" not in repr(Settings(database=SECRET)) and "hunter2" not in masked("hunter2")
    for wrong in ("oracle://me:hunter2@host/x", "hunter2"):
        error = complaint("--database", wrong)
        assert "hunter2" not in error.message and "hunter2" not in str(error.detail)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.8.0.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.5", False), ("broker", False)],
)  # fmt: skip
def test_loopback_is_this_machine_and_nothing_else_is(host: str, local: bool) -> None:
    assert is_loopback(host) is local and Settings(host=host).is_open is local


@pytest.mark.parametrize("more", [{"allowed_hosts": ("maps.example.org",)}, {"trusted_proxies": ("127.0.0.1",)}])
def test_behind_a_proxy_who_comes_from_this_machine_may_be_anybody(more: dict[str, Any]) -> None:
    assert not Settings(**more).is_open


def test_every_setting_has_a_description_and_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        loaded("--help")
    text = capsys.readouterr().out
    for name, field in Settings.model_fields.items():
        assert field.description and ("--" + name.replace("_", "-") in text or name == "port"), name


def test_what_is_set_in_code_does_not_listen_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHALOOM_PORT", "9")
    assert Settings().port == 4444
