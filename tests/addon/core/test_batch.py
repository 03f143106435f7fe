"""Batches without Blender: a broker's answers are said by the test."""

import json
from pathlib import Path

import pytest

from addon.core.batch import AGAIN_S, AT_ONCE, Batch, Frame, write
from protocol import messages as m
from protocol import wire
from protocol.errors import AlphaloomError
from protocol.model import Job, Map, Phrase, ResolvedRequest

REQUEST = ResolvedRequest("txt2img", (Phrase("moss"),), "", 64, 64, 2, 4.0, 1.0, 0)
SNAPSHOT = m.Snapshot(Map(), (), (), 0, "")


class Desk:
    """A batch of so many frames, and what it asks."""

    def __init__(self, folder: Path, count: int = 3, eeg: bool = False) -> None:
        self.asked: list[tuple[str, object]] = []
        self.said: list[object] = []
        frames = [Frame(n, folder / f"f_{n}.png", {"seed": n}) for n in range(1, count + 1)]
        self.batch = Batch("main", "n", frames, eeg, lambda _, path, then: self.asked.append((path, then)), self.said.append)
        self.batch.step(0.0)

    def answer(self, said: object, which: int = 0) -> str:
        path, then = self.asked.pop(which)
        if isinstance(said, ResolvedRequest | Job):
            said = json.dumps(wire.plain(said)).encode()
        then(said)
        return path

    def jobs(self) -> list[str]:
        return [message.job for message in self.said if isinstance(message, m.Generate)]

    def picture(self, job: str, data: bytes = b"png") -> None:
        self.batch.hear(m.Picture("", job, "blob", "image/png", data))

    def ended(self, job: str, state: str = "done", **more: object) -> None:
        self.batch.hear(m.JobChanged(Job(job, "", state, **more)))


def test_each_frame_is_resolved_asked_for_and_written(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 2)
    assert desk.answer(REQUEST) == "/v1/rooms/main/nodes/n/request?eeg=false&seed=1"
    desk.answer(REQUEST)
    first, second = desk.jobs()
    assert desk.said[0] == m.Generate("", first, request=REQUEST)
    desk.picture(second, b"two")
    desk.ended(first, picture="blob")
    assert not desk.batch.is_over
    desk.picture(first, b"one")
    assert desk.batch.is_over and desk.batch.done == 2
    assert [(tmp_path / f"f_{n}.png").read_bytes() for n in (1, 2)] == [b"one", b"two"]


def test_some_frames_are_under_way_at_once_but_with_eeg_only_one(tmp_path: Path) -> None:
    assert len(Desk(tmp_path, 9).asked) == AT_ONCE
    desk = Desk(tmp_path, 9, eeg=True)
    assert len(desk.asked) == 1
    assert desk.answer(REQUEST) == "/v1/rooms/main/nodes/n/request?eeg=true&seed=1"
    desk.batch.step(1.0)
    assert desk.asked == []
    desk.picture(*desk.jobs())
    desk.batch.step(2.0)
    assert desk.asked[0][0].endswith("seed=2")


def test_a_remembered_picture_is_fetched(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 1)
    desk.answer(REQUEST)
    desk.ended(*desk.jobs(), picture="hash", cached=True)
    assert desk.answer(b"png") == "/v1/blobs/hash"
    assert desk.batch.is_over and (tmp_path / "f_1.png").read_bytes() == b"png"


def test_a_frame_that_fails_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 3)
    desk.answer(AlphaloomError("no_source", "img2img needs a source picture."))
    desk.answer(REQUEST)
    desk.answer(REQUEST)
    failing, working = desk.jobs()
    desk.ended(failing, "failed", error="out of memory")
    desk.picture(working)
    assert desk.batch.is_over and desk.batch.done == 1 and desk.batch.problem == ""
    assert desk.batch.failed == {1: "img2img needs a source picture.", 2: "out of memory"}


@pytest.mark.parametrize("code", ["no_broker", "too_fast", "queue_full"])
def test_what_cannot_be_done_now_is_done_a_little_later(tmp_path: Path, code: str) -> None:
    desk = Desk(tmp_path, 1)
    desk.answer(AlphaloomError(code, "not now"))
    desk.batch.step(AGAIN_S / 2)
    assert desk.asked == []
    desk.batch.step(AGAIN_S)
    desk.answer(REQUEST)
    desk.picture(*desk.jobs())
    assert desk.batch.done == 1


def test_a_node_that_is_gone_stops_the_batch(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 3)
    desk.answer(REQUEST)
    desk.answer(AlphaloomError("unknown_node", "No node 'n' is on the map."))
    assert desk.batch.is_over and desk.batch.problem == "No node 'n' is on the map."
    assert desk.said[-1] == m.Cancel(*desk.jobs())
    desk.answer(REQUEST)  # of before
    assert len(desk.said) == 2


def test_a_picture_that_was_missed_while_the_connection_was_lost_is_looked_up(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 4)
    for _ in range(3):
        desk.answer(REQUEST)
    done, runs, unheard = desk.jobs()
    desk.batch.hear(SNAPSHOT)
    asked = dict(desk.asked[1:])
    assert list(asked) == [f"/v1/jobs/{job}" for job in (done, runs, unheard)]
    late = desk.asked.pop(0)[1]  # of before: nothing answers it any more
    asked[f"/v1/jobs/{done}"](json.dumps(wire.plain(Job(done, "", "done", picture="hash"))).encode())
    asked[f"/v1/jobs/{runs}"](json.dumps(wire.plain(Job(runs, "", "running"))).encode())
    asked[f"/v1/jobs/{unheard}"](AlphaloomError("unknown_job", "No job is called so."))
    desk.ended(done, picture="hash")  # the outbox has asked again
    assert desk.answer(b"png", -1) == "/v1/blobs/hash"
    desk.ended(runs, picture="other")
    assert desk.answer(b"png", -1) == "/v1/blobs/other"
    desk.asked.clear()
    late(json.dumps(wire.plain(REQUEST)).encode())
    assert len(desk.jobs()) == 3 and desk.batch.done == 2
    desk.batch.step(10.0)
    assert [path[-6:] for path, _ in desk.asked] == ["seed=3", "seed=4"]


def test_cancelled_it_calls_off_its_jobs_and_hears_nothing_more(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 9)
    desk.answer(REQUEST)
    desk.batch.stop("Cancelled.")
    assert desk.batch.is_over and desk.said[-1] == m.Cancel(*desk.jobs())
    desk.picture(*desk.jobs())
    desk.answer(REQUEST)
    assert list(tmp_path.iterdir()) == [] and desk.batch.done == 0


def test_a_file_that_cannot_be_written_stops_it_and_leaves_what_was_there(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "nowhere", 3)
    desk.answer(REQUEST)
    desk.picture(*desk.jobs())
    assert desk.batch.is_over and "f_1.png cannot be written: No such file" in desk.batch.problem
    (tmp_path / "f.png").mkdir()
    with pytest.raises(OSError):
        write(tmp_path / "f.png", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["f.png"]


def test_an_answer_that_cannot_be_read_fails_its_frame(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 1)
    desk.answer(b"[]")
    assert "cannot be read" in desk.batch.failed[1]
