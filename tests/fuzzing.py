"""Messages as nobody should send them: strategies made from the dataclasses of protocol.messages."""

from __future__ import annotations

import dataclasses
import json
import struct
import types
import typing
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from picture_files import jpeg, png

from protocol import VERSION, wire
from protocol import messages as m
from protocol.model import TASKS, Change, ItemKind, Link, Node, Phrase, ResolvedRequest, Rule, Settings, Verb, new_id

Frame = str | bytes

IDS = tuple(f"{kind}{n}" for kind in "nlj" for n in range(6))
"""Few, so that what is done hits what is there."""
NASTY_TEXTS = (
    "",
    "\x00",
    "\ud800",
    "a\udfffb",
    "\U0010ffff",
    "../../etc/passwd",
    "main",
    "%s{0}",
    "'; DROP TABLE jobs; --",
    "x" * 5000,
    "é" * 65,
    "(((((",
    "0" * 64,
    "constructor",
    "settings.settings.steps",
    "nan",
    "-inf",
    "1e400",
)
NASTY_NUMBERS = (
    *(0, -1, 1, 7, 8, 2**31 - 1, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**400, -(10**400), 0.5, -0.0, 1e-320, 1e308),
    *(float("nan"), float("inf"), float("-inf")),
)

texts = st.one_of(st.sampled_from(IDS), st.sampled_from(NASTY_TEXTS), st.text(max_size=20))
numbers = st.one_of(st.sampled_from(NASTY_NUMBERS), st.integers(-5, 3000), st.floats(-2, 40))
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
containers = st.sampled_from(([], {}, [[]], [None], {"a": []}, ["n0"], {"n0": "n1"}))


def of(kind: Any) -> st.SearchStrategy[Any]:
    """JSON of the right shape for a type, with values that may be wrong; once in a while of another shape."""
    return st.integers(0, 24).flatmap(lambda dice: anything if dice == 0 else _of(kind))


