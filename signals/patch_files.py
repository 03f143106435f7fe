"""Patches as TOML: read, checked, written. The presets are the files in `signals/patches`."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.errors import AlphaloomError
from protocol.model import Performer, Rule

from .patch import LIMITS, kind

FOLDER = Path(__file__).resolve().parent / "patches"
DEFAULT = "drift"
MAX_RULES = 64
MAX_BYTES = 64 * 1024
MAX_TARGET = 200

REGIONS = ("frontal", "central", "temporal", "parietal", "occipital")
BANDS = ("delta", "theta", "alpha", "beta", "gamma")
FEATURES = (
    *BANDS, *(f"log_{band}" for band in BANDS),
    "calm", "engage", "asymmetry", "exponent", "complexity", "emg", "synchrony",
)  # fmt: skip
"""What a rule's feature may be called, up to its first dot; a region or channels follow: `log_alpha.frontal`."""

RANGES: dict[str, tuple[float, float]] = {
    "amount": (-10.0, 10.0),
    "performer": (1, 8),
    "gain": (0.01, 20.0),
    "deadband": (0.0, 0.9),
    "cutoff": (0.01, 10.0),
    "beta": (0.0, 10.0),
    # Even at full swing nothing comes and goes more than once a second: no picture may flash (WCAG 2.3.1).
    "slew": (0.01, 2.0),
    "dwell": (1.0, 600.0),
}
MAX_SEEDS = 1000
_FIELDS = {f.name: f for f in dataclasses.fields(Rule)}
_NEEDED = ("feature", "target", "amount")
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text in quotes"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
}


@dataclass(frozen=True)
class Patch:
    name: str
    description: str
    rules: tuple[Rule, ...]


def presets() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def load(which: str) -> Patch:
    """A preset by its name, or a file. Raises AlphaloomError `bad_patch`."""
    return parse(read(path(which)), which)


def path(which: str) -> Path:
    """Where a preset or a file is. A name without a suffix is a preset's. Raises AlphaloomError `bad_patch`."""
    if which in presets():
        return FOLDER / f"{which}.toml"
    if not Path(which).is_file():
        raise AlphaloomError(
            "bad_patch", f"No patch is called {which!r}: give one of {', '.join(presets())}, or a TOML file.", source=which
        )
    return Path(which)


def read(file: Path) -> str:
    """A patch file's text. Raises AlphaloomError `bad_patch`."""
    try:
        with open(file, "rb") as opened:
            return text(opened.read(MAX_BYTES + 1), str(file))
    except OSError as problem:
        reason = problem.strerror
        raise AlphaloomError("bad_patch", f"Cannot read the patch {str(file)!r}: {reason}.", source=str(file)) from None


def text(data: bytes, source: str) -> str:
    """What was sent or read, as text. Raises AlphaloomError `bad_patch`."""
    if len(data) > MAX_BYTES:
        raise AlphaloomError("bad_patch", f"{source}: a patch has {MAX_BYTES} bytes at most.", source=source)
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as problem:
        raise AlphaloomError("bad_patch", f"{source}: not UTF-8 text: {problem.reason}.", source=source) from None


def parse(toml: str, source: str) -> Patch:
    """A patch from TOML; `source` is what errors call it. Raises AlphaloomError `bad_patch`."""
    try:
        found = tomllib.loads(toml)
    except (ValueError, RecursionError) as problem:
        raise AlphaloomError("bad_patch", f"{source}: not TOML: {problem}.", source=source) from None
    _known(found, ("name", "description", "rule"), source, None)
    for field in ("name", "description"):
        value = found.setdefault(field, "")
        if not isinstance(value, str):
            raise _bad(source, None, field, value, "write a text in quotes")
    if not found["name"].strip():
        raise _bad(source, None, "name", found["name"], "give the patch a name")
    tables = found.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _bad(source, None, "rule", tables, "write each rule under a line [[rule]]")
    rules = tuple(_rule(table, source, number) for number, table in enumerate(tables, 1))
    check(rules, source)
    return Patch(found["name"].strip(), found["description"].strip(), rules)


