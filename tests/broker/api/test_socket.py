"""The WebSocket's door."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets
from peers import Peer, joined
from picture_files import png
from serving import Served, served
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from protocol import VERSION, edits, wire
from protocol import messages as m
from protocol.model import Node, Settings


async def turned_away(peer: Peer) -> str:
    """The error's code, after which nothing comes."""
    while not isinstance(message := wire.decode(await peer.socket.recv()), m.Error):
        pass
    with pytest.raises(websockets.ConnectionClosed):
        while True:
            await peer.socket.recv()
    return message.code


def token_of(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


async def test_with_a_token_its_name_and_role_are_ones_own(guarded: Served) -> None:
    token = token_of(await guarded.give("ann", "viewer"))
    async with joined(guarded.ws, "editor", name="somebody", token=token) as peer:
        hello = await peer.hear(m.Hello)
        assert (hello.version, hello.role, hello.name) == (VERSION, "viewer", "ann")
        await peer.hear(m.Snapshot)
        await peer.say(m.Edit("e", (edits.create(Node("a")),)))
        with pytest.raises(AssertionError, match="forbidden"):
            await peer.hear(m.Edited)


@pytest.mark.parametrize(("token", "code"), [("", "token_needed"), ("wrong", "bad_token")])
async def test_without_a_right_token_nobody_comes_in(guarded: Served, token: str, code: str) -> None:
    async with joined(guarded.ws, token=token) as peer:
        assert await turned_away(peer) == code


async def test_a_token_of_an_edge_is_none_of_a_person(guarded: Served) -> None:
    token = token_of(await guarded.give("worker", "edge"))
    async with joined(guarded.ws, token=token) as peer:
        assert await turned_away(peer) == "bad_role"
    async with joined(guarded.ws, "edge", token=token, model="m", max_side=64) as peer:
        assert (await peer.hear(m.Hello)).role == "edge"


async def test_an_edge_is_called_as_its_token_is(guarded: Served) -> None:
    token = token_of(await guarded.give("worker", "edge"))
    async with joined(guarded.ws, "edge", name="another", token=token, model="m", max_side=64) as peer:
        await peer.hear(m.Hello)
        assert [edge.name for edge in guarded.hub.work.edges] == ["worker"]


async def test_whose_token_is_taken_away_is_shown_out_and_others_stay(guarded: Served) -> None:
    ann, bob = [token_of(await guarded.give(name, "editor")) for name in ("ann", "bob")]
    async with joined(guarded.ws, token=ann) as first, joined(guarded.ws, token=bob) as second:
        await first.hear(m.Snapshot), await second.hear(m.Snapshot)
        await guarded.hub.store.run(guarded.hub.store.drop_token, "ann")
        await guarded.auth.read()
        assert await turned_away(first) == "bad_token"
        presence = (await second.hear(m.Present, lambda told: not told.presence.here)).presence
        assert presence.person == "ann"
    async with joined(guarded.ws, token=ann) as again:
        assert await turned_away(again) == "bad_token"


async def test_an_edge_that_is_shown_out_loses_its_job_to_the_next(guarded: Served) -> None:
    ann, one, two = [token_of(await guarded.give(*who)) for who in (("ann", "editor"), ("one", "edge"), ("two", "edge"))]
    async with joined(guarded.ws, token=ann) as peer:
        await peer.say(m.Edit("e", (edits.create(Node("n", "moss", settings=Settings(64, 64))),)), m.Generate("n", "j"))
        async with joined(guarded.ws, "edge", token=one, model="m", max_side=64) as first:
            await first.hear(m.Run)
            await guarded.hub.store.run(guarded.hub.store.drop_token, "one")
            await guarded.auth.read()
            assert await turned_away(first) == "bad_token"
        async with joined(guarded.ws, "edge", token=two, model="m", max_side=64) as second:
            run = await second.hear(m.Run)
            assert run.attempt == 2
            await second.say(m.Result("j", 2, run.request, png()))
            assert (await peer.job("j", "done")).picture


async def test_more_than_may_come_are_turned_away_until_somebody_leaves(tmp_path: Path) -> None:
    async with served(tmp_path, max_connections=2) as broker, joined(broker.ws) as first, joined(broker.ws) as second:
        await first.hear(m.Snapshot), await second.hear(m.Snapshot)
        async with connect(broker.ws + "/v1/ws", proxy=None) as third:
            assert await turned_away(Peer(third)) == "too_many_connections"
        await second.socket.close()
        await first.hear(m.Present, lambda told: not told.presence.here)
        async with joined(broker.ws) as again:
            await again.hear(m.Snapshot)


async def test_who_says_too_much_too_fast_is_heard_later_and_not_less(tmp_path: Path) -> None:
    async with served(tmp_path, messages_per_s=50, messages_burst=1) as broker, joined(broker.ws) as peer:
        await peer.hear(m.Snapshot)
        for number in range(5):
            await peer.say(m.Edit(f"e{number}", (edits.create(Node(f"n{number}")),)))
        assert [(await peer.hear(m.Edited)).operation.id for _ in range(5)] == [f"e{number}" for number in range(5)]


async def test_what_is_larger_than_the_setting_is_answered_and_not_cut_off(tmp_path: Path) -> None:
    async with served(tmp_path, max_text_bytes=4096) as broker, joined(broker.ws) as peer:
        await peer.hear(m.Snapshot)
        await peer.say(m.Edit("e", (edits.create(Node("a", "x" * 4096)),)))
        with pytest.raises(AssertionError, match="message_too_large"):
            await peer.hear(m.Edited)
        await peer.say(m.Edit("f", (edits.create(Node("a", "x" * 1024)),)))
        assert (await peer.hear(m.Edited)).operation.id == "f"


async def test_nothing_is_compressed(broker: Served) -> None:
    async with joined(broker.ws) as peer:
        assert peer.socket.protocol.extensions == []


@pytest.fixture
def log() -> Iterator[list[logging.LogRecord]]:
    """What the server says while a test runs."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


async def test_a_text_that_is_none_ends_the_connection_as_the_standard_says_and_is_no_mistake_of_ours(
    broker: Served, log: list[logging.LogRecord]
) -> None:
    async with joined(broker.ws) as peer:
        await peer.hear(m.Snapshot)
        peer.socket.protocol.send_frame(Frame(Opcode.TEXT, b"\xff\xfe"))
        peer.socket.transport.write(b"".join(peer.socket.protocol.data_to_send()))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await peer.socket.recv()
    assert closed.value.rcvd and closed.value.rcvd.code == 1007
    assert [(record.levelname, record.exc_info) for record in log] == [("WARNING", None)]


@pytest.mark.parametrize("path", ["blobs", "rooms", "rooms/main/import", "sham"])
async def test_who_hangs_up_in_the_middle_is_no_mistake_of_ours(
    broker: Served, log: list[logging.LogRecord], path: str
) -> None:
    port = int(broker.ws.rpartition(":")[2])
    method = b"PUT" if path == "sham" else b"POST"
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = b"%b /v1/%b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    writer.write(head % (method, path.encode()))
    await writer.drain()
    assert (await broker.http.get("/health")).status_code == 200  # what was sent first has been read by now
    writer.close()
    await writer.wait_closed()
    for _ in range(20):
        await broker.http.get("/health")
    assert log == []
