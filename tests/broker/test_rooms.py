"""One map's operations, without a store."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.rooms import LOG_LENGTH, UNDO_DEPTH, Done, Room
from broker.store.writes import Logged, Stored
from protocol import check, edits
from protocol.errors import AlphaloomError
from protocol.model import Change, Link, Map, Node, Settings, new_id


def put(room: Room, *items: Node | Link, person: str = "ann") -> Done:
    return do(room, *(edits.create(item) for item in items), person=person)


def do(room: Room, *changes: Change, person: str = "ann", id: str = "") -> Done:
    return room.edit(person, id or new_id(), changes, 100.0)


def turn(room: Room, node: str, person: str = "ann", **fields) -> Done:
    return do(room, Change("update", "node", node, {k.replace("__", "."): v for k, v in fields.items()}), person=person)


def delete(room: Room, id: str, kind: str = "node", person: str = "ann") -> Done:
    return do(room, Change("delete", kind, id), person=person)  # type: ignore[arg-type]


@pytest.fixture
def room() -> Room:
    made = Room("main")
    put(made, Node("a", "stone"), Node("b", "red"), Link("ab", "a", "b"))
    return made


def test_two_people_who_turn_two_knobs_of_one_node_both_have_their_way(room: Room) -> None:
    turn(room, "a", settings__steps=8)
    turn(room, "a", person="bob", settings__guidance=2.0, prompt="moss")
    assert room.map.nodes["a"] == Node("a", "moss", settings=Settings(steps=8, guidance=2.0))


def test_the_last_to_turn_one_knob_wins(room: Room) -> None:
    turn(room, "a", prompt="first")
    turn(room, "a", person="bob", prompt="last")
    assert room.map.nodes["a"].prompt == "last"


def test_an_edit_is_taken_whole_or_not_at_all(room: Room) -> None:
    before = room.map
    with pytest.raises(AlphaloomError, match="guidance is 99"):
        do(room, edits.create(Node("c")), Change("update", "node", "a", {"settings.guidance": 99.0}))
    assert room.map is before and room.missed(before.revision, room.last_operation) == ()


def test_done_twice_with_one_id_it_is_done_once(room: Room) -> None:
    first = do(room, edits.create(Node("c")), id="once")
    turn(room, "c", prompt="newer")
    again = do(room, edits.create(Node("c")), id="once")
    assert again.again and again.operation == first.operation and room.map.nodes["c"].prompt == "newer"


def test_a_node_takes_its_links_along_and_brings_them_back(room: Room) -> None:
    done = delete(room, "a")
    assert [(c.verb, c.id) for c in done.operation.changes] == [("delete", "ab"), ("delete", "a")]
    assert {(s.item.id, s.deleted) for s in done.touched} == {("ab", 100.0), ("a", 100.0)}
    back = do(room, Change("restore", "node", "a"))
    assert [(c.verb, c.id) for c in back.operation.changes] == [("restore", "a"), ("restore", "ab")]
    assert room.map.nodes["a"].prompt == "stone" and "ab" in room.map.links and not room.deleted


def test_a_link_that_was_deleted_before_its_node_stays_deleted(room: Room) -> None:
    delete(room, "ab", "link")
    delete(room, "a")
    do(room, Change("restore", "node", "a"))
    assert not room.map.links


def test_a_link_comes_back_only_where_it_still_can_be(room: Room) -> None:
    delete(room, "a")
    put(room, Node("c"))
    delete(room, "b")
    do(room, Change("restore", "node", "a"))
    assert not room.map.links  # its child is gone; it fell with `a`, but cannot be
    with pytest.raises(AlphaloomError, match="needs node 'b'"):
        do(room, Change("restore", "link", "ab"))


def test_an_edit_that_comes_late_counts_when_the_node_is_restored(room: Room) -> None:
    delete(room, "a")
    done = turn(room, "a", person="bob", prompt="moss")
    assert "a" not in room.map.nodes and done.touched[0].deleted == 100.0
    do(room, Change("restore", "node", "a"))
    assert room.map.nodes["a"].prompt == "moss"


def test_to_create_what_is_there_updates_it_and_what_was_deleted_restores_it(room: Room) -> None:
    put(room, Node("a", "moss"))
    assert room.map.nodes["a"].prompt == "moss"
    delete(room, "b")
    put(room, Node("b", "green"))
    assert room.map.nodes["b"].prompt == "green" and "ab" in room.map.links


def test_deleting_twice_is_deleting_once(room: Room) -> None:
    delete(room, "a")
    assert delete(room, "a", person="bob").operation.changes == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (Change("update", "node", "nowhere", {"x": 1.0}), "unknown_node"),
        (Change("delete", "link", "nowhere"), "unknown_link"),
        (Change("restore", "node", "nowhere"), "unknown_node"),
        (Change("update", "node", "a", {"colour": "red"}), "unknown_field"),
        (Change("update", "node", "a", {"id": "b"}), "unknown_field"),
        (Change("update", "node", "a", {"settings.speed": 1}), "unknown_field"),
        (Change("update", "node", "a", {"prompt": 7}), "bad_value"),
        (Change("update", "node", "a", {"prompt": "half a pair \ud800"}), "bad_value"),
        (Change("update", "node", "a", {"settings.width": "wide"}), "bad_value"),
        (Change("update", "node", "a", {"settings.width": 65}), "bad_value"),
        (Change("update", "node", "a", {"settings.guidance": float("nan")}), "bad_value"),
        *(
            (Change("update", "node", "a", {f"settings.{name}": value}), "bad_value")
            for name, value in (
                *(("scheduler", "magic"), ("tiling", "z"), ("variation", 1.5), ("variation_seed", -1)),
                *(("control_strength", 3.0), ("control", "x" * 201), ("eeg_in_file", "yes please")),
            )
        ),
        (Change("update", "node", "a", {"depth": "no hash"}), "bad_value"),
        (Change("create", "link", "ba", {"parent": "b", "child": "a"}), "cycle"),
        (Change("create", "link", "aa", {"parent": "a", "child": "a"}), "cycle"),
        (Change("update", "link", "ab", {"kind": "rope"}), "bad_value"),
        (Change("create", "node", "no spaces"), "bad_id"),
        (Change("create", "card", "c"), "bad_value"),  # type: ignore[arg-type]
        (Change("explode", "node", "a"), "bad_value"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(room: Room, change: Change, code: str) -> None:
    before = room.map
    with pytest.raises(AlphaloomError) as caught:
        do(room, change)
    assert caught.value.code == code and room.map is before


def test_an_edit_has_a_bound(room: Room) -> None:
    with pytest.raises(AlphaloomError, match=str(check.MAX_CHANGES)):
        do(room, *(edits.create(Node(f"n{n}")) for n in range(check.MAX_CHANGES + 1)))


def test_a_map_has_so_many_nodes_and_links_and_no_more_and_those_that_come_back_count(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(room, Node("c"), Link("bc", "b", "c"))
    delete(room, "c")
    monkeypatch.setattr(check, "MAX_NODES", 2)
    monkeypatch.setattr(check, "MAX_LINKS", 1)
    for change in (
        edits.create(Node("d")), Change("restore", "node", "c"),
        edits.create(Link("image", "a", "b", "image")),
    ):  # fmt: skip
        with pytest.raises(AlphaloomError, match="the most it takes") as caught:
            do(room, change)
        assert caught.value.code == "map_full"
    turn(room, "a", prompt="moss")
    monkeypatch.setattr(check, "MAX_NODES", 3)
    do(room, Change("restore", "node", "c"))
    assert set(room.map.links) == {"ab"}  # there is no place for the one that fell with it


def test_two_nodes_have_one_link_of_a_kind(room: Room) -> None:
    put(room, Node("x"), Node("y"), Link("one", "x", "y"), Link("image", "x", "y", "image"))
    with pytest.raises(AlphaloomError) as caught:
        put(room, Link("two", "x", "y"))
    assert caught.value.code == "link_exists"
    delete(room, "one", "link")
    put(room, Link("two", "x", "y"))
    with pytest.raises(AlphaloomError) as caught:
        do(room, Change("restore", "link", "one"))
    assert caught.value.code == "link_exists"


def test_links_keep_their_order_through_deletion_and_back(room: Room) -> None:
    put(room, Node("c"), Link("ac", "a", "c", "blend"), Link("bc", "b", "c", "blend"))
    delete(room, "ac", "link")
    do(room, Change("restore", "link", "ac"))
    assert [node.id for node in room.map.parents("c", "blend")] == ["a", "b"]


# -- undo --


def test_undo_takes_back_ones_own_last_operation_and_redo_does_it_again(room: Room) -> None:
    turn(room, "a", prompt="moss")
    turn(room, "a", person="bob", settings__steps=8)
    undone = room.undo("ann", "u1", 1.0)
    assert undone.operation.undoes == 2 and room.map.nodes["a"] == Node("a", "stone", settings=Settings(steps=8))
    room.redo("ann", "r1", 1.0)
    assert room.map.nodes["a"].prompt == "moss"


def test_undo_leaves_what_somebody_has_gone_over(room: Room) -> None:
    turn(room, "a", prompt="moss", x=5.0)
    turn(room, "a", person="bob", prompt="bark")
    room.undo("ann", "u1", 1.0)
    assert (room.map.nodes["a"].prompt, room.map.nodes["a"].x) == ("bark", 0.0)


def test_where_nothing_of_it_is_left_the_one_before_is_taken_back(room: Room) -> None:
    turn(room, "b", prompt="green")
    turn(room, "a", prompt="moss")
    turn(room, "a", person="bob", prompt="bark")
    room.undo("ann", "u1", 1.0)
    assert (room.map.nodes["a"].prompt, room.map.nodes["b"].prompt) == ("bark", "red")


def test_a_whole_deletion_is_undone_at_once(room: Room) -> None:
    do(room, Change("delete", "node", "a"), Change("delete", "node", "b"))
    room.undo("ann", "u1", 1.0)
    assert set(room.map.nodes) == {"a", "b"} and set(room.map.links) == {"ab"}
    room.redo("ann", "r1", 1.0)
    assert not room.map.nodes


def test_a_new_edit_ends_what_could_be_redone(room: Room) -> None:
    turn(room, "a", prompt="moss")
    room.undo("ann", "u1", 1.0)
    turn(room, "a", prompt="sand")
    with pytest.raises(AlphaloomError, match="nothing of yours to redo"):
        room.redo("ann", "r1", 1.0)


def test_who_has_done_nothing_has_nothing_to_undo(room: Room) -> None:
    with pytest.raises(AlphaloomError) as caught:
        room.undo("bob", "u1", 1.0)
    assert caught.value.code == "nothing_to_undo"


def test_an_undo_that_is_sent_again_is_done_once(room: Room) -> None:
    turn(room, "a", prompt="moss")
    room.undo("ann", "u1", 1.0)
    assert room.undo("ann", "u1", 1.0).again and set(room.map.nodes) == {"a", "b"}


def test_undo_goes_back_a_hundred_operations(room: Room) -> None:
    for n in range(UNDO_DEPTH + 20):
        turn(room, "a", x=float(n + 1))
    for n in range(UNDO_DEPTH):
        room.undo("ann", f"u{n}", 1.0)
    assert room.map.nodes["a"].x == 20.0
    with pytest.raises(AlphaloomError):
        room.undo("ann", "one too many", 1.0)


def test_several_changes_of_one_node_are_undone_together(room: Room) -> None:
    do(room, Change("update", "node", "a", {"prompt": "moss"}), Change("update", "node", "a", {"x": 1.0, "prompt": "sand"}))
    room.undo("ann", "u1", 1.0)
    assert room.map.nodes["a"] == Node("a", "stone")


def test_what_others_have_built_on_is_not_undone(room: Room) -> None:
    put(room, Node("c"), Node("d"))
    turn(room, "c", person="bob", prompt="bark")
    put(room, Link("bd", "b", "d"), person="bob")
    room.undo("ann", "u1", 1.0)
    assert {"c", "d"} <= set(room.map.nodes)


def test_another_persons_edit_of_the_same_id_is_refused(room: Room) -> None:
    do(room, edits.create(Node("c")), id="1")
    with pytest.raises(AlphaloomError) as caught:
        do(room, edits.create(Node("d")), person="bob", id="1")
    assert caught.value.code == "edit_exists" and "d" not in room.map.nodes


def test_live_pictures_push_nobodys_edits_out(room: Room) -> None:
    turn(room, "a", prompt="moss")
    edit = do(room, Change("update", "node", "b", {"x": 1.0}), id="once").operation
    for n in range(LOG_LENGTH):
        turn(room, "a", person="", picture=f"{n:064x}")
    assert do(room, Change("update", "node", "b", {"x": 1.0}), id="once").operation == edit
    room.undo("ann", "u1", 1.0)
    room.undo("ann", "u2", 1.0)
    assert room.map.nodes["a"].prompt == "stone"


def test_the_brokers_own_operations_are_nobodys_to_undo(room: Room) -> None:
    turn(room, "a", person="", picture="f" * 64)
    turn(room, "b", prompt="green")
    room.undo("ann", "u1", 1.0)
    room.undo("ann", "u2", 1.0)
    assert room.map.nodes == {} and room.deleted["node", "a"].item.picture == "f" * 64


# -- coming back --


def test_who_comes_back_gets_exactly_what_was_missed(room: Room) -> None:
    revision, last, known = room.map.revision, room.last_operation, room.map
    missed = [turn(room, "a", prompt=text).operation for text in ("one", "two")]
    assert room.missed(revision, last) == tuple(missed)
    assert edits.apply_all(known, missed) == room.map
    assert room.missed(room.map.revision, room.last_operation) == ()


@pytest.mark.parametrize(("revision", "operation"), [(1, "another one"), (99, "from the future"), (2, "another one")])
def test_who_knows_another_past_gets_the_whole_map(room: Room, revision: int, operation: str) -> None:
    turn(room, "a", prompt="one")
    assert room.missed(revision, operation) is None


def test_the_log_has_a_bound_and_memory_with_it(room: Room) -> None:
    revision, last = room.map.revision, room.last_operation
    for n in range(LOG_LENGTH + 10):
        turn(room, "a", person=f"p{n % 7}", x=float(n))
    assert len(room.log) == LOG_LENGTH and room.missed(revision, last) is None
    assert "ann" not in room._undo  # who was here long ago


def test_a_purged_node_is_gone_for_good(room: Room) -> None:
    with pytest.raises(AlphaloomError, match="delete it first"):
        room.purge("a")
    delete(room, "a")
    assert room.purge("a") == (("a",), ("ab",))
    room.undo("ann", "u", 1.0)
    assert room.map.nodes == {}  # not the deletion, but what was done before it


def test_a_restart_forgets_nobodys_undo(room: Room) -> None:
    turn(room, "a", prompt="moss")
    turn(room, "a", person="bob", x=1.0)
    room.undo("bob", "u1", 1.0)
    again = Room("main")
    again.load(room.map.revision, [Stored(item) for item in (*room.map.nodes.values(), *room.map.links.values())], room.log)
    assert again.undo("ann", "u2", 1.0).operation.undoes == 2 and again.redo("bob", "r1", 1.0).operation.redoes == 4


# -- whatever people do --

IDS = st.sampled_from("abcdef")
CHANGES = st.one_of(
    st.builds(lambda id, text: edits.create(Node(id, text)), IDS, st.sampled_from(["", "x", "y"])),
    st.builds(
        lambda p, c, kind: edits.create(Link(p + c + kind[0], p, c, kind)), IDS, IDS, st.sampled_from(["prompt", "image"])
    ),
    st.builds(lambda id, x: Change("update", "node", id, {"x": x}), IDS, st.floats(-9, 9)),
    st.builds(lambda verb, id: Change(verb, "node", id), st.sampled_from(["delete", "restore"]), IDS),
    st.builds(lambda verb, p, c: Change(verb, "link", p + c + "p"), st.sampled_from(["delete", "restore"]), IDS, IDS),
)
DEEDS = st.one_of(st.lists(CHANGES, min_size=1, max_size=3), st.sampled_from(["undo", "redo"]))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["ann", "bob"]), DEEDS), max_size=40), st.integers(0, 40))
def test_everybody_ends_with_the_same_map_and_so_does_who_comes_back_and_who_starts_anew(deeds, left_at: int) -> None:
    room, told, kept = Room("main"), [], {}
    away, last = Map(), ""
    for number, (person, deed) in enumerate(deeds):
        if number == left_at:
            away, last = room.map, room.last_operation
        try:
            done = getattr(room, deed)(person, new_id(), 1.0) if isinstance(deed, str) else do(room, *deed, person=person)
        except AlphaloomError:
            continue
        told.append(Logged(done.operation, done.before))
        kept |= {(type(s.item), s.item.id): s for s in done.touched}
    watcher = edits.apply_all(Map(), (logged.operation for logged in told))
    assert watcher == room.map
    missed = room.missed(away.revision, last) if away.revision else None
    if missed is not None:
        assert edits.apply_all(away, missed) == room.map
    again = Room("main")
    again.load(room.map.revision, kept.values(), told)
    assert again.map == room.map and again.deleted == room.deleted
    for link in room.map.links.values():
        assert {link.parent, link.child} <= set(room.map.nodes)


def test_a_thousand_nodes_are_no_trouble() -> None:
    room, dice = Room("main"), random.Random(1)
    put(room, *(Node(f"n{n}") for n in range(check.MAX_CHANGES)))
    for n in range(1, 400):
        put(room, Link(f"l{n}", f"n{dice.randrange(n)}", f"n{n}"))
    assert len(room.map.links) == 399
    room.load(room.map.revision, [Stored(replace(node, x=1.0)) for node in room.map.nodes.values()], ())
    assert room.map.nodes["n7"].x == 1.0
