import asyncio
import os
import time
from dataclasses import replace
from typing import Any

import picture_files
import pytest
from stores import Place

from broker import store as s
from broker.store import Collected, Retention, Store
from broker.store.garbage import Collector
from protocol.model import Change, Job, Link, Modulation, Move, Node, Operation, Phrase, ResolvedRequest, Rule

NOW = time.time()
HOUR, DAY = 3600.0, 86400.0
REQUEST = ResolvedRequest("img2img", (Phrase("moss"),), "", 64, 64, None, 4.0, 0.6, 5)


def age(store: Store, name: str, seconds: float = DAY) -> str:
    """Let the blob be that old."""
    os.utime(store.blobs.path(name), (NOW - seconds,) * 2)
    return name


def old_blob(store: Store, data: bytes) -> str:
    return age(store, store.blobs.put(data))


def job(id: str, node: str, state: Any, hours_ago: float, **more: Any) -> s.PutJob:
    moment = NOW - hours_ago * HOUR
    return s.PutJob(Job(id, node, state, created=moment, ended=0.0 if state in ("queued", "running") else moment, **more))


def left(store: Store) -> set[str]:
    return {job.id for job in store.jobs(limit=10_000)}


@pytest.fixture
def store(place: Place) -> Store:
    made = place.open()
    made.write([s.PutRoom(s.RoomRow("main")), s.PutItem("main", Node("a")), s.PutItem("main", Node("b"))])
    return made


def test_an_empty_store_has_no_garbage(place: Place) -> None:
    assert place.open().collect_garbage(NOW, Retention()) == Collected()


def test_of_live_jobs_the_newest_picture_of_each_node_and_the_last_hours_stay(store: Store) -> None:
    made = [("1", "a", "done", 9), ("2", "a", "superseded", 8), ("3", "a", "done", 7), ("4", "a", "failed", 6)]
    made += [("5", "b", "done", 9), ("6", "b", "running", 9), ("7", "b", "superseded", 0.5), ("8", "a", "queued", 99)]
    store.write([job(*which, live=True) for which in made])
    store.write([job("9", "a", "done", 9), job("x", "a", "failed", 9)])
    assert store.collect_garbage(NOW, Retention()).jobs == 4
    # 3 is no longer the newest: 9, which was asked for, came later.
    assert left(store) == {"5", "6", "7", "8", "9", "x"}


def test_jobs_that_made_nothing_and_those_of_no_node_go_after_a_month(store: Store) -> None:
    month = 24.0 * 31
    made = [("1", "a", "failed"), ("2", "a", "cancelled"), ("3", "a", "superseded"), ("4", "", "done"), ("5", "gone", "done")]
    store.write([job(*which, month) for which in [*made, ("6", "a", "done"), ("7", "", "queued"), ("8", "a", "running")]])
    store.write([job("new" + which[0], *which[1:], 24 * 29) for which in made])
    assert store.collect_garbage(NOW, Retention()).jobs == 5
    assert left(store) == {"6", "7", "8"} | {f"new{n}" for n in range(1, 6)}


def test_what_was_deleted_a_month_ago_is_purged_with_its_jobs(store: Store) -> None:
    long_ago, lately = NOW - 31 * DAY, NOW - 29 * DAY
    items = [(Node("x"), long_ago), (Node("y"), lately), (Link("ax", "a", "x"), lately), (Link("ab", "a", "b"), long_ago)]
    store.write([s.PutItem("main", item, deleted, 1) for item, deleted in items])
    store.write([s.PutItem("main", Link("ba", "b", "a")), job("1", "x", "done", 1), job("2", "y", "done", 1)])
    collected = store.collect_garbage(NOW, Retention())
    assert collected == Collected(1, (("main", "x"),), (("main", "ax"), ("main", "ab")))
    (room,) = store.load().rooms
    assert [stored.item.id for stored in room.nodes + room.links] == ["a", "b", "y", "ba"]
    assert left(store) == {"2"}


def test_many_deleted_nodes_are_purged_in_several_steps(store: Store) -> None:
    store.write([s.PutItem("main", Node(f"n{n}"), NOW - 31 * DAY, 1) for n in range(50)])
    store.write([job(f"{node}-{n}", f"n{node}", "done", 1) for node in range(50) for n in range(12)])
    collected = store.collect_garbage(NOW, Retention())
    assert len(collected.nodes) == 50 and collected.jobs == 600
    assert len(store.load().rooms[0].nodes) == 2 and left(store) == set()


def test_of_the_cache_the_old_and_then_the_oldest_beyond_the_quota_go(store: Store) -> None:
    store.write([s.PutCached(f"k{n:04}", "blob", 10, NOW - n) for n in range(1200)])
    store.write([s.PutCached("old", "blob", 10**9, NOW - 31 * DAY)])
    collected = store.collect_garbage(NOW, Retention(cache_bytes=105))
    assert len(collected.cached) == 1191 and "old" in collected.cached
    assert {cached.key for cached in store.load().cache} == {f"k{n:04}" for n in range(10)}
    assert store.collect_garbage(NOW, Retention(cache_bytes=105)).cached == ()


