"""A real broker process, spoken to over real sockets."""

import json
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import websockets
from conftest import PYTHON, ROOT
from peers import joined
from websockets.asyncio.client import connect

from protocol import MAX_TEXT_BYTES, VERSION, wire
from protocol import messages as m
from protocol.model import Link, Node, Rule

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
    "53de0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


@pytest.fixture
def broker(programs, tmp_path: Path) -> str:
    return programs.broker(tmp_path / "data")


async def test_hello_then_everything_that_is_there(broker: str) -> None:
    async with joined(broker) as peer:
        assert (await peer.hear(m.Hello)).version == VERSION
        snapshot = await peer.hear(m.Snapshot)
        assert snapshot.map.nodes == {} and snapshot.edges == 0


async def test_another_version_is_told_both_versions(broker: str) -> None:
    async with joined(broker, version=VERSION + 1) as peer:
        error = await peer.hear(m.Error)
        assert error.code == "version_mismatch" and error.detail == {"yours": VERSION + 1, "mine": VERSION}
        with pytest.raises(websockets.ConnectionClosed):
            await peer.socket.recv()


@pytest.mark.parametrize("first", ['{"type": "Cancel", "job": "j"}', "rubbish", b"\x00"])
async def test_who_does_not_say_hello_is_told_and_shown_out(broker: str, first: str | bytes) -> None:
    async with connect(broker + "/ws", proxy=None) as socket:
        await socket.send(first)
        assert isinstance(wire.decode(await socket.recv()), m.Error)
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()


async def test_edits_reach_everybody_and_outlive_the_broker(programs, tmp_path: Path) -> None:
    data = tmp_path / "data"
    broker = programs.broker(data)
    rules = (Rule("alpha", "guidance", 1.0),)
    async with joined(broker) as one, joined(broker) as two:
        await two.hear(m.Snapshot)
        await one.say(m.PutNode(Node("a", "x")), m.PutNode(Node("b")), m.PutLink(Link("l", "a", "b")), m.SetPatch(rules))
        assert (await two.hear(m.PutNode)).node == Node("a", "x")
        assert (await two.hear(m.PutLink)).link.child == "b"
        await two.hear(m.SetPatch)
    programs.kill("broker")
    async with joined(programs.broker(data)) as again:
        snapshot = await again.hear(m.Snapshot)
        assert set(snapshot.map.nodes) == {"a", "b"} and set(snapshot.map.links) == {"l"} and snapshot.patch == rules


async def test_bad_messages_are_answered_and_the_connection_lives_on(broker: str) -> None:
    bad = [
        ("{", "malformed_message"),
        (b"\x00\x00\xff\xff", "malformed_message"),
        ('{"type": "Boo"}', "unknown_message"),
        ('{"type": "Snapshot"}', "unexpected_message"),
        ('{"type": "PutNode", "node": {"id": "n", "task": "explode"}}', "invalid_message"),
        ('{"type": "PutNode", "node": {"id": "n", "settings": {"guidance": 1e9}}}', "bad_value"),
        (m.PutLink(Link("l", "a", "b")), "unknown_node"),
        (m.Generate("nowhere", "j"), "unknown_node"),
        (m.Cancel("nowhere"), "unknown_job"),
        (m.Fetch("nowhere"), "no_picture"),
        (m.SetPatch((Rule("alpha", "speed", 1.0),)), "bad_patch"),
        ('{"type": "Cancel", "job": "' + "x" * MAX_TEXT_BYTES + '"}', "message_too_large"),
        (m.JobFailed("j", 1, "x", "an edge's message from a client"), "unexpected_message"),
    ]
    async with joined(broker) as peer:
        for message, code in bad:
            await peer.say(message)
            assert (await peer.hear(m.Error)).code == code
        await peer.say(m.PutNode(Node("n")))
        assert (await peer.hear(m.PutNode)).node.id == "n"


async def test_asking_twice_with_one_id_is_one_job(broker: str) -> None:
    async with joined(broker) as peer:
        await peer.say(m.PutNode(Node("n", "x")), m.Generate("n", "j"), m.Generate("n", "j"))
        first, second = [(await peer.hear(m.JobChanged)).job for _ in range(2)]
        assert first == second
    health = json.load(urllib.request.urlopen(broker.replace("ws", "http") + "/health"))
    assert health["jobs"] == 1


async def test_a_job_of_an_edge_that_dies_goes_to_the_next_and_the_dead_ones_word_no_longer_counts(broker: str) -> None:
    async with joined(broker) as client:
        await client.say(m.PutNode(Node("n", "x")), m.Generate("n", "j"))
        async with joined(broker, "edge", max_side=512) as first:
            run = await first.hear(m.Run)
            assert run.attempt == 1
        async with joined(broker, "edge", max_side=512) as second:
            run = await second.hear(m.Run)
            assert run.attempt == 2
            await second.say(m.Result("j", 1, run.request, b"stale"), m.Result("j", 2, run.request, PNG))
            await second.hear(m.Error)  # told that its first result is not wanted
        picture = await client.hear(m.Picture)
        assert (picture.node, picture.payload) == ("n", PNG)


