"""Edges that leave, and edges that fall silent: whose job is whose."""

import asyncio
import signal
import sys
from pathlib import Path

import processes
import pytest
from conftest import Programs
from peers import Peer, joined

from protocol import messages as m
from protocol.model import Job, Phrase, ResolvedRequest, new_id

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")
STEPS = 100
"""So many that something can happen meanwhile."""


async def ask(peer: Peer, steps: int, seed: int) -> str:
    job = new_id()
    request = ResolvedRequest("txt2img", (Phrase("moss"),), "", 128, 128, steps, 4.0, 0.6, seed)
    await peer.say(m.Generate("", job, request=request))
    return job


async def done(peer: Peer, job: str) -> Job:
    async with asyncio.timeout(90):
        return await peer.job(job, "done")


def maker(job: Job) -> str:
    assert job.resolved is not None
    return job.resolved.model


async def test_an_edge_that_is_asked_to_end_finishes_its_job_and_the_next_goes_to_another(
    programs: Programs, tmp_path: Path
) -> None:
    broker = programs.broker(tmp_path / "data")
    programs.edge(broker)
    async with joined(broker) as peer:
        first = await ask(peer, STEPS, 1)
        await peer.hear(m.Progress)
        programs.noop_edge(broker, "--model", "other", name="other")
        programs.signal("edge", signal.SIGTERM)
        await asyncio.to_thread(programs.await_line, "edge", "jobs to finish: 1", 30)
        second = await ask(peer, 2, 2)
        assert maker(await done(peer, second)) == "other"
        made = await done(peer, first)
        assert (made.attempt, maker(made)) == (1, "texture-tiny")
    assert programs.wait("edge") == 0


@pytest.mark.parametrize("kind", ["real", "deaf"])
async def test_a_silent_edge_loses_its_job_is_not_heard_when_it_wakes_and_works_on(
    kind: str, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHALOOM_LEASE_S", "6")
    broker = programs.broker(tmp_path / "data")
    if kind == "real":
        programs.edge(broker)
    else:  # it sends its result however late, where a real one hears in time that nobody wants it
        programs.noop_edge(broker, "--delay", "1", "1", "--deaf", "--model", "texture-tiny")
    async with joined(broker) as peer:
        first = await ask(peer, STEPS, 1)
        await peer.job(first, "running")
        if kind == "real":
            await peer.hear(m.Progress)
        programs.signal("edge", signal.SIGSTOP)
        programs.noop_edge(broker, "--model", "other", name="other")
        made = await done(peer, first)
        assert (made.attempt, maker(made)) == (2, "other")

        programs.signal("edge", signal.SIGCONT)
        refused = await asyncio.to_thread(programs.await_line, "edge", "the broker says", 30)
        programs.kill("other")
        second = await ask(peer, 2, 2)
        assert maker(await done(peer, second)) == "texture-tiny"
    assert ("not_your_job" if kind == "deaf" else first) in refused
    kept = processes.get(broker.replace("ws:", "http:") + f"/v1/jobs/{first}")
    assert kept["picture"] == made.picture and kept["attempt"] == 2
