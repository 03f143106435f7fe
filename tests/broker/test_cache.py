from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from broker.cache import Cache, key
from broker.store.writes import Cached
from protocol.model import Phrase, ResolvedRequest

REQUEST = ResolvedRequest("txt2img", (Phrase("moss"),), "", 64, 64, 4, 4.0, 1.0, 0, model="m")


def test_everything_that_decides_a_picture_is_in_its_key() -> None:
    others = [
        replace(REQUEST, seed=1),
        replace(REQUEST, phrases=(Phrase("moss", 0.5),)),
        replace(REQUEST, guidance=4.5),
        replace(REQUEST, model="n"),
        replace(REQUEST, source="a" * 64),
    ]
    keys = {key(request, "edge") for request in (REQUEST, *others)} | {key(REQUEST, "another edge")}
    assert len(keys) == 7 and key(REQUEST, "edge") == key(replace(REQUEST), "edge")


def test_a_picture_is_remembered_for_a_time() -> None:
    cache = Cache(60.0, 1000)
    assert cache.put(Cached("k", "blob", 10, 100.0), 100.0) == []
    assert cache.get("k", 159.0) == "blob" and cache.get("k", 161.0) is None
    assert cache.shrink(161.0) == ["k"] and len(cache) == 0 and cache.bytes == 0


def test_the_oldest_go_when_all_are_too_much() -> None:
    cache = Cache(60.0, 100)
    for n in range(3):
        gone = cache.put(Cached(f"k{n}", "blob", 40, float(n)), float(n))
    assert gone == ["k0"] and cache.get("k1", 3.0) and cache.bytes == 80


def test_one_that_is_larger_than_all_may_be_is_not_kept() -> None:
    cache = Cache(60.0, 100)
    assert cache.put(Cached("k", "blob", 101, 0.0), 0.0) == ["k"] and len(cache) == 0


def test_a_time_of_nought_remembers_nothing() -> None:
    assert Cache(0.0, 100).put(Cached("k", "blob", 1, 0.0), 0.0) == ["k"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 60), st.floats(0, 5)), max_size=40))
def test_the_quota_holds_and_the_sum_is_right(puts: list[tuple[str, int, float]]) -> None:
    cache, now = Cache(20.0, 100), 0.0
    kept: dict[str, int] = {}
    for name, size, later in puts:
        now += later
        kept[name] = size
        for gone in cache.put(Cached(name, name, size, now), now):
            del kept[gone]
        assert cache.bytes == sum(kept.values()) <= 100 and len(cache) == len(kept)
