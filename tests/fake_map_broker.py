"""The broker's end of a client's connection, in the hands of a test: a real socket on a thread, and no broker behind it."""

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import websockets
from websockets.sync.server import ServerConnection, serve

from protocol import VERSION, wire
from protocol import messages as m
from protocol.model import Map

EMPTY = m.Snapshot(Map(), (), (), 0, "off")


class FakeMapBroker:
    def __init__(self, hello: Any, snapshot: m.Snapshot) -> None:
        self.hello, self.snapshot = hello, snapshot
        self.address = ""
        self.heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        """What clients say."""
        self._socket: ServerConnection | None = None

    def say(self, *messages: Any) -> None:
        assert self._socket is not None
        for message in messages:
            self._socket.send(wire.encode(message))

    def drop(self) -> None:
        """Lose the connection, without a goodbye; the client comes back."""
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it has gone already
                self._socket.socket.shutdown(socket.SHUT_RDWR)

    def on_connection(self, peer: ServerConnection) -> None:
        self._socket = peer
        try:
            self.heard.put(wire.decode(peer.recv()))
            self.say(self.hello, self.snapshot)
            for data in peer:
                self.heard.put(wire.decode(data))
        except websockets.ConnectionClosed:
            pass


@contextmanager
def fake_map_broker(hello: Any = None, snapshot: m.Snapshot = EMPTY) -> Iterator[FakeMapBroker]:
    broker = FakeMapBroker(hello or m.Hello(VERSION, "editor", client="c1"), snapshot)
    with serve(broker.on_connection, "127.0.0.1", 0) as server:
        broker.address = f"127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield broker
        finally:
            broker.drop()
            server.shutdown()
            thread.join()
