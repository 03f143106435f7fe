"""Values as the JSON text that is stored, and back.

pydantic does it in Rust, five times as fast as protocol.wire. What it refuses though it came in rightly (half a
surrogate pair in a prompt) goes the slow way.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from protocol import wire
from protocol.model import Change, Job, Link, Node, Operation, Rule

log = logging.getLogger("broker")

_KINDS: tuple[Any, ...] = (Node, Link, Job, Operation, tuple[Change, ...], tuple[Rule, ...])
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in _KINDS}
_FACTS: dict[str, Any] = {"patch": tuple[Rule, ...]}
_BLOB = re.compile(r'"([0-9a-f]{64})"')
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_PROBLEMS = (KeyError, TypeError, ValueError, AttributeError)


def dump(kind: Any, value: Any) -> str:
    try:
        return _ADAPTERS[kind].dump_json(value).decode()
    except PydanticSerializationError:
        return json.dumps(wire.plain(value))


def build(kind: Any, body: str) -> Any:
    """Raises pydantic's ValidationError, a ValueError, for what is none."""
    try:
        return _ADAPTERS[kind].validate_json(body)
    except ValidationError as problem:
        try:
            return _ADAPTERS[kind].validate_python(wire.plain(wire.build(kind, json.loads(body))))
        except _PROBLEMS:
            raise problem from None


def read(kind: Any, body: str, name: str) -> Any:
    """None, with a warning, for what an older version wrote and this one cannot read."""
    try:
        return build(kind, body)
    except _PROBLEMS as problem:
        log.warning("%s was stored by an older version and is left out: %s", name, _short(problem))
        return None


def read_job(row: Any) -> Job | None:
    """A job without those parts that an older version wrote and this one cannot read."""
    try:
        job: Job = build(Job, row.body)
        return job
    except _PROBLEMS as problem:
        log.warning("job %s: what an older version stored with it is left out: %s", row.id, _short(problem))
    try:
        fields = json.loads(row.body)
    except ValueError:
        fields = {}
    kept = {name: getattr(row, name) for name in ("id", "room", "node", "person", "state", "live", "created", "ended")}
    for name in ("attempt", "priority", "cached", "picture", "error", "request", "resolved", "modulation"):
        if name in fields and _fits(kept | {name: fields[name]}):
            kept[name] = fields[name]
    return read(Job, json.dumps(kept), f"job {row.id}")


def _fits(fields: dict[str, Any]) -> bool:
    try:
        build(Job, json.dumps(fields))
    except _PROBLEMS:
        return False
    return True


def dump_fact(value: Any) -> str:
    return json.dumps(wire.plain(value))


def read_fact(name: str, value: str) -> Any:
    """None for an older version's."""
    return read(_FACTS[name], value, f"the {name}") if name in _FACTS else json.loads(value)


def blobs(*bodies: str) -> set[str]:
    """Every blob that is spoken of, whatever the shape."""
    return {name for body in bodies for name in _BLOB.findall(body)}


def text(value: str) -> str:
    """A text for a column of its own: PostgreSQL takes no NUL there, and neither takes half a surrogate pair."""
    return _UNSTORABLE.sub("\ufffd", value)


def _short(problem: Exception) -> str:
    """Without what was stored: prompts are nobody's to read in a log."""
    if isinstance(problem, ValidationError):
        errors = problem.errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['type']}" for error in errors[:3])[:200]
    return type(problem).__name__
