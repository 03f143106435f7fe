"""Where settings are read from: flags, before the environment, before a TOML file, before what they are by themselves."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from protocol.errors import AlphaloomError

from .settings import PREFIX, Settings, masked

DEFAULT_FILE = Path("~/.alphaloom/broker.toml")
_SECRET = "database"


@dataclass(frozen=True)
class Config:
    settings: Settings
    origins: Mapping[str, str]
    """Each setting's: `default`, or where it was read."""
    file: Path | None
    """None: no file was read."""


def add_flags(parser: argparse.ArgumentParser, only: tuple[str, ...] = ()) -> None:
    """A flag for each setting, or for those named; and --config. What is not given is not in the namespace."""
    groups: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        if name == "port" or (only and name not in only):
            continue
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        title = str(extra["group"])
        group = groups.setdefault(title, parser.add_argument_group(title))
        group.add_argument(_flag(name), **_kind(name, field, str(extra["metavar"])), dest=name, default=argparse.SUPPRESS)
    files = groups.get("where it stands", parser)
    files.add_argument(
        "--config", metavar="FILE", type=Path, help=f"a TOML file with settings (default {DEFAULT_FILE}, where there is one)"
    )


def add_port(parser: argparse.ArgumentParser) -> None:
    field = Settings.model_fields["port"]
    parser.add_argument("port", nargs="?", default=argparse.SUPPRESS, help=f"{field.description} (default {field.default})")
    parser.add_argument("--port", default=argparse.SUPPRESS, metavar="PORT", help="the same")


def load(flags: Mapping[str, Any], file: Path | None = None) -> Config:
    """Settings from everywhere.

    Raises AlphaloomError `bad_setting`, which names the setting, its value and where that stands, or `bad_config`.
    """
    file, data = _read(file)
    environment = EnvSettingsSource(Settings)()
    flags = {name: value for name, value in flags.items() if name in Settings.model_fields}
    values = {**data, **environment, **flags}
    origins = dict.fromkeys(Settings.model_fields, "default")
    origins |= dict.fromkeys(data, f"file {file}")
    origins |= {name: f"environment {PREFIX}{name.upper()}" for name in environment}
    origins |= {name: f"flag {_flag(name)}" for name in flags}
    try:
        return Config(Settings(**values), origins, file)
    except ValidationError as problem:
        raise _complaint(problem, origins) from None


def show(config: Config) -> str:
    """What is in force, as a TOML file that says where each line comes from."""
    lines = [f"# Read from the file {config.file}." if config.file else "# No file was read."]
    for name in Settings.model_fields:
        value = getattr(config.settings, name)
        origin = config.origins[name]
        if value is None:
            lines.append(f"# {name} is not set")
            continue
        if name == _SECRET and value:
            value = masked(value)
        lines.append(f"{name} = {_toml(value)}  # {origin}")
    return "\n".join(lines)


def _read(file: Path | None) -> tuple[Path | None, dict[str, Any]]:
    named = file or os.environ.get(f"{PREFIX}CONFIG")
    path = Path(named or DEFAULT_FILE).expanduser()
    if not named and not path.is_file():
        return None, {}
    try:
        with open(path, "rb"):  # the source below takes a file that is not there for an empty one
            pass
        source = TomlConfigSettingsSource(Settings, toml_file=path)
    except OSError as problem:
        raise AlphaloomError("bad_config", f"Cannot read the settings in {str(path)!r}: {problem.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise AlphaloomError("bad_config", f"{str(path)!r} is no TOML file: {problem}.") from None
    return path, source.toml_data


def _complaint(problem: ValidationError, origins: Mapping[str, str]) -> AlphaloomError:
    first = problem.errors(include_url=False)[0]
    name, value = str(first["loc"][0]), first["input"]
    origin = origins.get(name, "default")
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Settings.model_fields, 1)
        hint = f" Did you mean {near[0]}?" if near else " `python -m broker config` shows all that there are."
        return AlphaloomError("bad_setting", f"No setting is called {name} ({origin}).{hint}", setting=name, origin=origin)
    shown = "what is given" if name == _SECRET else repr(value)[:200]
    reason = str(first.get("ctx", {}).get("error", first["msg"])).rstrip(".")
    return AlphaloomError("bad_setting", f"{name} is {shown} ({origin}): {reason}.", setting=name, value=shown, origin=origin)


def _flag(name: str) -> str:
    return name if name == "port" else "--" + name.replace("_", "-")


def _kind(name: str, field: FieldInfo, metavar: str) -> dict[str, Any]:
    """What argparse needs to know. Values stay text: they are checked in one place, wherever they come from."""
    description = str(field.description)
    if field.annotation is bool:
        return {"action": argparse.BooleanOptionalAction, "help": description} if not name.startswith("no_") else {
            "action": "store_true", "help": description
        }  # fmt: skip
    if get_origin(field.annotation) is Literal and not metavar:
        metavar = "{" + ",".join(str(choice) for choice in get_args(field.annotation)) + "}"
    several = get_origin(field.annotation) is tuple
    if field.default not in (None, "", ()) and name != "mains":
        description += f" (default {field.default:g})" if isinstance(field.default, float) else f" (default {field.default})"
    elif several:
        description += " (may be given several times)"
    return {
        "metavar": metavar,
        "action": "append" if several else "store",
        "help": description.replace("%", "%%"),
    }


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    # JSON's strings are TOML's, but for this one character.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
