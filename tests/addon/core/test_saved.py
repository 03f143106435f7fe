"""What a saved file says, and what of it the broker is told."""

from dataclasses import replace

import pytest

from addon.core.saved import Saved, anew, note, read, unheard
from protocol.model import Change, Link, Map, Node, Settings

N = Node("n", "red", x=1.5, settings=Settings(seed=7), source="s" * 64)


def test_what_is_noted_is_read_again() -> None:
    for item in (N, Link("l", "n", "k", "image")):
        for mine in (True, False):
            assert read(note(item, mine)) == (item, mine)


@pytest.mark.parametrize("text", ["", "{}", "[]", "no", '{"kind": "node", "id": "n", "mine": true, "fields": {"x": []}, '])
def test_what_is_no_note_is_none(text: str) -> None:
    assert read(text) is None


def test_own_fields_are_told_and_those_of_others_left() -> None:
    known = Map({"n": replace(N, negative="blur", x=9.0)})
    now = replace(N, prompt="green", picture="p" * 64)
    assert unheard(known, [Saved(N, now, False)]) == [Change("update", "node", "n", {"prompt": "green"})]
    assert unheard(known, [Saved(N, N, False)]) == []


def test_what_others_deleted_stays_deleted_and_what_nobody_heard_of_is_made() -> None:
    link = Link("l", "n", "k")
    assert unheard(Map(), [Saved(N, N, False), Saved(link, link, False)]) == []
    made = unheard(Map({"k": Node("k")}), [Saved(N, N, True), Saved(link, link, True)])
    assert [(change.verb, change.id) for change in made] == [("create", "n"), ("create", "l")]
    assert [change.id for change in unheard(Map(), [Saved(N, N, True), Saved(link, link, True)])] == ["n"]


def test_a_map_is_made_anew_without_pictures_that_nobody_has() -> None:
    (made,) = unheard(Map(), anew([Saved(N, N, False)]))
    assert "source" not in made.fields and made.fields["prompt"] == "red"
