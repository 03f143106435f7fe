"""The stepped connection, against a real broker process and a real listener. No Blender needed."""

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from addon.connection import Connection
from protocol import VERSION, wire
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Node


def tick_until(connection: Connection, done: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, (connection.state, connection.problem)
        connection.tick()
        time.sleep(0.002)


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


def test_what_was_sent_while_the_broker_was_dead_arrives_when_it_is_back(
    programs, tmp_path: Path, connection: Connection
) -> None:
    broker = programs.broker(tmp_path / "data")
    connection.open(broker)
    tick_until(connection, lambda: connection.state == "online")
    programs.kill("broker")
    tick_until(connection, lambda: connection.state == "connecting")
    connection.send(m.PutNode(Node("late")))
    programs.broker(tmp_path / "data", name="again", port=int(broker.rsplit(":", 1)[1]))
    tick_until(connection, lambda: m.PutNode(Node("late")) in connection.inbox)


def test_another_version_ends_the_trying_with_a_clear_line(connection: Connection, monkeypatch) -> None:
    from websockets.sync.server import serve

    def answer(peer) -> None:
        assert wire.decode(peer.recv()).version == VERSION
        peer.send(wire.encode(m.Hello(VERSION + 1, "broker")))
        peer.recv()

    import threading

    with serve(lambda peer: _quietly(answer, peer), "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        connection.open(f"127.0.0.1:{server.socket.getsockname()[1]}")
        tick_until(connection, lambda: connection.state == "offline")
        server.shutdown()
        thread.join()
    assert f"version {VERSION + 1}" in connection.problem


def _quietly(answer, peer) -> None:
    import websockets

    with contextlib.suppress(websockets.ConnectionClosed):
        answer(peer)


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
        tick_until(connection, lambda: connection.state == "online")
        connection.send(m.PutNode(Node(name)))
        tick_until(connection, lambda name=name: m.PutNode(Node(name)) in connection.inbox)
        connection.close()


def test_closing_twice_and_ticking_closed_does_no_harm(connection: Connection) -> None:
    connection.close()
    connection.tick()
    connection.close()
