"""The stepped connection, against a real broker process and against a broker's end that the test holds. No Blender needed."""

import queue
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_map_broker import EMPTY, FakeMapBroker, fake_map_broker
from peers import edit
from ticking import tick_until

from addon.core import connection as module
from addon.core.connection import Connection
from protocol import VERSION
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Change, Job, Map, Node, Operation


def hear(broker: FakeMapBroker, connection: Connection, kind: type) -> Any:
    """What the client says next of a kind."""
    found: list[Any] = []

    def heard() -> bool:
        try:
            found.append(broker.heard.get_nowait())
        except queue.Empty:
            return False
        return isinstance(found[-1], kind)

    tick_until(connection, heard)
    return found[-1]


def await_message(connection: Connection, kind: type, where: Callable[[Any], bool] = lambda message: True) -> Any:
    found: list[Any] = []

    def arrived() -> bool:
        found.extend(x for x in connection.inbox if isinstance(x, kind) and where(x))
        return bool(found)

    tick_until(connection, arrived)
    return found[0]


@pytest.fixture
def connection():
    made = Connection()
    yield made
    made.close()


def test_it_connects_and_hears_what_is_there(programs, tmp_path: Path, connection: Connection) -> None:
    connection.open(programs.broker(tmp_path / "data"))
    tick_until(connection, lambda: bool(connection.inbox))
    assert connection.state == "online" and isinstance(connection.inbox[0], m.Snapshot)


