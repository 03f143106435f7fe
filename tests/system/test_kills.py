"""Whatever dies, every accepted job ends, once, and everybody sees it. Real processes, SIGKILL at random moments."""

import asyncio
import contextlib
import hashlib
import os
import random
import re
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import peers
import pytest
from askers import Asker, wrong
from conftest import Programs

from broker.store import Store
from protocol.model import ENDED, Node

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
NODES = ("a", "b", "c")
VICTIMS = (("edge",), ("broker",), ("edge", "broker"))


class Trial:
    """A broker, an edge and some people; what is killed is started again, on the same port and folder."""

    def __init__(self, programs: Programs, folder: Path, seed: int, real_edge: bool = False):
        self._programs, self._folder, self._real = programs, folder, real_edge
        self._random = random.Random(seed)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self.broker = self._start("broker")
        self._start("edge")
        self.askers = [Asker(self.broker, f"p{n}", seed, NODES[n % 2 :]) for n in range(4)]

    def _start(self, name: str) -> str:
        if name == "broker":
            return self._programs.broker(self._folder, "--no-eeg", port=self._port)
        if self._real:
            self._programs.edge(self.broker)
        else:
            self._programs.noop_edge(self.broker, "--slots", "3", "--delay", "0.002", "0.08")
        return ""

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        async with peers.joined(self.broker) as peer:
            await peer.edit(*(Node(name, f"a picture of {name}") for name in NODES))
        tasks = [asyncio.create_task(asker.live()) for asker in self.askers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def round(self, victims: tuple[str, ...], pause: tuple[float, float]) -> None:
        """Kill, start again, and wait until all that had been accepted before has ended."""
        await asyncio.sleep(self._random.uniform(*pause))
        accepted = {asker: asker.accepted for asker in self.askers}
        for victim in victims:
            self._programs.kill(victim)
        for victim in reversed(victims):  # an edge that comes before its broker would end at once
            await asyncio.to_thread(self._start, victim)
        for asker, jobs in accepted.items():
            await asker.until_ended(jobs)

    def check(self) -> Counter[str]:
        """Of everything that anybody was told, and of what is on the disk: how many jobs ended in which way."""
        self._programs.end("edge", "broker")
        store = Store(self._folder)
        try:
            ends: Counter[str] = Counter()
            for asker in self.askers:
                assert not asker.refused, asker.refused[:3]
                for id, words in asker.told.items():
                    assert not (problem := wrong(words)), f"{asker.name}'s job {id}: {problem}"
                    kept, told = store.job(id), words[-1].job
                    assert kept is not None, f"{asker.name}'s job {id} was forgotten"
                    assert (kept.state, kept.picture, kept.attempt) == (told.state, told.picture, told.attempt)
                    if kept.state == "done":
                        assert kept.picture and hashlib.sha256(store.blobs.get(kept.picture)).hexdigest() == kept.picture
                    ends[kept.state] += 1
            open_ = [job for asker in self.askers for job in store.jobs(person=asker.name, limit=10**6)]
            assert len(open_) == sum(ends.values()) and {job.state for job in open_} <= ENDED
            for node in NODES:
                made = [job.id for job in store.history("main", node, limit=10**6)]
                assert len(made) == len(set(made))
        finally:
            store.close()
        return ends

    def check_files(self) -> None:
        """Each blob is what its name says, and what a killed broker left half written is removed in time."""
        blobs = self._folder / "blobs"
        files = [path for path in blobs.rglob("*") if path.is_file()]
        whole = [path for path in files if re.fullmatch(r"[0-9a-f]{64}", path.name)]
        parts = [path for path in files if path not in whole]
        for path in whole:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, f"{path} is torn"
        for path in parts:
            os.utime(path, (0, 0))  # a young one might be another program's
        self._start("broker")
        assert [path for path in blobs.rglob("*") if path.is_file() and path not in whole] == []


async def killed(
    trial: Trial, rounds: int, victims: tuple[tuple[str, ...], ...] = VICTIMS, pause: tuple[float, float] = (0.1, 0.8)
) -> None:
    async with trial.asking():
        for asker in trial.askers:
            await asker.until_any_ended()
        for number in range(rounds):
            chosen = victims[number % len(victims)]
            try:
                await trial.round(chosen, pause)
            except TimeoutError:
                pytest.fail(f"a job is stuck after round {number}, which killed {' and '.join(chosen)}")
        for asker in trial.askers:
            await asker.until_idle()
    ends = trial.check()
    trial.check_files()
    comebacks = sum(asker.connections for asker in trial.askers)
    print(f"{rounds} rounds, {comebacks} connections: {dict(ends)}")
    assert ends["done"] > rounds and set(ends) <= {"done", "failed"}


def new_seed() -> int:
    """Printed, so that a failure can be tried again."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    return seed


async def test_every_accepted_job_ends_once_whatever_is_killed(programs: Programs, tmp_path: Path) -> None:
    await killed(Trial(programs, tmp_path / "data", new_seed()), 5)


@pytest.mark.long
@pytest.mark.parametrize("victims", VICTIMS, ids=" and ".join)
async def test_a_hundred_kills_lose_no_job_and_end_none_twice(
    programs: Programs, tmp_path: Path, victims: tuple[str, ...]
) -> None:
    await killed(Trial(programs, tmp_path / "data", new_seed()), 100, (victims,))


@pytest.mark.long
async def test_a_real_edge_that_is_killed_loses_no_job_either(programs: Programs, tmp_path: Path) -> None:
    await killed(Trial(programs, tmp_path / "data", new_seed(), real_edge=True), 12, pause=(0.5, 3.0))