def _of(kind: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return item(kind)
    if origin is Literal:
        return st.sampled_from(get_args(kind))
    if origin in (Union, types.UnionType):
        return st.one_of(*(st.none() if one is type(None) else of(one) for one in arguments))
    if origin is tuple:
        return st.lists(of(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(texts, of(arguments[1]), max_size=3)
    simple = {str: texts, int: st.one_of(st.sampled_from((0, 1, 64, 256)), numbers), float: numbers, bool: st.booleans()}
    return simple.get(kind, anything)


def item(kind: type) -> st.SearchStrategy[dict[str, Any]]:
    """A dataclass; those fields that have defaults may be missing."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name != "payload"}
    needed = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    return st.fixed_dictionaries(
        {name: of(hints[name]) for name in needed}, optional={name: of(hints[name]) for name in fields if name not in needed}
    )


def _frame(kind: type, body: Any, payload: bytes | None = None) -> Frame:
    text = json.dumps({"type": kind.__name__} | body if isinstance(body, dict) else body)
    if payload is None:
        return text
    return struct.pack(">I", len(text)) + text.encode() + payload


# -- what a node's and a link's changes say, by the fields that they have --

_NODE = typing.get_type_hints(Node) | {f"settings.{name}": kind for name, kind in typing.get_type_hints(Settings).items()}
_VERBS = get_args(Verb)
_ITEMS = {"node": _NODE, "link": typing.get_type_hints(Link)}


def _change(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    field = st.sampled_from(sorted(_ITEMS[kind])).flatmap(
        lambda name: st.tuples(st.just(name), st.one_of(of(_ITEMS[kind][name]), of(_ITEMS[kind][name]), anything, containers))
    )
    few = st.lists(field, max_size=3).map(dict)
    return st.fixed_dictionaries(
        {
            "verb": st.sampled_from(_VERBS),
            "kind": st.just(kind),
            "id": st.sampled_from(IDS) | texts,
            "fields": few,
        }
    )


edits = st.lists(st.sampled_from(("node", "link")).flatmap(_change), max_size=3).map(
    lambda changes: _frame(m.Edit, {"id": new_id(), "changes": changes})
)


def _many(change: dict[str, Any], count: int) -> Frame:
    return _frame(m.Edit, {"id": new_id(), "changes": [change | {"id": f"many{n}"} for n in range(count)]})


large_edits = st.builds(_many, _change("node"), st.sampled_from((2, 300, 1001)))


# -- what is right --

_GOOD = ResolvedRequest("txt2img", (Phrase("moss"),), "", 64, 64, 1, 4.0, 0.6, 5)
JOB, ATTEMPT = "@job", "@attempt"
"""In what an edge answers: those of the run that it was given."""


def _edit(verb: Verb, item: ItemKind, id: str, /, **fields: Any) -> m.Edit:
    said = {name.replace("settings_", "settings."): value for name, value in fields.items()}
    return m.Edit(new_id(), (Change(verb, item, id, said),))


_WHOLE = {"prompt": "x", "negative": "y", "source": None, "mask": None, "depth": None, "picture": None} | {
    f"settings_{field.name}": field.default for field in dataclasses.fields(Settings)
}


def _valid() -> st.SearchStrategy[Any]:
    id = st.sampled_from(IDS)
    whole = st.builds(
        lambda id, task, live, x: _edit("create", "node", id, task=task, live=live, x=x, y=-x, **_WHOLE),
        *(id, st.sampled_from(TASKS), st.sampled_from((False, False, True)), st.floats(-5, 5)),
    )
    link = st.builds(
        lambda id, parent, child, kind: _edit("create", "link", id, parent=parent, child=child, kind=kind),
        *(id, id, id, st.sampled_from(("prompt", "image", "blend"))),
    )
    request = st.builds(
        lambda seed, model: replace(_GOOD, seed=seed, model=model),
        st.integers(0, 50),
        st.sampled_from(("", "fuzzed", "honest")),
    )
    said: list[st.SearchStrategy[Any]] = [
        st.builds(lambda id: _edit("create", "node", id, prompt="x"), id),
        *(whole, whole, whole),
        *(link, link),
        st.builds(lambda verb, kind, id: _edit(verb, kind, id), st.sampled_from(_VERBS), st.sampled_from(("node", "link")), id),
        st.builds(lambda id, seed: _edit("update", "node", id, settings_seed=seed), id, st.integers(0, 9)),
        st.builds(lambda: m.Undo(new_id())),
        st.builds(lambda: m.Redo(new_id())),
        st.builds(lambda node: m.Generate(node, new_id()), id),
        st.builds(lambda node, job: m.Generate(node, job), id, id),
        *[st.builds(lambda request, priority: m.Generate("", new_id(), priority, request), request, st.integers(-10, 10))] * 3,
        st.builds(m.Cancel, id),
        st.builds(m.Fetch, id),
        st.builds(lambda nodes: m.Select(tuple(nodes)), st.lists(id, max_size=3)),
        st.builds(m.Subscribe, st.sampled_from((0.0, 5.0, 20.0))),
        st.builds(lambda amount: m.SetPatch((Rule("alpha", "guidance", amount),)), st.floats(-1, 1)),
        st.builds(m.SetSham, st.booleans()),
    ]
    return st.one_of(*said)


valid = _valid().map(wire.encode)
_PNG = png(64, 64)
_answers = st.sampled_from(
    (
        m.Progress(JOB, 1, 2, ATTEMPT),  # type: ignore[arg-type]
        m.Pulling(JOB, ATTEMPT, "fuzzed", 5, 10),  # type: ignore[arg-type]
        *[m.Preview(JOB, payload, ATTEMPT) for payload in (jpeg(64, 64), jpeg(64, 64)[:30], png(64, 64))],  # type: ignore[arg-type]
        m.Heartbeat((JOB,)),
        m.JobFailed(JOB, ATTEMPT, "bad_prompt", "It cannot be read."),  # type: ignore[arg-type]
        *[
            m.Result(JOB, ATTEMPT, replace(_GOOD, model="fuzzed"), payload)
            for payload in (_PNG, _PNG, _PNG[:30], png(72, 64), b"")
        ],  # type: ignore[arg-type]
    )
)
"""What an edge says of a run."""
_hellos = st.sampled_from(
    (
        m.Hello(VERSION, "editor", "ann", room="main", revision=3, operation="x"),
        m.Hello(VERSION, "viewer", "ann"),
        m.Hello(VERSION, "edge", "cyd", model="fuzzed", models={"fuzzed": "f", "other": ""}, max_side=512, slots=2),
    )
)


# -- what is right but for one thing --


def _bent(message: Any, where: int, how: str, value: Any) -> Frame:
    body = wire.plain(message)
    payload = body.pop("payload", None)
    places = list(_places(body))
    holder, key = places[where % len(places)]
    if how == "put":
        holder[key] = value
    elif how == "drop":
        del holder[key]
    elif isinstance(holder, dict):
        holder[value if isinstance(value, str) else "more"] = value
    else:
        holder.extend([holder[key]] * 1100)
    return _frame(type(message), body, payload)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _bending(messages: st.SearchStrategy[Any]) -> st.SearchStrategy[Frame]:
    how = st.sampled_from(("put",) * 6 + ("drop", "add"))
    return st.builds(_bent, messages, st.integers(0, 200), how, st.one_of(anything, texts, numbers, containers))


bent = _bending(_valid())
bent_hellos = _bending(_hellos)
answers = st.lists(st.one_of(_answers.map(wire.encode), _bending(_answers)), max_size=6).map(tuple)


def answered(frame: Frame, job: str, attempt: int) -> Frame:
    """With the run's own job and attempt."""
    for said, meant in ((JOB, job), (ATTEMPT, attempt)):
        old, new = json.dumps(said), json.dumps(meant)
        if isinstance(frame, str):
            frame = frame.replace(old, new)
        else:
            (length,) = struct.unpack_from(">I", frame)
            header = frame[4 : 4 + length].replace(old.encode(), new.encode())
            frame = struct.pack(">I", len(header)) + header + frame[4 + length :]
    return frame


# -- what is not even a message --


def _mutated(frame: Frame, changes: list[tuple[int, int, int]]) -> Frame:
    """Bytes cut out, changed or doubled."""
    data = bytearray(frame if isinstance(frame, bytes) else frame.encode())
    for how, where, value in changes:
        at = where % (len(data) + 1)
        if how == 0:
            del data[at : at + value % 9]
        elif how == 1:
            data[at : at + 1] = bytes([value])
        else:
            data[at:at] = data[at : at + value]
    return bytes(data) if isinstance(frame, bytes) else data.decode("utf-8", "replace")


_OPENING = ("[", '{"a":', '{"type":"Edit","id":"e","changes":[', '{"type":"Hello","version":2,"role":[')
nested = st.builds(lambda opening, depth: opening * depth, st.sampled_from(_OPENING), st.sampled_from((3, 500, 5000)))
digits = st.builds(
    lambda field, count: '{"type":"Generate","node":"n0","job":"j0","%s":%s}' % (field, "9" * count),  # noqa: UP031
    st.sampled_from(("priority", "node", "request")),
    st.sampled_from((400, 4300, 4301, 100_000)),
)
large = st.sampled_from((json.dumps({"type": "Cancel", "job": "x" * 300_000}), b"\x00\x00\x00\x02{}" + b"x" * 100_000))
headers = st.builds(
    lambda length, body: struct.pack(">I", length) + body,
    st.integers(0, 2**32 - 1) | st.integers(0, 40),
    st.binary(max_size=40),
)


def _messages(kinds: tuple[type, ...]) -> st.SearchStrategy[Frame]:
    def one(kind: type) -> st.SearchStrategy[Frame]:
        payload = st.binary(max_size=30)
        has_one = any(field.name == "payload" for field in dataclasses.fields(kind))
        return st.builds(_frame, st.just(kind), item(kind), payload if has_one else st.none() | payload)

    shaped = st.sampled_from(kinds).flatmap(one)
    junk = st.one_of(anything.map(json.dumps), st.text(max_size=30), st.binary(max_size=30), headers)
    mutated = st.builds(
        _mutated, shaped | valid, st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400), st.integers(0, 255)), max_size=4)
    )
    rare = st.one_of(nested, digits, large, large_edits)
    choices = [shaped] * 5 + [bent] * 8 + [valid] * 7 + [edits] * 3 + [mutated] * 3 + [junk] * 2 + [rare]
    if kinds is _SENDERS["stranger"]:
        choices += [bent_hellos] * 20
    return st.integers(0, len(choices) - 1).flatmap(lambda n: choices[n])


