from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from stores import Place, Places

from broker import store as s
from broker.store import Store, tables
from protocol.model import Change, Job, JobState, Link, Node, Operation

_ids = st.sampled_from(["a", "b", "c"])
_rooms = st.sampled_from(["main", "attic"])
_times = st.sampled_from([0.0, 1.5])
_states = st.sampled_from(["queued", "running", "done", "failed"])
_words = st.text(max_size=5)


def _job(id: str, node: str, state: JobState, person: str) -> Job:
    """A job stays in its room."""
    return Job(id, node, state, room="attic" if id == "a" else "main", person=person)


_items = st.one_of(st.builds(Node, _ids, _words), st.builds(Link, _ids, _ids, _ids))
_operations = st.builds(Operation, st.integers(1, 3), _ids, st.just((Change("delete", "node", "a"),)))
WRITES = st.one_of(
    st.builds(s.PutRoom, st.builds(s.RoomRow, _rooms, _words, _times)),
    st.builds(s.DropRoom, _rooms),
    st.builds(s.PutItem, _rooms, _items, _times, st.integers(0, 9)),
    st.builds(s.PurgeItems, _rooms, *[st.lists(_ids, max_size=2).map(tuple)] * 2),
    st.builds(s.AddOperation, _rooms, _operations),
    st.builds(s.PutJob, st.builds(_job, _ids, _ids, _states, _words)),
    st.builds(s.PutCached, _ids, _words.map(lambda word: word.replace("\0", "")), st.integers(0, 9), _times),
    st.builds(s.DropCached, st.lists(_ids, max_size=2).map(tuple)),
    st.builds(s.PutFact, _ids, st.recursive(st.none() | _words | st.integers(), st.lists)),
)


def kept(store: Store) -> Any:
    return store.load(), store.jobs()


def in_any_order(store: Store) -> Any:
    loaded, jobs = kept(store)
    return loaded.rooms, loaded.facts, loaded.cache, {job.id: job for job in jobs}


def cleared(store: Store) -> Store:
    with store._database.writing() as db:
        for table in tables.metadata.sorted_tables:
            db.execute(table.delete())
    return store


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_batch_is_what_its_writes_are_one_by_one_and_written_again_changes_nothing(places: Places, database: str) -> None:
    together, apart = places(database).open(), places(database).open()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(WRITES, max_size=15))
    def holds(batch: list[s.Write]) -> None:
        cleared(together).write(batch)
        cleared(apart)
        for write in batch:
            apart.write([write])
        assert kept(together) == kept(apart)
        together.write(batch)
        assert in_any_order(together) == in_any_order(apart), "a room that was dropped and made anew has its jobs last"

    holds()


def test_all_of_a_batch_or_nothing(store: Store) -> None:
    store.write([s.PutJob(Job("1", "a"))])
    with pytest.raises(TypeError, match="str"):
        store.write([s.PutJob(Job("2", "a")), s.DropCached(("k",)), "no write"])  # type: ignore[list-item]
    assert [job.id for job in store.jobs()] == ["1"]
    store.write([])


def test_of_several_states_of_a_job_the_last_counts_and_jobs_keep_the_order_they_came_in(store: Store) -> None:
    store.write([s.PutJob(Job("1", "a")), s.PutJob(Job("2", "a")), s.PutJob(Job("1", "a", "running"))])
    store.write([s.PutJob(Job("3", "a")), s.PutJob(Job("1", "a", "queued", 1))])
    assert [(job.id, job.attempt) for job in store.load().jobs] == [("1", 1), ("2", 0), ("3", 0)]


def test_purging_a_node_takes_its_links_and_finished_jobs(store: Store) -> None:
    items = (
        Node("a"),
        Node("b"),
        Node("c"),
        Link("ab", "a", "b"),
        Link("ca", "c", "a"),
        Link("bc", "b", "c"),
        Link("l", "b", "c"),
    )
    store.write([s.PutRoom(s.RoomRow("main")), s.PutRoom(s.RoomRow("attic")), s.PutItem("attic", Node("a"))])
    store.write([s.PutItem("main", item, 1.0, 2) for item in items])
    store.write([s.PutJob(Job("1", "a", "done")), s.PutJob(Job("2", "a", "running")), s.PutJob(Job("3", "b", "done"))])
    store.write([s.PutJob(Job("4", "a", "done", room="attic")), s.PutJob(Job("5", "", "done"))])
    store.write([s.PurgeItems("main", ("a", ""), ("l",))])
    main, attic = sorted(store.load().rooms, key=lambda room: room.row.id, reverse=True)
    assert [stored.item.id for stored in main.nodes + main.links] == ["b", "c", "bc"]
    assert [stored.item.id for stored in attic.nodes] == ["a"]
    assert sorted(job.id for job in store.jobs()) == ["2", "3", "4", "5"]


