import asyncio
from dataclasses import replace

import pytest
from stores import Place

from broker import store as s
from broker.store import Store
from protocol.errors import AlphaloomError
from protocol.model import Change, Job, Link, Modulation, Move, Node, Operation, Phrase, ResolvedRequest, Rule, Settings

REQUEST = ResolvedRequest("inpaint", (Phrase("moss", 0.25), Phrase("rust", 0.75)), "", 64, 64, None, 4.0, 0.6, 5, "m", "s", "k")
ROOM = s.PutRoom(s.RoomRow("main"))


def ids(jobs: list[Job]) -> str:
    return " ".join(job.id for job in jobs)


def test_what_was_stored_is_loaded_by_the_next_store(place: Place) -> None:
    main, other = s.RoomRow("main", "Möss", 1.5, 7), s.RoomRow("other", created=2.0)
    a, b, link = Node("a", "x", settings=Settings(seed=5)), Node("b", live=True), Link("l", "a", "b", "image", 3)
    operation = Operation(7, "o", (Change("update", "node", "a", {"x": 1.5, "settings.steps": None}),), "ann", 3.0, 5, 6)
    before = (Change("update", "node", "a", {"x": 0.0}),)
    place.open().write(
        [
            *(s.PutRoom(room) for room in (main, other)),
            *(s.PutItem("main", item) for item in (a, link)),
            s.PutItem("main", b, 4.0, 7),
            s.PutItem("other", Node("a")),
            s.AddOperation("main", operation, before),
            s.PutCached("key", "blob", 10, 5.0),
            s.PutFact("patch", (Rule("alpha", "blend", 0.1),)),
            s.PutFact("sham", True),
            *(s.PutJob(job) for job in (Job("1", "a"), Job("2", "a", "done"), Job("3", "b", "running"))),
        ]
    )
    loaded = place.reopen().load()
    assert loaded.rooms == [
        s.LoadedRoom(main, [s.Stored(a), s.Stored(b, 4.0, 7)], [s.Stored(link)], [s.Logged(operation, before)]),
        s.LoadedRoom(other, [s.Stored(Node("a"))], [], []),
    ]
    assert ids(loaded.jobs) == "1 3"
    assert loaded.facts == {"patch": (Rule("alpha", "blend", 0.1),), "sham": True}
    assert loaded.cache == [s.Cached("key", "blob", 10, 5.0)]


def test_an_empty_store_has_no_rooms(store: Store) -> None:
    assert store.load() == s.Loaded()


def test_everything_about_a_job_is_kept(store: Store) -> None:
    modulation = Modulation(2.0, ("headset",), (Move("alpha", 0.5, 2.0, "blend", 0.0, 1.0),), True)
    job = Job("j", "n", "done", 2, 1.5, "attic", "ann", 3, True, REQUEST, 2.5, True, REQUEST, modulation, "picture", "error")
    store.write([s.PutJob(job)])
    assert store.job("j") == job
    assert store.job("nothing") is None and store.job("\0") is None


def test_jobs_are_asked_for_by_person_state_and_room_newest_first(store: Store) -> None:
    jobs = [Job(str(n), "a", "done" if n % 2 else "queued", person="ann" if n < 6 else "bob") for n in range(9)]
    store.write([s.PutJob(replace(job, room="attic" if job.id == "1" else "main")) for job in jobs])
    assert ids(store.jobs()) == "8 7 6 5 4 3 2 1 0"
    assert ids(store.jobs(person="ann", state="done")) == "5 3 1"
    assert ids(store.jobs(person="ann", state="done", room="main")) == "5 3"
    assert ids(store.jobs(limit=2)) == "8 7"
    assert ids(store.jobs(state="done", limit=2, before="5")) == "3 1"
    assert store.jobs(person="nobody\0") == []
    with pytest.raises(AlphaloomError, match="'none'") as caught:
        store.jobs(before="none")
    assert caught.value.code == "unknown_job"


