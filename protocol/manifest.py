"""Which models there are, and where from: what a `models.toml` says, and what the broker serves at /v1/models. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import urlsplit

from .errors import AlphaloomError
from .model import TILINGS, Tiling

Kind = Literal["model", "lora", "controlnet"]
Origin = Literal["embedded", "hub", "url", "folder", "elsewhere"]
KINDS: tuple[Kind, ...] = ("model", "lora", "controlnet")
FAMILIES = ("", "tiny", "sd1", "sd2", "sdxl")
"""Architectures; a LoRA or a ControlNet fits models of its own. Empty: not known."""
EMBEDDED = "embedded"
"""The source of what comes with the edge."""
SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".model"})
"""Of the files that are ever taken: weights that hold no code, configurations, vocabularies."""

MAX_ENTRIES = 1000
MAX_FILES = 500
MAX_BYTES = 1 << 20
"""Of a manifest."""
MAX_SIZE = 1 << 40
"""Of a model in bytes."""

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?"
_ID = re.compile(rf"{_PART}(?:/{_PART})?")
_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._+ -]{0,120}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_VARIANT = re.compile(r"[a-z0-9_]{0,20}")


@dataclass(frozen=True)
class File:
    """One file of a model. What is not known of it is empty or 0."""

    path: str
    sha256: str = ""
    size: int = 0
    """Bytes."""


@dataclass(frozen=True)
class Defaults:
    """How a model is best used; 0 steps or a side of 0: not known."""

    steps: int = 0
    guidance: float = -1.0
    """0: the model was distilled without guidance, and is used without, whatever is asked; negative: not known."""
    side: int = 0
    """Pixels."""
    tiling: Tiling = ""
    """As a request's: a model that learnt from seamless pictures makes them unless it is told otherwise."""


@dataclass(frozen=True)
class Entry:
    """A model, LoRA or ControlNet, by the id that requests call it.

    `source` is ORG/NAME on the hub, a URL that each file's path is joined to, a folder, `embedded`, or empty for a folder
    that the broker knows and does not tell.
    """

    id: str
    source: str
    kind: Kind = "model"
    family: str = ""
    licence: str = ""
    size: int = 0
    """About how many bytes there are to download; 0: not known."""
    revision: str = ""
    """Of a hub source: a branch, tag or commit; a commit pins it. Empty: the newest."""
    variant: str = ""
    """Of a hub source: the weights to take where there are several, as `fp16`."""
    files: tuple[File, ...] = ()
    """All that belong to it. A URL source needs them, with sha256 and size; of a hub source they are chosen without."""
    defaults: Defaults = field(default_factory=Defaults)

    @property
    def origin(self) -> Origin:
        return origin_of(self.source)


def origin_of(source: str) -> Origin:
    if source == EMBEDDED:
        return "embedded"
    if not source:
        return "elsewhere"
    if "://" in source:
        return "url"
    if source.startswith((".", "/", "~", "\\")) or _DRIVE.match(source) or not is_id(source) or "/" not in source:
        return "folder"
    return "hub"


def is_id(text: str) -> bool:
    """Letters, digits, '.', '_' and '-', at most one '/' between: never a path out of anywhere."""
    return bool(_ID.fullmatch(text)) and ".." not in text


def check_path(path: str) -> str:
    """A file's path within its model, as it is. Raises AlphaloomError `bad_path` for one that leads anywhere else."""
    parts = path.split("/")
    if not (1 <= len(parts) <= 4 and all(_FILE.fullmatch(part) and part[-1] not in ". " for part in parts)):
        raise AlphaloomError("bad_path", f"{path[:200]!r} is no file's path within a model.", path=path[:200])
    if PurePosixPath(path).suffix not in SUFFIXES:
        raise AlphaloomError(
            "bad_path", f"{path[:200]!r} is of no kind that is ever taken ({', '.join(sorted(SUFFIXES))}).", path=path[:200]
        )
    return path


def load(file: Path) -> tuple[Entry, ...]:
    """A manifest from a TOML file; relative folders in it are the file's neighbours. Raises AlphaloomError `bad_manifest`."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise _bad(f"{str(file)!r} has more than {MAX_BYTES} bytes.")
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise _bad(f"Cannot read the models in {str(file)!r}: {problem.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise _bad(f"{str(file)!r} is no TOML file: {problem}.") from None
    if unknown := set(data) - {"model"}:
        raise _bad(f"{str(file)!r} has {sorted(unknown)[0]!r}; a manifest has [[model]] tables only.")
    return tuple(_beside(entry, file.parent) for entry in parse(data.get("model", [])))


def parse(values: Any) -> tuple[Entry, ...]:
    """A manifest from its entries as plain values (of TOML or JSON). Raises AlphaloomError `bad_manifest`."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes) or len(values) > MAX_ENTRIES:
        raise _bad(f"A manifest is a list of at most {MAX_ENTRIES} models.")
    entries = tuple(map(_entry, values))
    seen: set[str] = set()
    for entry in entries:
        # Where upper and lower case are one, as on most desktops, they would share a folder.
        if entry.id.casefold() in seen:
            raise _bad(f"Two models are called {entry.id!r}.", id=entry.id)
        seen.add(entry.id.casefold())
    return entries