def test_blobs_that_anything_speaks_of_stay_and_others_go_with_their_thumbnails(store: Store) -> None:
    names = iter([old_blob(store, b"%d" % n) for n in range(30)])
    request = replace(REQUEST, source=next(names), mask=next(names))
    modulation = Modulation(1.0, ("s",), (Move("alpha", 0.5, 2.0, "blend", 0.0, 1.0),))
    writes = [
        s.PutItem("main", Node("a", source=next(names), mask=next(names), picture=next(names))),
        s.PutItem("main", Node("x", picture=next(names)), NOW, 1),
        s.PutJob(Job("1", "a", "done", resolved=request, picture=next(names), modulation=modulation)),
        s.PutJob(Job("2", "", "queued", request=replace(REQUEST, source=next(names)))),
        s.PutCached("key", next(names), 10, NOW),
        s.AddOperation(
            "main",
            Operation(1, "o", (Change("create", "node", "a", {"source": next(names)}),)),
            (Change("update", "node", "a", {"picture": next(names)}),),
        ),
        s.PutFact("patch", (Rule("alpha", next(names), 0.1),)),
    ]
    store.write(writes)
    picture = old_blob(store, picture_files.encoded("PNG", (100, 100)))
    store.blobs.thumbnail(picture, 64)
    garbage = [*names, picture]
    size = sum(len(store.blobs.get(name)) for name in garbage)
    collected = store.collect_garbage(NOW, Retention())
    assert (collected.blobs, collected.bytes) == (len(garbage), size)
    assert not any(store.blobs.has(name) for name in garbage)
    assert [path for path in store.blobs.thumbnails.rglob("*") if path.is_file()] == []
    kept = [path for path in store.blobs.folder.rglob("*") if path.is_file()]
    assert len(kept) == 30 + 1 - len(garbage) == 12


@pytest.mark.parametrize("use", ["put", "has", "keep"])
def test_a_blob_that_nothing_speaks_of_yet_has_its_grace_since_it_was_last_used(store: Store, use: str) -> None:
    unused, used = old_blob(store, b"unused"), old_blob(store, b"used")
    getattr(store.blobs, use)(b"used" if use == "put" else used)
    assert store.collect_garbage(NOW, Retention()).blobs == 1
    assert store.blobs.has(used) and not store.blobs.has(unused)
    age(store, used)
    assert store.collect_garbage(NOW + 2 * HOUR, Retention()).blobs == 1


def test_what_is_asked_for_while_it_is_being_removed_stays_or_is_said_to_be_gone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits: the event loop asks."""
    name = old_blob(store, b"unused")
    answers: list[bool] = []

    class Moments(dict[str, float]):
        def get(self, *which: Any) -> Any:
            """Asked just before and just after the collector looks who has asked."""
            answers.append(store.blobs.has(name))
            found = super().get(*which)
            answers.append(store.blobs.has(name))
            return found

    monkeypatch.setattr(store.blobs, "_asked", Moments())
    assert store.collect_garbage(NOW, Retention()).blobs == 0
    assert answers == [False, False] and store.blobs.get(name) == b"unused"
    monkeypatch.undo()
    assert store.blobs.has(name), "nobody removes it now"


def test_what_one_run_drops_keeps_its_blobs_until_the_next(store: Store) -> None:
    name = old_blob(store, b"cached")
    store.write([s.PutCached("key", name, 10, NOW - 31 * DAY)])
    assert store.collect_garbage(NOW, Retention()) == Collected(cached=("key",))
    assert store.blobs.get(name) == b"cached"
    assert store.collect_garbage(NOW, Retention()) == Collected(blobs=1, bytes=6)


def test_a_blob_that_is_spoken_of_anew_during_a_run_stays(store: Store) -> None:
    """The node is looked at before its source is set; the job that spoke of it is gone before it is looked at."""
    name = old_blob(store, b"source")
    store.write([job("1", "a", "done", 1, picture=name)])
    collector = Collector(store._database, store.blobs, NOW, Retention())
    looking = collector.look()
    next(looking)
    assert store.blobs.has(name), "as the hub asks when somebody sets it"
    store.write([s.PutItem("main", Node("a", source=name)), s.PurgeItems("main", ("b",))])
    store.write([s.PutJob(Job("1", "a", "failed"))])
    for _ in looking:
        pass
    for _ in collector.sweep():
        pass
    assert store.blobs.get(name) == b"source" and collector.collected.blobs == 0


async def test_others_have_their_turn_between_the_steps(store: Store) -> None:
    store.write([job(f"{n:05}", "a", "failed", 24 * 31) for n in range(3000)])
    old_blob(store, b"garbage")
    collecting = asyncio.create_task(store.collect(NOW, Retention()))
    written = 0
    while not collecting.done():
        await store.run(store.write, [job(f"new{written}", "a", "queued", 0)])
        written += 1
    collected = await collecting
    assert (collected.jobs, collected.blobs) == (3000, 1)
    assert written > 3 and len(store.load().jobs) == written