async def test_a_cancelled_job_ends_at_once_and_the_edge_is_told(broker: str) -> None:
    async with joined(broker) as client, joined(broker, "edge", max_side=512) as edge:
        await client.say(m.PutNode(Node("n", "x")), m.Generate("n", "j"))
        await edge.hear(m.Run)
        await client.say(m.Cancel("j"))
        assert (await edge.hear(m.Cancel)).job == "j"
        while (job := (await client.hear(m.JobChanged)).job).state != "cancelled":
            assert job.state in ("queued", "running")
        # The edge answers and is free for the next one.
        await edge.say(m.JobFailed("j", 1, "cancelled", ""))
        await client.say(m.Generate("n", "k"))
        assert (await edge.hear(m.Run)).job == "k"


async def test_a_picture_that_no_edge_can_make_fails_with_the_reason(broker: str) -> None:
    async with joined(broker) as client, joined(broker, "edge", max_side=128) as edge:
        await edge.hear(m.Hello)
        await client.say(m.PutNode(Node("n", "x")), m.Generate("n", "j"))
        while (job := (await client.hear(m.JobChanged)).job).state == "queued":
            pass
        assert job.state == "failed" and "128" in job.error


async def test_a_result_that_is_no_png_fails_the_job(broker: str) -> None:
    async with joined(broker) as client, joined(broker, "edge", max_side=512) as edge:
        await client.say(m.PutNode(Node("n", "x")), m.Generate("n", "j"))
        run = await edge.hear(m.Run)
        await edge.say(m.Result("j", 1, run.request, b"<html>"))
        while (job := (await client.hear(m.JobChanged)).job).state in ("queued", "running"):
            pass
        assert job.state == "failed" and "PNG" in job.error


def post(url: str, data: bytes, **headers: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_pictures_are_uploaded_and_fetched_and_nothing_else_is(broker: str) -> None:
    http = broker.replace("ws", "http")
    status, body = post(http + "/blobs", PNG)
    assert status == 201
    assert urllib.request.urlopen(f"{http}/blobs/{body['blob']}").read() == PNG
    status, body = post(http + "/blobs", b"MZ not a picture")
    assert (status, body["code"]) == (422, "bad_picture")


async def test_pages_from_elsewhere_are_turned_away(broker: str) -> None:
    assert post(broker.replace("ws", "http") + "/blobs", PNG, Origin="https://evil.example")[0] == 422
    with pytest.raises(websockets.InvalidStatus):
        async with connect(broker + "/ws", proxy=None, origin="https://evil.example"):  # type: ignore[arg-type]
            pass
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(
            urllib.request.Request(broker.replace("ws", "http") + "/health", headers={"Host": "evil.example"})
        )


def test_a_port_in_use_is_one_line_and_a_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [PYTHON, "-m", "broker", port, "--data", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert port in done.stderr and "python -m broker" in done.stderr


async def test_when_a_parents_job_is_cancelled_the_child_that_waited_fails_with_the_reason(broker: str) -> None:
    async with joined(broker) as client, joined(broker, "edge", max_side=512) as edge:
        await client.say(m.PutNode(Node("a", "x")), m.PutNode(Node("b", "y", task="img2img")))
        await client.say(m.PutLink(Link("l", "a", "b", "image")), m.Generate("a", "ja"), m.Generate("b", "jb"))
        assert (await edge.hear(m.Run)).job == "ja"
        await client.say(m.Cancel("ja"))
        while (job := (await client.hear(m.JobChanged)).job).state != "failed":
            pass
        assert job.id == "jb" and "parent's picture" in job.error


async def test_a_node_with_several_open_jobs_can_be_deleted(broker: str) -> None:
    async with joined(broker) as client, joined(broker, "edge", max_side=512) as edge:
        await client.say(m.PutNode(Node("n", "x")), m.Generate("n", "j1"), m.Generate("n", "j2"))
        assert (await edge.hear(m.Run)).job == "j1"
        # Without its prompt the second job would fail the moment that the first one's end lets it be looked at.
        await client.say(m.PutNode(Node("n")), m.DeleteNode("n"))
        ended = []
        while len(ended) < 2:
            job = (await client.hear(m.JobChanged)).job
            ended += [job.state] if job.state not in ("queued", "running") else []
        assert ended == ["cancelled", "cancelled"]
        assert (await client.hear(m.DeleteNode)).node == "n"
