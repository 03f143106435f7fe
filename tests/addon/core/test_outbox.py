from typing import Any

import pytest

from addon.core import outbox
from addon.core.outbox import Outbox
from protocol import edits, wire
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Job, Map, Node, Operation, Rule

SNAPSHOT = m.Snapshot(Map(), (), (), 0, "off")
EDIT = m.Edit("e", (edits.create(Node("n")),))
RULES = (Rule("alpha", "strength", 0.3),)


def sent(box: Outbox) -> list[Any]:
    return [wire.decode(text) for text in iter(box.take, None)]


def full(*messages: Any) -> Outbox:
    box = Outbox()
    for message in messages:
        box.put(message)
    return box


def test_asks_are_sent_once_in_order_and_again_after_a_lost_connection() -> None:
    asks = [EDIT, m.Generate("n", "j"), m.SetPatch(RULES), m.Cancel("j"), m.Undo("u"), m.SetSham(True)]
    box = full(*asks)
    assert sent(box) == asks and sent(box) == []
    box.disconnected()
    assert sent(box) == asks


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (EDIT, m.Edited(Operation(1, "e", EDIT.changes))),
        (EDIT, m.Snapshot(None, (), (), 0, "off", missed=(Operation(1, "e", EDIT.changes),))),
        (EDIT, m.Error("cycle", "no", about="e")),
        (m.Undo("u"), m.Edited(Operation(2, "u", (), undoes=1))),
        (m.Redo("r"), m.Error("nothing_to_redo", "no", about="r")),
        (m.Generate("n", "j"), m.JobChanged(Job("j", "n", "done"))),
        (m.Generate("n", "j"), m.Error("queue_full", "no", about="j")),
        (m.Cancel("j"), m.JobChanged(Job("j", "n", "cancelled"))),
        (m.Cancel("j"), SNAPSHOT),
        (m.SetPatch(RULES), m.SetPatch(RULES)),
        (m.SetPatch(RULES), m.Error("bad_patch", "no")),
        (m.SetSham(True), m.Status(0, "off", sham=True)),
        (m.SetSham(True), m.Error("no_sham", "no")),
    ],
    ids=lambda message: type(message).__name__,
)
def test_an_ask_is_dropped_when_it_was_answered(ask: Any, answer: Any) -> None:
    box = full(ask)
    assert sent(box) == [ask] and not box.heard(answer)
    box.disconnected()
    assert len(box) == 0 and sent(box) == []


@pytest.mark.parametrize(
    ("ask", "other"),
    [
        (EDIT, m.Edited(Operation(1, "another", ()))),
        (EDIT, SNAPSHOT),
        (EDIT, m.Error("cycle", "no", about="another")),
        (EDIT, m.Error("unexpected_message", "no")),
        (m.Generate("n", "j"), m.JobChanged(Job("j", "n", "running"))),
        (m.Generate("n", "j"), SNAPSHOT),
        (m.Cancel("j"), m.Snapshot(Map(), (), (Job("j", "n", "running"),), 0, "off")),
        (m.SetSham(True), m.Status(0, "off", sham=False)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_is_about_something_else_leaves_it(ask: Any, other: Any) -> None:
    box = full(ask)
    sent(box)
    assert not box.heard(other)
    box.disconnected()
    assert sent(box) == [ask]


@pytest.mark.parametrize("code", ["too_fast", "store_unavailable"])
def test_what_cannot_be_done_now_is_sent_again_with_all_that_came_after(code: str) -> None:
    asks = [m.Edit(id, EDIT.changes) for id in "abc"]
    box = full(*asks)
    sent(box)
    box.heard(m.Edited(Operation(1, "a", ())))
    assert box.heard(m.Error(code, "not now", about="b"))
    assert sent(box) == asks[1:]


def test_what_only_matters_now_is_not_kept() -> None:
    box = full(m.Fetch("n"), EDIT)
    box.disconnected()
    assert sent(box) == [EDIT]


def test_the_bound_is_said_and_what_waits_stays(monkeypatch) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 2)
    box = full(EDIT, m.Undo("u"))
    with pytest.raises(AlphaloomError, match="wait"):
        box.put(m.Undo("v"))
    box.put(m.Fetch("n"))
    assert sent(box) == [EDIT, m.Undo("u"), m.Fetch("n")]


@pytest.mark.parametrize("node", [Node("n", prompt="x" * 300_000), Node("n", x=float("nan"))])
def test_what_can_never_be_sent_is_refused_at_once(node: Node) -> None:
    with pytest.raises(AlphaloomError):
        full(m.Edit("e", (edits.create(node),)))