@dataclasses.dataclass(frozen=True)
class Talk:
    """What one connection says."""

    role: str
    """`client`, `edge`, or `stranger`: one that need not say hello first."""
    name: str
    frames: tuple[Frame, ...]
    leaves_at_once: bool
    answers: tuple[Frame, ...] = ()
    """An edge's, of the runs that it is given."""

    def __repr__(self) -> str:
        said = "\n".join(f"    {frame[:600]!r}{'…' * (len(frame) > 600)}," for frame in (*self.frames, *self.answers))
        return f"{self.role} {self.name!r}, leaves at once: {self.leaves_at_once}\n{said}"


_EVERYBODYS = tuple(m.MESSAGES.values())
_SENDERS = {"client": (*m.FROM_CLIENT, *m.FROM_CLIENT, *_EVERYBODYS), "edge": (*m.FROM_EDGE, *m.FROM_EDGE, *_EVERYBODYS)}
_SENDERS["stranger"] = (m.Hello, m.Hello, m.Hello, *_EVERYBODYS)
_TALKS = {role: st.lists(_messages(kinds), min_size=1, max_size=12).map(tuple) for role, kinds in _SENDERS.items()}

_NAMES, _LEAVES = st.sampled_from(("ann", "bob", "cyd")), st.sampled_from((False,) * 7 + (True,))
talks = st.sampled_from(("client",) * 6 + ("edge",) * 3 + ("stranger",)).flatmap(
    lambda role: st.builds(Talk, st.just(role), _NAMES, _TALKS[role], _LEAVES, answers if role == "edge" else st.just(()))
)
gatherings = st.lists(talks, min_size=1, max_size=3)
"""Connections at the same time."""


def hello(talk: Talk, **more: Any) -> Frame:
    """A right one."""
    if talk.role == "edge":
        return wire.encode(m.Hello(VERSION, "edge", talk.name, model="fuzzed", max_side=512, **more))
    return wire.encode(m.Hello(VERSION, "editor", talk.name, **more))