def served(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """What others may know: where a folder is stays here."""
    return tuple(replace(entry, source="") if entry.origin == "folder" else entry for entry in entries)


def plain(entry: Entry) -> dict[str, Any]:
    """What `parse` takes."""
    return asdict(entry)


def _beside(entry: Entry, folder: Path) -> Entry:
    if entry.origin != "folder":
        return entry
    return replace(entry, source=str(folder.resolve() / Path(entry.source).expanduser()))


def _entry(value: Any) -> Entry:
    made: Entry = _made(Entry, value, "A model")
    name = made.id[:80]
    if not is_id(made.id):
        raise _bad(f"{name!r} is no model's id: use letters, digits, '.', '_' and '-', with one '/' at most.", id=name)
    if made.kind not in KINDS:
        raise _bad(f"{name!r} is of kind {made.kind!r}; use one of {', '.join(KINDS)}.", id=name)
    if made.family not in FAMILIES:
        raise _bad(f"{name!r} is of family {made.family!r}; use one of {', '.join(filter(None, FAMILIES))}.", id=name)
    if not 0 <= made.size <= MAX_SIZE:
        raise _bad(f"{name!r} has a size of {made.size} bytes.", id=name)
    if made.revision and (not _REVISION.fullmatch(made.revision) or ".." in made.revision):
        raise _bad(f"{name!r} has the revision {made.revision!r}: use a branch, a tag or a commit.", id=name)
    if not _VARIANT.fullmatch(made.variant):
        raise _bad(f"{name!r} has the variant {made.variant!r}: use one as 'fp16'.", id=name)
    made = replace(made, defaults=_defaults(made.defaults, name), files=_files(made.files, name))
    if made.origin == "url":
        _check_url(made)
    return made


def _defaults(value: Any, name: str) -> Defaults:
    made = value if isinstance(value, Defaults) else _made(Defaults, value, f"The defaults of {name!r}")
    if not (0 <= made.steps <= 150 and -1 <= made.guidance <= 30 and 0 <= made.side <= 4096 and made.tiling in TILINGS):
        raise _bad(f"The defaults of {name!r} are absurd: {made}.", id=name)
    return made


def _files(values: Any, name: str) -> tuple[File, ...]:
    if not isinstance(values, list | tuple) or len(values) > MAX_FILES:
        raise _bad(f"The files of {name!r} are no list of at most {MAX_FILES}.", id=name)
    made = tuple(_file(value, name) for value in values)
    if len({file.path.casefold() for file in made}) != len(made):
        raise _bad(f"The files of {name!r} name one twice.", id=name)
    return made


def _file(value: Any, name: str) -> File:
    made: File = _made(File, value, f"A file of {name!r}")
    check_path(made.path)
    if made.sha256 and not _SHA256.fullmatch(made.sha256):
        raise _bad(f"{made.path!r} of {name!r} has the sha256 {made.sha256[:80]!r}; it is 64 hexadecimal digits.", id=name)
    if not 0 <= made.size <= MAX_SIZE:
        raise _bad(f"{made.path!r} of {name!r} has a size of {made.size} bytes.", id=name)
    return made


def _check_url(entry: Entry) -> None:
    try:
        parts = urlsplit(entry.source)
        usable = parts.scheme in ("http", "https") and parts.hostname and not parts.username and not parts.query
        parts.port  # noqa: B018 - a wrong one is only found when it is asked for
    except ValueError:
        usable = False
    if not usable or not entry.source.endswith("/") or "#" in entry.source:
        raise _bad(f"{entry.id!r} is at {entry.source[:200]!r}; write https://HOST/FOLDER/ of its files.", id=entry.id)
    if not entry.files or not all(file.sha256 and file.size for file in entry.files):
        raise _bad(f"{entry.id!r} comes from a URL: say its files, each with path, sha256 and size.", id=entry.id)


def _made(kind: type[Any], value: Any, what: str) -> Any:
    """A dataclass of a mapping whose values have the types of its fields' defaults."""
    if not isinstance(value, Mapping):
        raise _bad(f"{what} is {str(value)[:80]!r}, no table.")
    known = {each.name: each for each in fields(kind)}
    if unknown := [name for name in value if name not in known]:
        raise _bad(f"{what} has {str(unknown[0])[:80]!r}; what can be said is {', '.join(known)}.")
    for name in ("id", "source", "path"):
        if name in known and not isinstance(value.get(name), str):
            raise _bad(f"{what} has no {name}: {str(dict(value))[:200]}.")
    given = dict(value)
    for name, each in known.items():
        wanted = type(each.default)
        if name not in given or wanted not in (int, float, str):
            continue
        if wanted is float and type(given[name]) is int:
            given[name] = float(given[name])
        if type(given[name]) is not wanted or (wanted is str and (len(given[name]) > 2000 or not given[name].isprintable())):
            raise _bad(f"{what}: {name} is {str(given[name])[:80]!r}; it must be a {_NAMES[wanted]}.")
    return kind(**given)


_NAMES = {int: "whole number", float: "number", str: "text of one line"}


def _bad(message: str, **detail: Any) -> AlphaloomError:
    return AlphaloomError("bad_manifest", message, **detail)
