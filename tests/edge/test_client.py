"""The edge as a process of its own, against a real broker."""

import subprocess
from pathlib import Path

from conftest import PYTHON, ROOT
from peers import joined

from protocol import messages as m
from protocol.model import Node, Settings

SMALL = Settings(width=64, height=64, steps=2)


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


async def test_a_job_goes_through_with_progress_and_a_bad_one_does_no_harm(programs, tmp_path: Path) -> None:
    broker = programs.broker(tmp_path / "data")
    programs.edge(broker)
    async with joined(broker) as peer:
        bad = Node("bad", '("a", "b").blend(1)', settings=SMALL)
        await peer.say(
            m.PutNode(bad), m.Generate("bad", "j1"), m.PutNode(Node("n", "red", settings=SMALL)), m.Generate("n", "j2")
        )
        assert (await peer.hear(m.Progress)).steps == 2
        picture = await peer.hear(m.Picture)
        assert picture.node == "n" and picture.payload.startswith(b"\x89PNG")


async def test_an_edge_that_is_killed_loses_no_job_and_one_comes_back_to_a_broker_that_was(programs, tmp_path: Path) -> None:
    data = tmp_path / "data"
    broker = programs.broker(data)
    port = int(broker.rsplit(":", 1)[1])
    programs.edge(broker, "first")
    async with joined(broker) as peer:
        slow = Node("n", "red", settings=Settings(width=256, height=256, steps=150))
        await peer.say(m.PutNode(slow), m.Generate("n", "j"))
        await peer.hear(m.Progress)
        programs.kill("first")
        while (job := (await peer.hear(m.JobChanged)).job).state != "queued" or job.attempt != 1:
            pass
        await peer.say(m.Cancel("j"))
    programs.edge(broker, "second")
    programs.kill("broker")
    broker = programs.broker(data, name="again", port=port)
    async with joined(broker) as peer:
        await peer.say(m.PutNode(Node("n", "red", settings=SMALL)), m.Generate("n", "k"))
        assert (await peer.hear(m.Picture)).job == "k"
