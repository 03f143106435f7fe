"""A real broker process, spoken to over real sockets."""

import json
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import websockets
from conftest import PYTHON, ROOT
from peers import delete, get, joined, send
from picture_files import png
from processes import until
from websockets.asyncio.client import connect

from protocol import MAX_TEXT_BYTES, VERSION, wire
from protocol import messages as m
from protocol.model import Change, Link, Node, Rule, Settings

SMALL = Settings(64, 64)


@pytest.fixture
def broker(programs, tmp_path: Path) -> str:
    return programs.broker(tmp_path / "data")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, "-m", "broker", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


async def test_hello_then_everything_that_is_there(broker: str) -> None:
    async with joined(broker) as peer:
        hello = await peer.hear(m.Hello)
        assert (hello.version, hello.role, hello.name) == (VERSION, "editor", "test")
        snapshot = await peer.hear(m.Snapshot)
        assert snapshot.map.nodes == {} and snapshot.edges == 0


async def test_another_version_is_told_both_versions(broker: str) -> None:
    async with joined(broker, version=VERSION + 1) as peer:
        error = wire.decode(await peer.socket.recv())
        assert error.code == "version_mismatch" and error.detail == {"yours": VERSION + 1, "mine": VERSION}
        with pytest.raises(websockets.ConnectionClosed):
            await peer.socket.recv()


@pytest.mark.parametrize("first", ['{"type": "Cancel", "job": "j"}', "rubbish", b"\x00"])
async def test_who_does_not_say_hello_is_told_and_shown_out(broker: str, first: str | bytes) -> None:
    async with connect(broker + "/v1/ws", proxy=None) as peer:
        await peer.send(first)
        assert isinstance(wire.decode(await peer.recv()), m.Error)
        with pytest.raises(websockets.ConnectionClosed):
            await peer.recv()


async def test_edits_reach_everybody_and_outlive_the_broker(programs, tmp_path: Path) -> None:
    data = tmp_path / "data"
    broker = programs.broker(data)
    rules = (Rule("alpha", "guidance", 1.0),)
    async with joined(broker) as one, joined(broker) as two:
        await two.hear(m.Snapshot)
        await one.edit(Node("a", "x"), Node("b"), Link("l", "a", "b"))
        assert [change.id for change in (await two.hear(m.Edited)).operation.changes] == ["a", "b", "l"]
        await one.say(m.SetPatch(rules))
        await two.hear(m.SetPatch)
    programs.kill("broker")
    async with joined(programs.broker(data)) as again:
        snapshot = await again.hear(m.Snapshot)
        assert set(snapshot.map.nodes) == {"a", "b"} and set(snapshot.map.links) == {"l"} and snapshot.patch == rules


async def test_bad_messages_are_answered_and_the_connection_lives_on(broker: str) -> None:
    def edit(*changes: Change) -> m.Edit:
        return m.Edit("e", changes)

    bad: list[tuple[Any, str]] = [
        ("{", "malformed_message"),
        (b"\x00\x00\xff\xff", "malformed_message"),
        ('{"type": "Boo"}', "unknown_message"),
        ('{"type": "Snapshot"}', "unexpected_message"),
        ('{"type": "Edit", "id": "e", "changes": [{"verb": "explode", "kind": "node", "id": "n"}]}', "invalid_message"),
        (edit(Change("create", "node", "n", {"settings.guidance": 1e9})), "bad_value"),
        (edit(Change("create", "link", "l", {"parent": "a", "child": "b"})), "unknown_node"),
        (m.Generate("nowhere", "j"), "unknown_node"),
        (m.Cancel("nowhere"), "unknown_job"),
        (m.Fetch("nowhere"), "no_picture"),
        (m.SetPatch((Rule("alpha", "speed", 1.0),)), "bad_patch"),
        ('{"type": "Cancel", "job": "' + "x" * MAX_TEXT_BYTES + '"}', "message_too_large"),
        (m.JobFailed("j", 1, "x", "an edge's message from a client"), "unexpected_message"),
    ]
    async with joined(broker) as peer:
        await peer.hear(m.Snapshot)
        for message, code in bad:
            await peer.say(message)
            assert (wire.decode(await peer.socket.recv())).code == code, message
        assert (await peer.edit(Node("n"))).changes[0].id == "n"


