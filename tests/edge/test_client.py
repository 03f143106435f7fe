"""The edge as a process of its own."""

import io
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from conftest import PYTHON, ROOT
from fake_broker import fake_broker
from peers import joined, send, update
from PIL import Image

from protocol import messages as m
from protocol.model import Node, Phrase, ResolvedRequest, Settings

SMALL = Settings(width=64, height=64, steps=2)
SLOW = ResolvedRequest("txt2img", (Phrase("red"),), "", 256, 256, 150, 4.0, 0.6, 1)


def edge(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PYTHON, "-m", "edge", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_no_broker_is_one_line_and_a_failure() -> None:
    done = edge("--broker", "ws://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "python -m broker" in done.stderr


def test_no_model_is_one_line_and_a_failure() -> None:
    done = edge("--model", "/nowhere")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "/nowhere" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
async def test_sigterm_lets_it_finish_its_job_and_a_second_one_does_not(programs) -> None:
    async with fake_broker() as broker:
        for patient in (True, False):
            name = f"edge-{patient}"
            command = [PYTHON, "-m", "edge", "--broker", broker.address, "--name", name]
            child = programs.start(name, command, {"ALPHALOOM_TOKEN": "secret"})
            hello, peer = await broker.edges.get()
            assert (hello.token, hello.model, hello.max_side) == ("secret", "texture-tiny", 2048)
            assert len(hello.models["texture-tiny"]) == 64
            await peer.say(m.Run("j", 1, SLOW))
            await peer.hear(m.Progress)
            os.kill(child.pid, signal.SIGTERM)
            await peer.hear(m.Drain)
            if patient:
                assert (await peer.hear(m.Result)).payload.startswith(b"\x89PNG")
            else:
                os.kill(child.pid, signal.SIGTERM)
                await peer.socket.wait_closed()
            assert child.wait(60) == 0


async def test_a_job_goes_through_with_progress_and_a_bad_one_does_no_harm(programs, tmp_path: Path) -> None:
    broker = programs.broker(tmp_path / "data")
    programs.edge(broker)
    async with joined(broker) as peer:
        await peer.edit(Node("bad", '("a", "b").blend(1)', settings=SMALL), Node("n", "red", settings=SMALL))
        await peer.say(m.Generate("bad", "j1"), m.Generate("n", "j2"))
        assert (await peer.hear(m.Progress)).steps == 2
        picture = await peer.hear(m.Picture)
        assert picture.node == "n" and picture.payload.startswith(b"\x89PNG")


async def test_over_tls_with_tokens_a_picture_is_made_of_an_uploaded_one(programs, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "broker.pem")
    data = tmp_path / "data"
    tokens = {role: new_token(data, role) for role in ("edge", "editor")}
    broker = programs.broker(data, "--no-eeg", "--certfile", str(tmp_path / "broker.pem"))
    assert broker.startswith("wss://")
    command = [PYTHON, "-m", "edge", "--broker", broker, "--cafile", str(tmp_path / "ca.pem")]
    programs.start("edge", command, {"ALPHALOOM_TOKEN": tokens["edge"]})
    trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    async with joined(broker, token=tokens["editor"], tls=trust) as peer:
        bearer = {"Authorization": f"Bearer {tokens['editor']}"}
        status, body = send(broker, "/v1/blobs", png(), tls=trust, **bearer)
        assert status == 201
        await peer.edit(Node("n", "red", task="img2img", source=body["blob"], settings=SMALL))
        await peer.say(m.Generate("n", "j"))
        assert (await peer.hear(m.Picture)).payload.startswith(b"\x89PNG")


def new_token(data: Path, role: str) -> str:
    add = [PYTHON, "-m", "broker", "token", "add", f"the-{role}", "--role", role, "--data", str(data)]
    return subprocess.run(add, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (30, 60, 200)).save(out, "PNG")
    return out.getvalue()


async def test_an_edge_that_is_killed_loses_no_job_and_one_comes_back_to_a_broker_that_was(programs, tmp_path: Path) -> None:
    data = tmp_path / "data"
    broker = programs.broker(data)
    port = int(broker.rsplit(":", 1)[1])
    programs.edge(broker, "first")
    async with joined(broker) as peer:
        await peer.edit(Node("n", "red", settings=Settings(width=256, height=256, steps=150)))
        await peer.say(m.Generate("n", "j"))
        await peer.hear(m.Progress)
        programs.kill("first")
        await peer.hear(m.JobChanged, lambda told: told.job.state == "queued" and told.job.attempt == 1)
        await peer.say(m.Cancel("j"))
        await peer.job("j", "cancelled")
    programs.edge(broker, "second")
    programs.kill("broker")
    broker = programs.broker(data, name="again", port=port)
    async with joined(broker) as peer:
        await peer.edit(update("n", settings_width=64, settings_height=64, settings_steps=2))
        await peer.say(m.Generate("n", "k"))
        assert (await peer.hear(m.Picture)).job == "k"