def check(rules: Sequence[Rule], source: str = "patch") -> None:
    """Raise AlphaloomError `bad_patch` for the first rule that cannot work; `detail` has its number, field and value."""
    if len(rules) > MAX_RULES:
        raise AlphaloomError("bad_patch", f"{source}: {len(rules)} rules; the most is {MAX_RULES}.", source=source)
    seen: dict[tuple[int, str, str], int] = {}
    for number, rule in enumerate(rules, 1):
        if rule.feature.split(".")[0] not in FEATURES:
            near = difflib.get_close_matches(rule.feature, FEATURES, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise _bad(source, number, "feature", rule.feature, f"{hint}Features: {', '.join(FEATURES)}")
        if wrong := _wrong_part(rule.feature):
            raise _bad(source, number, "feature", rule.feature, wrong)
        if len(rule.target) > MAX_TARGET or not rule.target.isprintable() or kind(rule.target) is None:
            allowed = f"{', '.join(LIMITS)}, seed, a scale of words like 'cold/warm', or a phrase of the prompt like '(moss)'"
            raise _bad(source, number, "target", rule.target, f"use {allowed}")
        for field, (low, high) in RANGES.items():
            value = getattr(rule, field)
            if rule.target == "seed" and field == "amount":
                if value == 0 or not abs(value) <= MAX_SEEDS or value != round(value):
                    raise _bad(source, number, field, value, f"a seed moves by a whole number from 1 to {MAX_SEEDS}, or back")
            elif not low <= value <= high:  # nor is what is no number
                raise _bad(source, number, field, value, f"it must be from {low:g} to {high:g}")
        cable = (rule.performer, rule.feature, rule.target)
        if cable in seen:
            raise _bad(source, number, "target", rule.target, f"rule {seen[cable]} moves it by {rule.feature!r} already")
        seen[cable] = number


def _wrong_part(feature: str) -> str:
    """What is wrong behind a feature's first dot; nothing if nothing is."""
    base, dot, part = feature.partition(".")
    if base == "asymmetry":
        return "" if len(part.split("/")) == 2 and all(part.split("/")) else "name its two channels, as asymmetry.AF8/AF7"
    if not dot:
        return ""
    if base.removeprefix("log_") not in BANDS:
        return f"{base!r} is not given by region"
    near = difflib.get_close_matches(part, REGIONS, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return "" if part in REGIONS else f"{hint}Regions: {', '.join(REGIONS)}"


def warnings(rules: Sequence[Rule], performers: Mapping[int, Performer]) -> list[str]:
    """What in a patch will not move with these performers, and why."""
    said = []
    for number, rule in enumerate(rules, 1):
        performer = performers.get(rule.performer)
        reason = performer and _lacks(performer, rule.feature)
        if performer and reason:
            said.append(f"Rule {number} is idle: {performer.stream!r} cannot give {rule.feature!r}: {reason}.")
    return said


def _lacks(performer: Performer, feature: str) -> str:
    base, _, part = feature.partition(".")
    reason = performer.missing.get(feature) or performer.missing.get(base)
    if reason or not part:
        return reason or ""
    if base == "asymmetry":
        absent = [name for name in part.split("/") if name not in performer.channels]
        return f"it has no channel {', '.join(absent)}" if absent else ""
    return "" if part in performer.channels.values() else f"it has no {part} channel"


def dump(patch: Patch) -> str:
    """A patch as TOML that `parse` reads; fields at their default are left out."""
    lines = [f"name = {_toml(patch.name)}", f"description = {_toml(patch.description)}"]
    for rule in patch.rules:
        shown = [name for name, f in _FIELDS.items() if name in _NEEDED or getattr(rule, name) != f.default]
        lines += ["", "[[rule]]", *(f"{name} = {_toml(getattr(rule, name))}" for name in shown)]
    return "\n".join(lines) + "\n"


def named(rules: tuple[Rule, ...]) -> Patch:
    """Rules that came without a name: the preset that has the same, or `custom`."""
    for name in presets():
        preset = load(name)
        if preset.rules == rules:
            return preset
    return Patch("custom", "", rules)


def _rule(table: dict[str, Any], source: str, number: int) -> Rule:
    _known(table, tuple(_FIELDS), source, number)
    for field in _NEEDED:
        if field not in table:
            raise AlphaloomError(
                "bad_patch", f"{source}: rule {number} has no {field!r}: each needs {', '.join(_NEEDED)}.",
                source=source, rule=number, field=field,
            )  # fmt: skip
    values: dict[str, Any] = {}
    for field, value in table.items():
        types, what = _TYPES[str(_FIELDS[field].type)]
        if isinstance(value, bool) or not isinstance(value, types):
            raise _bad(source, number, field, value, f"write {what}")
        try:
            values[field] = float(table[field]) if float in types else value
        except OverflowError:
            raise _bad(source, number, field, value, "it is too large") from None
    return Rule(**values)


def _known(table: Mapping[str, Any], known: Sequence[str], source: str, number: int | None) -> None:
    for field in table:
        if field not in known:
            raise _bad(source, number, field, table[field], f"no such field. Fields: {', '.join(known)}")


def _bad(source: str, number: int | None, field: str, value: Any, allowed: str) -> AlphaloomError:
    shown = value if isinstance(value, str | int | float) and len(str(value)) <= 80 else f"{str(value)[:80]} ..."
    where = f"{source}: rule {number}: " if number else f"{source}: "
    return AlphaloomError(
        "bad_patch", f"{where}{field} is {shown!r}: {allowed}.", source=source, rule=number, field=field, value=str(shown)
    )


def _toml(value: str | float) -> str:
    # JSON's strings are TOML's, but for this one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)
