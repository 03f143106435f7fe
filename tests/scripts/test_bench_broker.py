"""The `broker` benchmark: its arithmetic, and its arms for real."""

import io
import json
import sys
from pathlib import Path

import bench_broker_figures as figures
import bench_turns
import processes
import pytest
from bench_broker_arms import noop_edge
from bench_broker_arms.crowd import Replay, digest
from conftest import PYTHON, Programs
from PIL import Image

from protocol import edits, wire
from protocol import messages as m
from protocol.model import Change, Map, Node, Operation

SAID = """
alphaloom_loop_worst_seconds{of="wall"} %s
alphaloom_loop_worst_seconds{of="cpu"} 0.01
alphaloom_loop_callback_seconds_bucket{le="0.01"} %s
alphaloom_loop_callback_seconds_bucket{le="0.02"} %s
alphaloom_loop_callback_seconds_bucket{le="+Inf"} %s
alphaloom_edges 1.0
"""


def loop(*said: float) -> figures.Loop | None:
    return figures.loop(SAID % said)


def named(found: list[dict]) -> dict[str, dict]:
    return {result["name"]: result for result in found}


def test_the_longest_callback_is_that_of_the_load_and_not_of_the_start() -> None:
    before = loop(0.15, 90, 95, 96)
    assert figures.longest(before, loop(0.2, 190, 195, 197)) == 0.2
    assert figures.longest(before, loop(0.15, 190, 196, 197)) == 0.02  # no longer than so
    assert figures.longest(before, loop(0.15, 190, 195, 197)) == 0.15
    assert figures.longest(None, before) is None
    assert before is not None and before.over(0.02) == 1
    assert figures.loop("alphaloom_edges 1.0") is None


def test_jobs_are_compared_round_by_round() -> None:
    ours = figures.Jobs([[0.002] * 9, [0.004] * 9], [1000, 800], [0.5, 0.4])
    celery = figures.Jobs([[0.004] * 9, [0.004] * 9], [500, 500])
    found = named(figures.jobs({figures.OURS: ours, figures.NEW: ours, figures.CELERY: celery}, [0.001], (None, None)))
    assert found["durable job: round trip by Celery's"]["value"] == 0.75
    assert found["durable job: jobs a second by Celery's"]["value"] == pytest.approx(1.8)
    assert found["durable job: broker's CPU for one job"]["value"] == pytest.approx(500)
    assert found["with a new picture: round trip by Celery's"]["goal"] is None
    assert found["jobs: loop blocked, longest"]["reason"]


def test_without_celery_there_are_our_own_figures_and_none_is_guessed() -> None:
    ours = figures.Jobs([[0.002]], [1000], [0.5])
    rounds = {figures.OURS: ours, figures.NEW: ours, figures.CELERY: figures.Jobs()}
    found = named(figures.jobs(rounds, [0.001], (None, None), "not installed: no network"))
    assert found["durable job: jobs a second"]["holds"] is True
    assert found["durable job: round trip by Celery's"]["value"] is None
    assert "no network" in found["durable job: round trip by Celery's"]["reason"]


def report(last: dict[str, float], count: dict[str, int], **more: object) -> dict:
    ids = {"1": "a", "2": "b"}
    return {"sent": {}, "ids": ids, "last": last, "count": count, "errors": {}, "comebacks": 1, "gaps": 0} | more


def test_an_operation_has_arrived_when_the_last_fast_one_has_it() -> None:
    truth = {"nodes": {}, "links": {}, "revision": 2}
    same = [digest(Map(revision=2))]
    reports = [
        report({"1": 1.01, "2": 2.02}, {"1": 3, "2": 3}, sent={"a": 1.0, "b": 2.0}, digests=same),
        report({"1": 1.04, "2": 2.01}, {"1": 3, "2": 2}, digests=[*same, "0"]),
    ]
    found = named(figures.crowd(figures.Crowd(reports, 6, truth, [1e8] * 12, [0.2, None], (None, None))))
    assert found["crowd: operation to all fast ones, p99"]["value"] == pytest.approx(40)
    assert found["crowd: operations that not all fast ones heard"]["value"] == 1
    assert found["crowd: maps that are not the broker's"]["value"] == 1
    assert found["crowd: broker's memory, last third by first"]["value"] == 1


def test_a_map_is_made_of_what_was_heard() -> None:
    def heard(revision: int, change: Change) -> bytes:
        return str(wire.encode(m.Edited(Operation(revision, f"o{revision}", (change,))))).encode()

    replay = Replay()
    said = [heard(1, edits.create(Node("n"))), heard(2, Change("update", "node", "n", {"prompt": "sea"}))]
    whole = replay.map(replay.start(Map()), said)
    assert whole == Map({"n": Node("n", "sea")}, {}, 2)
    assert replay.map(replay.start(Map()), said) is whole
    assert digest(replay.map(replay.start(whole), [])) == digest(whole)


def test_the_no_op_edges_pictures_are_pictures_and_each_is_another() -> None:
    one, other = (noop_edge.png(64, 40, text) for text in ("a", "b"))
    with Image.open(io.BytesIO(one)) as picture:
        assert (picture.size, picture.mode) == ((64, 40), "RGB")
        picture.load()
    assert one != other


def test_an_arm_that_ends_or_hangs_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "arm.py"
    program.write_text(
        "import bench_turns\nfor q in bench_turns.questions():\n    print('noise'); q and bench_turns.answer(q * 2)\n"
    )
    with bench_turns.Arm("twice", [sys.executable, program]) as arm:
        assert [arm.ask(4), arm.ask("x")] == [8, "xx"]
        with pytest.raises(processes.ChildError, match="twice"):
            arm.ask(0, limit=0.5)
        with pytest.raises(processes.ChildError, match="twice"):
            arm.ask(1)


def test_jobs_and_a_crowd_are_measured_for_real(programs: Programs, tmp_path: Path) -> None:
    broker = programs.broker(tmp_path / "data")
    programs.noop_edge(broker, "--model", "noop")
    arms = processes.ROOT / "scripts/bench_broker_arms"
    with bench_turns.Arm("client", [PYTHON, arms / "jobs_client.py", broker, "noop"]) as arm:
        assert len(arm.ask({"trips": 5})) == 5
        assert arm.ask({"seconds": 0.2, "window": 4}) > 0
    with bench_turns.Arm("crowd", [PYTHON, arms / "crowd.py", broker, "12", "0"]) as arm:
        assert arm.hear()["fast"] == 10
        arm.ask({"seconds": 0.5, "rate": 20})
        truth = processes.get(broker.replace("ws:", "http:") + "/v1/rooms/main/map")
        seen = arm.ask({"revision": truth["revision"]})
    found = named(figures.crowd(figures.Crowd([seen], 10, truth, [], [None], (None, None))))
    assert json.dumps(found)
    assert found["crowd: maps that are not the broker's"]["value"] == 0
    assert found["crowd: operations that not all fast ones heard"]["value"] == 0
