"""A real broker hears what nobody should say: it answers, goes on, and nothing is left behind."""

import asyncio
import contextlib
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fuzzing
import hypothesis
import processes
import pytest
import websockets
from conftest import Programs
from fuzzing import Talk
from hypothesis import HealthCheck, Phase
from peers import Peer, edit, joined, send, working_edge
from picture_files import png
from websockets.asyncio.client import ClientConnection, connect

from protocol import address, wire
from protocol import messages as m
from protocol.model import Node, Phrase, ResolvedRequest, new_id

SEED = int(os.environ.get("ALPHALOOM_FUZZ_SEED", "0"))
"""Each is another trial."""
GATHERINGS = 60
"""In one round."""
ANSWER_S = 60.0
LONG = [pytest.mark.long, pytest.mark.timeout(3600)]
UNLIMITED = ("--no-eeg", "--messages-per-s", "1e6", "--messages-burst", "1000000", "--requests-per-s", "1e6")


class Trial:
    """A broker, an edge that does its work, and a loop for those who talk to them."""

    def __init__(self, programs: Programs, folder: Path):
        self.broker = programs.broker(folder / "data", *UNLIMITED)
        self.log = programs.logs / "broker.log"
        self.sent = 0
        self._read = 0
        self._lately: deque[list[Talk]] = deque(maxlen=3)
        self._runner = asyncio.Runner()
        self._edge = contextlib.AsyncExitStack()

    def run(self, talks: Any) -> Any:
        return self._runner.run(talks)

    async def start(self) -> None:
        await self._edge.enter_async_context(working_edge(self.broker))

    def close(self) -> None:
        self.run(self._edge.aclose())
        self._runner.close()

    def round(self, number: int) -> None:
        """So many gatherings; one that goes wrong is cut down to what is needed for it."""

        @hypothesis.seed(SEED * 1_000_003 + number)
        @hypothesis.settings(
            max_examples=GATHERINGS,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        @hypothesis.given(fuzzing.gatherings)
        def gather(talks: list[Talk]) -> None:
            # Who left at once is still heard while the next ones talk.
            self._lately.append(talks)
            for when, each in enumerate(reversed(self._lately)):
                hypothesis.note(f"{when} before:\n" + "\n".join(map(repr, each)))
            self.run(self._all(talks))
            self.sent += sum(len(talk.frames) for talk in talks)
            assert not (found := self.complaints()), found

        gather()

    async def _all(self, talks: list[Talk]) -> None:
        for problem in await asyncio.gather(*(self._talk(talk) for talk in talks)):
            assert not problem, problem

    async def _talk(self, talk: Talk) -> str:
        """What was wrong with the broker; empty if nothing was."""
        async with connect(address.parse(self.broker).ws, proxy=None, max_size=None, ping_interval=None) as socket:
            fence = new_id()
            reading = asyncio.create_task(_answered(socket, fence, talk.answers))
            try:
                if talk.role != "stranger":
                    await socket.send(fuzzing.hello(talk))
                for frame in talk.frames:
                    await socket.send(frame)
                if talk.leaves_at_once:
                    socket.transport.abort()
                    return ""
                await socket.send(wire.encode(m.JobFailed(fence, 1, "x", "") if talk.role == "edge" else m.Cancel(fence)))
                problem = await asyncio.wait_for(reading, ANSWER_S)
            except websockets.ConnectionClosed:
                problem = await asyncio.wait_for(reading, ANSWER_S)
            except TimeoutError:
                return f"A {talk.role} was not answered within {ANSWER_S:g} s."
            finally:
                reading.cancel()
            # Who has not said who they are may be told why not, and shown out.
            return (
                "" if talk.role == "stranger" and problem.startswith("told ") else problem and f"A {talk.role} was {problem}."
            )

    def complaints(self) -> str:
        """What is new in the log and should not be."""
        with open(self.log, "rb") as log:
            log.seek(self._read)
            raw = log.read()
        self._read += len(raw)
        new = raw.decode(errors="replace")
        found = re.search(r"(Traceback|ERROR|CRITICAL|Exception|never retrieved|was never awaited|RuntimeWarning)", new)
        return new[max(0, found.start() - 500) : found.start() + 4000] if found else ""

    def measure(self) -> dict[str, float]:
        """The broker's metrics without labels, and the open jobs in all."""
        with processes.urllib.request.urlopen(address.parse(self.broker).http + "/metrics") as answer:
            text = answer.read().decode()
        found = {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}
        found["jobs"] = sum(map(float, re.findall(r"^alphaloom_jobs_open\{.*\} (\S+)$", text, re.MULTILINE)))
        found["edges"] = sum(map(float, re.findall(r"^alphaloom_edges\{.*\} (\S+)$", text, re.MULTILINE)))
        return found

    def calm(self) -> dict[str, float]:
        """The metrics once everybody has left and every job has ended."""
        for _ in processes.until(90):
            self.run(asyncio.sleep(0.05))  # the edge has its turn
            found = self.measure()
            if (found["alphaloom_clients"], found["edges"], found["jobs"]) == (0, 1, 0):
                return found
        raise AssertionError(f"Not all have left, or not all jobs have ended: {found}")


async def _answered(socket: ClientConnection, fence: str, answers: Sequence[fuzzing.Frame]) -> str:
    """Reads until the fence has been answered. What was wrong instead: `told CODE and shown out`, or how it was closed."""
    told, left = "", list(answers)
    try:
        async for data in socket:
            said = wire.decode(data)  # raises for what we should not have said
            if isinstance(said, m.Run) and left:
                for frame in left:
                    await socket.send(fuzzing.answered(frame, said.job, said.attempt))
                left = left[1:]
            if isinstance(said, m.Error):
                told = said.code
                if said.about == fence:
                    return ""
    except websockets.ConnectionClosed:
        pass
    return (
        f"told {told} and shown out"
        if told and socket.close_code == 1002
        else f"closed: {socket.close_code} {socket.close_reason}"
    )


async def normal_job(broker: str) -> None:
    """As if nothing had been."""
    async with joined(broker, name="dee") as client:
        await client.hear(m.Snapshot)
        node, job = new_id(), new_id()
        await client.edit(Node(node, "moss"))
        await client.say(m.Generate(node, job))
        await client.job(job, "done")
        direct = ResolvedRequest("txt2img", (Phrase("lava"),), "", 64, 64, 1, 4.0, 0.6, 987_654)
        await client.say(m.Generate("", job := new_id(), 0, direct))
        picture = await client.hear(m.Picture, lambda picture: picture.job == job)
        assert picture.payload == png(64, 64)
        await client.say(edit(Node(node)))


@pytest.fixture
def trial(programs: Programs, tmp_path: Path) -> Iterator[Trial]:
    made = Trial(programs, tmp_path)
    made.run(made.start())
    yield made
    made.close()


@pytest.mark.parametrize("count", [2_000, pytest.param(50_000, marks=LONG)])
def test_whatever_is_said_is_answered_and_leaves_nothing_behind(trial: Trial, count: int) -> None:
    number, warm = 0, {}
    while trial.sent < count:
        trial.round(number)
        number += 1
        if not warm and trial.sent > count / 4:
            warm = trial.calm()
    calm = trial.calm()
    print(f"{trial.sent} messages; when warm {_size(warm)}, at the end {_size(calm)}")
    trial.run(normal_job(trial.broker))
    assert not trial.complaints()
    assert calm.get("process_open_fds", 0) <= warm.get("process_open_fds", 0) + 2
    assert calm.get("process_resident_memory_bytes", 0) <= warm.get("process_resident_memory_bytes", 0) + (48 << 20)


def _size(found: dict[str, float]) -> str:
    return f"{found.get('process_resident_memory_bytes', 0) / 1e6:.0f} MB, {found.get('process_open_fds', 0):.0f} files"


async def test_text_that_is_no_utf8_ends_the_connection_and_nothing_else(programs: Programs, tmp_path: Path) -> None:
    """WebSocket says that it must."""
    broker = programs.broker(tmp_path / "data")
    async with joined(broker) as client, joined(broker) as other:
        await client.hear(m.Snapshot)
        await client.socket.send(b"\xff\xfe", text=True)
        with pytest.raises(websockets.ConnectionClosed) as caught:
            while True:
                await client.socket.recv()
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1007
        await other.hear(m.Snapshot)
        await other.edit(Node("n", "x"))
    assert "Traceback" not in (programs.logs / "broker.log").read_text()


async def test_what_uses_the_wrong_door_is_told(programs: Programs, tmp_path: Path) -> None:
    """HTTP where a WebSocket is, and the other way round."""
    broker = programs.broker(tmp_path / "data")
    status, problem = await asyncio.to_thread(send, broker, "/v1/ws", b"{}")
    assert 400 <= status < 500 and problem["code"]
    with pytest.raises(websockets.InvalidStatus):
        async with connect(broker + "/v1/jobs", proxy=None):
            pass
    async with joined(broker) as client:
        assert isinstance(client, Peer) and await client.hear(m.Snapshot)
    assert "Traceback" not in (programs.logs / "broker.log").read_text()