def test_no_broker_is_said_and_waited_for(programs, tmp_path: Path, connection: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    connection.open(f"127.0.0.1:{port}")
    tick_until(connection, lambda: "python -m broker" in connection.problem)
    assert connection.state == "connecting"
    programs.broker(tmp_path / "data", port=port)
    tick_until(connection, lambda: connection.state == "online")
    assert connection.problem == ""


def test_what_was_done_while_the_broker_was_dead_arrives_in_order_when_it_is_back(
    programs, tmp_path: Path, connection: Connection
) -> None:
    broker = programs.broker(tmp_path / "data")
    connection.open(broker)
    before = edit(Node("before"))
    connection.send(before)
    await_message(connection, m.Edited)
    programs.kill("broker")
    tick_until(connection, lambda: connection.state == "connecting")
    late = [edit(Node("a")), edit(Node("b")), edit(Change("update", "node", "a", {"prompt": "red"}))]
    for each in late:
        connection.send(each)
    programs.broker(tmp_path / "data", name="again", port=int(broker.rsplit(":", 1)[1]))
    tick_until(connection, lambda: len(connection.outbox) == 0)
    told = [message.operation for message in connection.inbox if isinstance(message, m.Edited)]
    assert [operation.id for operation in told] == [each.id for each in (before, *late)]
    (_, back) = [message for message in connection.inbox if isinstance(message, m.Snapshot)]
    assert back.map is None and back.missed == ()


def test_the_hello_says_who_where_and_with_what_right(connection: Connection) -> None:
    connection.room, connection.token, connection.name = "jam", "secret", "Ada"
    with fake_map_broker() as broker:
        connection.open(broker.address)
        assert hear(broker, connection, m.Hello) == m.Hello(VERSION, "editor", "Ada", "secret", "jam")
        assert hear(broker, connection, m.Subscribe) == m.Subscribe(10.0)
        assert connection.client == "c1"


def test_who_comes_back_says_what_was_seen_last(connection: Connection) -> None:
    with fake_map_broker(snapshot=m.Snapshot(Map(revision=7), (), (), 0, "off", operation="o7")) as broker:
        connection.open(broker.address)
        assert hear(broker, connection, m.Hello).revision == 0
        for drop, seen in ((True, (7, "o7")), (False, (9, "o9"))):
            hear(broker, connection, m.Subscribe)
            if not drop:
                broker.say(m.Edited(Operation(9, "o9", ())), m.Edited(Operation(8, "o8", ())), m.SetPatch(()))
                await_message(connection, m.SetPatch)
            broker.snapshot = m.Snapshot(None, (), (), 0, "off", operation="o7")
            broker.drop()
            hello = hear(broker, connection, m.Hello)
            assert (hello.revision, hello.operation) == seen


def test_an_edit_that_was_sent_and_not_answered_is_sent_again(connection: Connection) -> None:
    one, two, three = edit(Node("a")), edit(Node("b")), edit(Node("c"))
    with fake_map_broker() as broker:
        connection.open(broker.address)
        for each in (one, two, three):
            connection.send(each)
        assert [hear(broker, connection, m.Edit) for _ in range(3)] == [one, two, three]
        broker.say(m.Edited(Operation(1, one.id, one.changes)))
        await_message(connection, m.Edited)
        # The second was done, too, but the news of it was lost.
        broker.snapshot = m.Snapshot(None, (), (), 0, "off", missed=(Operation(2, two.id, two.changes),), operation=two.id)
        broker.drop()
        assert hear(broker, connection, m.Edit) == three
        broker.say(m.Error("bad_value", "no", about=three.id))
        await_message(connection, m.Error)
        assert len(connection.outbox) == 0


def test_a_job_that_ended_while_nobody_was_connected_is_asked_for_again(connection: Connection) -> None:
    with fake_map_broker() as broker:
        connection.open(broker.address)
        connection.send(m.Generate("n", "j"))
        hear(broker, connection, m.Generate)
        broker.say(m.JobChanged(Job("j", "n", "running")))
        await_message(connection, m.JobChanged)
        broker.drop()
        assert hear(broker, connection, m.Generate).job == "j"
        broker.say(m.JobChanged(Job("j", "n", "done")))
        await_message(connection, m.JobChanged, lambda told: told.job.state == "done")
        assert len(connection.outbox) == 0


def test_what_cannot_be_done_just_now_is_asked_again(connection: Connection, monkeypatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    asked = edit(Node("a"))
    with fake_map_broker() as broker:
        connection.open(broker.address)
        connection.send(asked)
        assert hear(broker, connection, m.Edit) == asked
        broker.say(m.Error("store_unavailable", "The disk is full.", about=asked.id))
        assert hear(broker, connection, m.Edit) == asked
        assert not any(isinstance(message, m.Error) for message in connection.inbox)


def test_what_can_never_be_sent_is_answered_as_by_the_broker(connection: Connection) -> None:
    large = edit(Node("a", prompt="x" * 300_000))
    connection.send(large)
    (answer,) = connection.inbox
    assert (answer.code, answer.about) == ("message_too_large", large.id)


@pytest.mark.parametrize(
    ("answer", "word", "state"),
    [
        (m.Hello(VERSION + 1, "broker"), f"version {VERSION + 1}", "offline"),
        (m.Error("bad_token", "This token is not known."), "not known", "offline"),
        (m.Error("too_many_connections", "Come back later."), "later", "connecting"),
    ],
    ids=["another version", "a wrong token", "too many connections"],
)
def test_only_a_refusal_for_good_ends_the_trying(connection: Connection, answer: Any, word: str, state: str) -> None:
    with fake_map_broker(answer) as broker:
        connection.open(broker.address)
        tick_until(connection, lambda: word in connection.problem)
        connection.tick()
        assert connection.state == state


def test_a_bad_address_is_refused_at_once(connection: Connection) -> None:
    with pytest.raises(AlphaloomError):
        connection.open("ftp://x")


def test_a_tick_without_news_takes_no_time(programs, tmp_path: Path, connection: Connection) -> None:
    connection.open(programs.broker(tmp_path / "data"))
    tick_until(connection, lambda: connection.state == "online")
    for _ in range(1000):  # would take for ever if a tick waited for something
        connection.tick()


def test_it_can_be_closed_and_opened_again_and_still_sends(programs, tmp_path: Path, connection: Connection) -> None:
    broker = programs.broker(tmp_path / "data")
    for name in ("one", "two"):
        connection.open(broker)
        asked = edit(Node(name))
        connection.send(asked)
        tick_until(connection, lambda: len(connection.outbox) == 0)
        assert connection.inbox[-1].operation.changes == asked.changes
        connection.close()


def test_what_waits_goes_to_the_map_it_was_meant_for_and_to_no_other(connection: Connection) -> None:
    with fake_map_broker() as broker:
        connection.open(broker.address)
        asked = edit(Node("a"))
        connection.send(asked)
        hear(broker, connection, m.Edit)
        connection.open(broker.address)
        assert hear(broker, connection, m.Edit) == asked
        connection.room = "another"
        connection.open(broker.address)
        tick_until(connection, lambda: EMPTY in connection.inbox)
        assert len(connection.outbox) == 0


def test_closing_twice_and_ticking_closed_does_no_harm(connection: Connection) -> None:
    connection.close()
    connection.tick()
    connection.close()