def test_a_nodes_history_are_its_pictures_newest_first_live_ones_when_asked_for(store: Store) -> None:
    made = (
        ("1", "a", "done"),
        ("2", "a", "done"),
        ("3", "b", "done"),
        ("4", "a", "failed"),
        ("5", "a", "done"),
        ("6", "a", "done"),
    )
    store.write([s.PutJob(Job(name, node, state, live=name == "5")) for name, node, state in made])
    assert ids(store.history("main", "a")) == "6 2 1"
    assert ids(store.history("main", "a", live=True, limit=2)) == "6 5"
    assert ids(store.history("main", "a", before="6")) == "2 1"
    assert store.history("attic", "a") == []


def test_the_newest_picture_of_each_node(store: Store) -> None:
    made = (("1", "a", "done"), ("2", "a", "done"), ("3", "b", "done"), ("4", "b", "failed"), ("5", "", "done"))
    store.write([s.PutJob(Job(name, node, state)) for name, node, state in made])
    store.write([s.PutJob(Job("6", "a", "done", room="attic"))])
    assert sorted(job.id for job in store.pictures("main")) == ["2", "3"]
    assert ids(store.pictures("attic")) == "6"


def test_tokens_are_put_replaced_and_dropped(place: Place) -> None:
    store = place.open()
    store.put_token(s.Token("bob", "viewer", "1", 1.0))
    store.put_token(s.Token("ann", "admin", "2", 2.0))
    store.put_token(s.Token("bob", "edge", "3", 3.0))
    assert place.reopen().tokens() == [s.Token("ann", "admin", "2", 2.0), s.Token("bob", "edge", "3", 3.0)]
    store = place.reopen()
    assert store.drop_token("bob") and not store.drop_token("bob") and not store.drop_token("\0")
    assert [token.name for token in store.tokens()] == ["ann"]


def test_what_older_versions_stored_of_eeg_is_left_out_and_the_rest_is_there(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    store = place.open()
    jobs = [Job(name, "a", state, 2, picture="blob", resolved=REQUEST) for name, state in (("1", "queued"), ("2", "done"))]
    store.write([ROOM, s.PutItem("main", Node("a")), s.PutFact("patch", ()), s.PutFact("sham", True), *map(s.PutJob, jobs)])
    old = {"empty": '"modulation":null', "old": '"modulation":{"frame": 1}'}
    place.execute("UPDATE jobs SET body = replace(body, :empty, :old)", **old)
    rules = '[{"feature": "alpha", "parameter": "blend"}]'
    place.execute("UPDATE facts SET value = :rules WHERE name = 'patch'", rules=rules)
    loaded = store.load()
    assert loaded.facts == {"sham": True} and loaded.jobs == [jobs[0]] and len(loaded.rooms[0].nodes) == 1
    assert store.job("2") == jobs[1] and store.pictures("main") == [jobs[1]]
    assert "the patch" in caplog.text and "job 1" in caplog.text


def test_one_row_that_cannot_be_read_does_not_hide_the_others(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    store = place.open()
    store.write([ROOM, *(s.PutItem("main", item) for item in (Node("a"), Node("b"), Link("l", "a", "b"), Link("m", "b", "a")))])
    store.write([s.AddOperation("main", Operation(n, str(n), ())) for n in (1, 2, 3)])
    store.write([s.PutJob(Job("j", "a", person="ann", created=3.0))])
    place.execute("""UPDATE nodes SET body = replace(body, 'txt2img', 'txt2opera') WHERE id = 'a'""")
    place.execute("""UPDATE links SET body = '{' WHERE id = 'l'""")
    place.execute("""UPDATE operations SET body = '[]' WHERE revision = 2""")
    place.execute("""UPDATE jobs SET body = 'torn'""")
    (room,) = (loaded := store.load()).rooms
    assert [stored.item for stored in room.nodes + room.links] == [Node("b"), Link("m", "b", "a")]
    assert [logged.operation.revision for logged in room.log] == [3], "whoever has 1 would miss 2 and never know"
    assert loaded.jobs == [Job("j", "a", person="ann", created=3.0)], "an accepted job is not forgotten"
    assert all(name in caplog.text for name in ("node a", "link l", "operation 2", "job j"))


async def test_calls_run_one_after_the_other_on_the_stores_thread(store: Store) -> None:
    await asyncio.gather(*(store.run(store.write, [s.PutJob(Job(str(n), "a"))]) for n in range(20)))
    assert ids(await store.run(store.jobs)) == " ".join(str(n) for n in reversed(range(20)))
