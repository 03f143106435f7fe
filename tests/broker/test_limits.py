import pytest

from broker.limits import Bucket, Buckets, Connections
from protocol.errors import AlphaloomError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_then_as_many_a_second_as_the_rate() -> None:
    clock = Clock()
    bucket = Bucket(rate=2.0, burst=3, clock=clock)
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    clock.now += 0.5
    assert bucket.take() == 0.0 and bucket.take() == 0.5


def test_what_is_refused_costs_nothing() -> None:
    clock = Clock()
    bucket = Bucket(rate=1.0, burst=1, clock=clock)
    bucket.take()
    waits = [bucket.take() for _ in range(100)]
    assert set(waits) == {1.0}
    clock.now += 1.0
    assert bucket.take() == 0.0


def test_a_long_rest_saves_no_more_than_the_burst() -> None:
    clock = Clock()
    bucket = Bucket(rate=10.0, burst=5, clock=clock)
    clock.now += 3600
    assert [bucket.take() for _ in range(6)].count(0.0) == 5


def test_a_clock_that_steps_back_gives_and_takes_nothing() -> None:
    clock = Clock()
    bucket = Bucket(rate=1.0, burst=2, clock=clock)
    bucket.take()
    clock.now -= 50
    assert bucket.take() == 0.0 and bucket.take() == 1.0


def test_each_name_has_its_own_bucket() -> None:
    buckets = Buckets(1.0, 1, clock=Clock())
    assert buckets.take("a") == 0.0 and buckets.take("a") > 0 and buckets.take("b") == 0.0


def test_names_without_end_fill_no_memory_and_who_comes_often_is_not_forgotten() -> None:
    buckets = Buckets(1.0, 1, most=100, clock=Clock())
    buckets.take("often")
    for number in range(1000):
        buckets.take(f"once-{number}")
        assert buckets.take("often") > 0
    assert len(buckets) == 100


def test_connections_are_counted_up_and_down_whatever_happens_within() -> None:
    connections = Connections(2)
    with connections.enter(), connections.enter():
        with pytest.raises(AlphaloomError) as refused, connections.enter():
            pass
        assert refused.value.code == "too_many_connections" and refused.value.detail == {"limit": 2}
        assert connections.open == 2
    with pytest.raises(ZeroDivisionError), connections.enter():
        raise ZeroDivisionError
    assert connections.open == 0


def test_what_is_spent_beyond_the_burst_is_paid_for_by_resting() -> None:
    clock = Clock()
    bucket = Bucket(rate=2.0, burst=1, clock=clock)
    assert [bucket.spend(), bucket.spend(), bucket.spend()] == [0.0, 0.5, 1.0]
    clock.now += 1.0
    assert bucket.spend() == 0.5
