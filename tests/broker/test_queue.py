from hypothesis import given
from hypothesis import strategies as st

from broker.queue import FairQueue
from protocol.model import Job


def queue_of(*jobs: tuple[str, str, int]) -> FairQueue:
    queue = FairQueue()
    for id, person, priority in jobs:
        queue.push(Job(id, "", person=person, priority=priority))
    return queue


def taken(queue: FairQueue, fits=lambda job: True) -> list[str]:
    found = []
    while job := queue.take(fits):
        found.append(job.id)
    return found


def test_people_take_turns_whoever_has_asked_for_more() -> None:
    queue = queue_of(*((f"a{n}", "ann", 0) for n in range(4)), ("b0", "bob", 0), ("c0", "cy", 0), ("b1", "bob", 0))
    assert taken(queue) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_a_priority_counts_among_ones_own_jobs_only() -> None:
    assert taken(queue_of(("a", "ann", 0), ("b", "bob", 0), ("urgent", "bob", 10))) == ["a", "urgent", "b"]


def test_what_does_not_fit_is_left_where_it_is() -> None:
    queue = queue_of(("large", "ann", 0), ("small", "ann", 0))
    assert taken(queue, lambda job: job.id == "small") == ["small"]
    assert taken(queue) == ["large"]


def test_a_job_that_comes_back_has_its_old_place() -> None:
    queue = queue_of(("a", "ann", 0), ("b", "ann", 0))
    first = queue.take(lambda job: True)
    assert first is not None
    queue.push(first)
    assert taken(queue) == ["a", "b"]


def test_the_time_of_waiting_begins_anew_when_a_job_comes_back() -> None:
    queue = FairQueue()
    queue.push(Job("a", ""), 10.0)
    assert queue.waited("a", 15.0) == 5.0
    queue.take(lambda job: True)
    queue.push(Job("a", ""), 20.0)
    assert queue.waited("a", 21.0) == 1.0


def test_an_ended_job_is_forgotten() -> None:
    queue = queue_of(("a", "ann", 0), ("b", "ann", 0))
    queue.forget("a")
    queue.forget("never there")
    assert "a" not in queue and len(queue) == 1 and queue.waiting("ann") == 1 and taken(queue) == ["b"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-2, 2)), max_size=40))
def test_the_order_that_is_shown_is_the_order_in_which_they_are_taken(asked: list[tuple[str, int]]) -> None:
    queue = queue_of(*((str(n), person, priority) for n, (person, priority) in enumerate(asked)))
    shown = [job.id for job in queue.order()]
    assert shown == taken(queue) and len(shown) == len(asked)
