import time

from broker.dispatch import Edge
from broker.estimate import Pace, places
from broker.executions import Execution
from protocol import messages as m
from protocol.model import Job, Phrase, ResolvedRequest, Settings


def request(side: int = 1000, steps: int | None = 10) -> ResolvedRequest:
    return ResolvedRequest("txt2img", (Phrase("a"),), "", side, side, steps, 4.0, 1.0, 0)


def test_the_pace_is_learnt_by_size_and_steps() -> None:
    pace = Pace()
    assert pace.seconds(request()) is None
    pace.learn(request(), 5.0)
    assert pace.seconds(request(steps=20)) == pace.seconds(request(steps=None)) == 10.0
    assert pace.seconds(Settings(500, 1000, 10)) == 2.5


def test_who_waits_is_told_of_all_that_comes_before_shared_among_the_edges() -> None:
    pace, edge = Pace(), Edge(m.Hello(2, "edge", slots=2))
    pace.learn(request(), 4.0)
    running = Execution("r", 1, request(), "", edge, False, time.monotonic(), 0.0)
    waiting = [Job("a", "", person="ann"), Job("b", "", person="bob")]
    found = places(waiting, lambda job: request(), [running], [edge], pace)
    assert found["ann"]["a"].position == 1 and found["bob"]["b"].position == 2
    first, second = found["ann"]["a"].seconds, found["bob"]["b"].seconds
    assert first is not None and second is not None and 3.9 < first <= 4.0 < 5.9 < second <= 6.0


def test_without_an_edge_nobody_knows_when() -> None:
    pace = Pace()
    pace.learn(request(), 4.0)
    assert places([Job("a", "")], lambda job: request(), [], [], pace)[""]["a"].seconds is None