def test_a_node_and_a_link_of_the_same_id_are_purged_each_on_its_own(store: Store) -> None:
    store.write([s.PutRoom(s.RoomRow("main")), *(s.PutItem("main", Node(id)) for id in ("a", "b", "same"))])
    store.write([s.PutItem("main", Link("same", "a", "b")), s.PutItem("main", Link("a", "b", "same"))])
    store.write([s.PutJob(Job("1", "same", "done"))])
    store.write([s.PurgeItems("main", links=("same",))])
    (room,) = store.load().rooms
    assert [stored.item.id for stored in room.nodes + room.links] == ["a", "b", "same", "a"]
    assert [job.id for job in store.jobs()] == ["1"]
    store.write([s.PurgeItems("main", ("a",))])
    (room,) = store.load().rooms
    assert [stored.item.id for stored in room.nodes + room.links] == ["b", "same", "a"]


def test_dropping_a_room_takes_all_that_is_in_it(place: Place) -> None:
    store = place.open()
    for room in ("main", "attic"):
        items = [s.PutItem(room, item) for item in (Node("a"), Link("l", "a", "a"))]
        log = s.AddOperation(room, Operation(1, "o", ()))
        store.write([s.PutRoom(s.RoomRow(room)), *items, log, s.PutJob(Job(room, "a", room=room))])
    store.write([s.DropRoom("attic")])
    for table in ("rooms", "nodes", "links", "operations", "jobs"):
        assert place.execute(f"SELECT count(*) FROM {table}") == [(1,)], table
    (room,) = store.load().rooms
    assert room.row.id == "main" and len(room.log) == 1


def test_only_the_newest_operations_are_loaded_and_older_ones_do_not_pile_up(place: Place) -> None:
    store = place.open()
    last = 7000
    for start in range(1, last, 500):
        log = [s.AddOperation("main", Operation(n, str(n), ())) for n in range(start, start + 500)]
        store.write([s.PutRoom(s.RoomRow("main", revision=start + 499)), *log])
    (room,) = store.load().rooms
    assert [logged.operation.revision for logged in room.log] == list(range(last - s.LOG_LENGTH + 1, last + 1))
    ((stored,),) = place.execute("SELECT count(*) FROM operations")
    assert stored <= s.LOG_LENGTH + 1001


def test_an_operation_that_is_stored_stays_as_it_is(store: Store) -> None:
    store.write([s.PutRoom(s.RoomRow("main")), s.AddOperation("main", Operation(1, "first", ()))])
    store.write([s.AddOperation("main", Operation(1, "second", ())), s.AddOperation("main", Operation(2, "third", ()))])
    assert [logged.operation.id for logged in store.load().rooms[0].log] == ["first", "third"]


def test_texts_that_databases_refuse_are_kept(store: Store) -> None:
    odd = 'nul \0, half a surrogate \ud83d, "quotes", \u2028 and 🌿'
    job = Job("1", "a", person=odd, error=odd)
    operation = Operation(1, "o", (Change("update", "node", "a", {"prompt": odd}),), odd)
    store.write([s.PutRoom(s.RoomRow("main", odd)), s.PutItem("main", Node("a", odd)), s.AddOperation("main", operation)])
    store.write([s.PutJob(job), s.PutFact("x", odd)])
    (room,) = (loaded := store.load()).rooms
    assert loaded.jobs == [job] and store.jobs(person=odd) == [job] and loaded.facts == {"x": odd}
    assert room.nodes[0].item == Node("a", odd) and room.log[0].operation == operation
    assert room.row.title.endswith('"quotes", \u2028 and 🌿')
