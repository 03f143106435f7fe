"""What changes make of a map, beside the plainest model of it: a dictionary of fields."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocol import edits, wire
from protocol import messages as m
from protocol.model import SCHEDULERS, TILINGS, Change, Link, Map, Node, Operation, Settings

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: value + 0.0)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "prompt": st.text(max_size=20),
    "negative": st.text(max_size=20),
    "task": st.sampled_from(["txt2img", "img2img", "inpaint"]),
    "x": NUMBERS,
    "y": NUMBERS,
    "source": st.none() | st.just("ab" * 32),
    "mask": st.none() | st.just("cd" * 32),
    "depth": st.none() | st.just("cd" * 32),
    "picture": st.none() | st.just("ef" * 32),
    "live": st.booleans(),
    "settings.width": st.integers(64, 2048),
    "settings.height": st.integers(64, 2048),
    "settings.steps": st.none() | st.integers(1, 150),
    "settings.guidance": NUMBERS,
    "settings.strength": NUMBERS,
    "settings.seed": st.integers(0, 2**31 - 1),
    "settings.blend": NUMBERS,
    "settings.modulate": st.booleans(),
    "settings.model": st.text(max_size=5),
    "settings.scheduler": st.sampled_from(["", *SCHEDULERS]),
    "settings.tiling": st.sampled_from(TILINGS),
    "settings.variation": NUMBERS,
    "settings.variation_seed": st.integers(0, 2**31 - 1),
    "settings.control": st.text(max_size=5),
    "settings.control_strength": NUMBERS,
    "settings.eeg_in_file": st.booleans(),
}
SOME_FIELDS = st.fixed_dictionaries({}, optional=FIELDS)
NODES = st.fixed_dictionaries(FIELDS).map(lambda fields: edits.item("node", "n", fields))
LINKS = st.builds(
    Link, st.just("l"), st.text(min_size=1), st.text(min_size=1), st.sampled_from(["prompt", "image", "blend"]), st.integers()
)


def after(*changes: Change, start: Map | None = None) -> Map:
    """The map after one operation for each change."""
    start = start or Map()
    made = [Operation(start.revision + n, f"o{n}", (change,)) for n, change in enumerate(changes, 1)]
    return edits.apply_all(start, made)


def over_the_wire(change: Change) -> Change:
    return wire.decode(wire.encode(m.Edit("e", (change,)))).changes[0]


def test_the_flat_fields_are_those_of_a_node_and_its_settings() -> None:
    assert edits.fields(Node("n")).keys() == FIELDS.keys()


@given(NODES, NODES)
def test_a_node_and_its_difference_to_another_make_that_other(old: Node, new: Node) -> None:
    change = over_the_wire(edits.update(old, new))
    made = after(over_the_wire(edits.create(old)), change)
    assert made.nodes == {"n": new}
    assert all(edits.fields(old)[name] != value for name, value in change.fields.items())


@given(LINKS, LINKS)
def test_a_link_and_its_difference_to_another_make_that_other(old: Link, new: Link) -> None:
    made = after(over_the_wire(edits.create(old)), over_the_wire(edits.update(old, new)))
    assert made.links == {"l": new}


@given(NODES)
def test_what_equals_the_default_is_not_said(node: Node) -> None:
    said = edits.create(node).fields
    defaults = edits.fields(Node("n"))
    assert all(defaults[name] != value for name, value in said.items())
    assert edits.create(Node("n")).fields == {} and edits.update(node, node).fields == {}


@given(st.lists(SOME_FIELDS, max_size=8))
def test_the_last_to_write_a_field_wins_and_the_others_stay(writes: list[dict[str, Any]]) -> None:
    expected = edits.fields(Node("n"))
    for write in writes:
        expected |= write
    made = after(edits.create(Node("n")), *(Change("update", "node", "n", write) for write in writes))
    assert edits.fields(made.nodes["n"]) == expected


@given(st.lists(SOME_FIELDS, min_size=1, max_size=8), st.data())
def test_operations_that_are_known_already_change_nothing(writes: list[dict[str, Any]], data: st.DataObject) -> None:
    changes = [Change("create", "node", "n"), *(Change("update", "node", "n", write) for write in writes)]
    operations = [Operation(n, f"o{n}", (change,)) for n, change in enumerate(changes, 1)]
    here = edits.apply_all(Map(), operations)
    known = data.draw(st.lists(st.sampled_from(operations)))
    assert edits.apply_all(here, known) is here
    came_back = data.draw(st.integers(0, len(operations)))
    assert edits.apply_all(edits.apply_all(Map(), operations[:came_back]), operations) == here


def test_two_settings_of_one_node_that_two_people_turn_are_both_kept() -> None:
    start = after(edits.create(Node("n")))
    made = after(
        Change("update", "node", "n", {"settings.steps": 3}), Change("update", "node", "n", {"settings.seed": 7}), start=start
    )
    assert made.nodes["n"].settings == Settings(steps=3, seed=7)


def test_one_operation_may_hold_many_changes() -> None:
    operation = Operation(1, "o", (edits.create(Node("a")), edits.create(Node("b")), edits.create(Link("l", "a", "b"))))
    assert edits.apply(Map(), operation) == Map({"a": Node("a"), "b": Node("b")}, {"l": Link("l", "a", "b")}, 1)


def test_what_is_deleted_is_gone_and_what_is_restored_is_as_it_is_said() -> None:
    here = after(edits.create(Node("n", "red")), Change("delete", "node", "n"))
    assert here == Map(revision=2)
    here = after(Change("update", "node", "n", {"x": 2.0}), Change("delete", "node", "n"), start=here)
    assert here == Map(revision=4)
    restored = Change("restore", "node", "n", {"prompt": "red", "x": 2.0})
    assert after(restored, start=here) == Map({"n": Node("n", "red", x=2.0)}, {}, 5)


def test_the_map_before_stays_as_it_was() -> None:
    start = after(edits.create(Node("n", "red")))
    after(Change("update", "node", "n", {"prompt": "blue"}), Change("delete", "node", "n"), start=start)
    assert start.nodes == {"n": Node("n", "red")}


def test_a_field_that_this_version_does_not_know_is_left_out() -> None:
    change = json.loads('{"prompt": "red", "settings.fast": true, "colour": "blue"}')
    assert after(Change("create", "node", "n", change)).nodes == {"n": Node("n", "red")}


def test_parents_come_in_the_links_order_and_links_of_one_order_by_their_ids() -> None:
    nodes = {name: Node(name) for name in "abcd"}
    links = [Link("z", "a", "d", "blend", 1), Link("y", "b", "d", "blend", 0), Link("x", "c", "d", "blend", 1)]
    orders = [links, links[::-1], [links[1], links[0], links[2]]]
    for order in orders:
        made = Map(nodes, {link.id: link for link in order})
        assert [node.id for node in made.parents("d", "blend")] == ["b", "c", "a"]
        assert made.parents("d", "prompt") == [] and made.parents("a", "blend") == []