async def test_a_job_of_an_edge_that_dies_goes_to_the_next_and_the_dead_ones_word_no_longer_counts(broker: str) -> None:
    async with joined(broker) as client:
        await client.edit(Node("n", "x", settings=SMALL))
        await client.say(m.Generate("n", "j"))
        async with joined(broker, "edge", max_side=512) as first:
            assert (await first.hear(m.Run)).attempt == 1
        async with joined(broker, "edge", max_side=512) as second:
            run = await second.hear(m.Run)
            assert run.attempt == 2
            await second.say(m.Result("j", 1, run.request, b"stale"), m.Result("j", 2, run.request, png()))
            assert wire.decode(await second.socket.recv()).code == "not_your_job"
        picture = await client.hear(m.Picture)
        assert (picture.node, picture.payload) == ("n", png())


async def test_a_node_with_several_open_jobs_can_be_deleted(broker: str) -> None:
    async with joined(broker) as client, joined(broker, "edge", max_side=512) as edge:
        await client.edit(Node("n", "x"))
        await client.say(m.Generate("n", "j1"), m.Generate("n", "j2"))
        assert (await edge.hear(m.Run)).job == "j1"
        await client.edit(delete("n"))
        assert get(broker, "/health")["jobs"] == 0


# -- the command line --


def test_a_port_in_use_is_one_line_and_a_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(port, "--data", tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert port in done.stderr and "python -m broker" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no way to ask a program to end")
async def test_told_to_end_it_says_goodbye_and_all_is_kept(programs, tmp_path: Path) -> None:
    broker = programs.broker(tmp_path)
    async with joined(broker) as peer:
        await peer.hear(m.Snapshot)
        for number in range(50):
            await peer.say(m.Edit(f"e{number}", (Change("create", "node", f"n{number}"),)))
        told = 0
        while told < 50:
            told = (await peer.hear(m.Edited)).operation.revision
        child = programs._children.pop("broker")
        child.send_signal(signal.SIGTERM)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await peer.socket.recv()
        assert closed.value.rcvd and closed.value.rcvd.code == 1012  # the service restarts
    assert child.wait() == 0
    assert "Traceback" not in (programs.logs / "broker.log").read_text()
    async with joined(programs.broker(tmp_path, name="again")) as peer:
        assert len((await peer.hear(m.Snapshot)).map.nodes) == 50


def test_a_token_that_is_made_or_taken_away_counts_while_the_broker_runs(programs, tmp_path: Path) -> None:
    data = tmp_path / "data"
    refused = run("0", "--host", "0.0.0.0", "--no-eeg", "--data", data)
    assert refused.returncode == 1 and "python -m broker token add" in refused.stderr
    run("token", "add", "root", "--role", "admin", "--data", data)
    broker = programs.broker(data, "--no-eeg", "--host", "0.0.0.0").replace("0.0.0.0", "127.0.0.1")
    assert send(broker, "/v1/rooms", method="GET")[0] == 401
    token = run("token", "add", "ann", "--role", "viewer", "--data", data).stdout.strip()
    header = {"Authorization": f"Bearer {token}"}
    for _ in until(30):
        status, _ = send(broker, "/v1/rooms", method="GET", **header)
        if status == 200:
            break
    assert status == 200
    run("token", "remove", "ann", "--data", data)
    for _ in until(30):
        status, answer = send(broker, "/v1/rooms", method="GET", **header)
        if status != 200:
            break
    assert answer["code"] in ("bad_token", "too_many_attempts")


async def test_over_tls_nobody_on_the_way_reads_along(programs, tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    files = ("--certfile", str(tmp_path / "cert.pem"), "--keyfile", str(tmp_path / "key.pem"))
    broker = programs.broker(tmp_path / "data", "--no-eeg", *files)
    assert broker.startswith("wss://")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with connect(broker + "/v1/ws", proxy=None, ssl=trusting) as peer:
        await peer.send(wire.encode(m.Hello(VERSION, "viewer")))
        assert wire.decode(await peer.recv()).role == "viewer"
    with pytest.raises(ssl.SSLCertVerificationError):
        async with connect(broker + "/v1/ws", proxy=None, ssl=ssl.create_default_context()):
            pass


async def test_a_copy_is_made_while_the_broker_runs(programs, tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy.zip"
    broker = programs.broker(data)
    async with joined(broker) as peer:
        await peer.edit(Node("a", "moss"))
        done = run("backup", copy, "--data", data)
        assert done.returncode == 0 and copy.stat().st_size > 0, done.stderr
        await peer.edit(Node("b"))


def test_settings_of_a_file_and_the_environment_are_in_force(programs, tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text("max_text_bytes = 5000\nno_eeg = true\n")
    broker = programs.broker(tmp_path / "data", "--config", str(file))
    status, body = send(broker, "/v1/rooms", json.dumps({"id": "r", "title": "x" * 5000}).encode())
    assert (status, body["detail"]) == (413, {"limit": 5000})
