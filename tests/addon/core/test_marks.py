"""Who has selected what, and how far jobs are: what is marked on cards."""

from addon.core import marks
from addon.core.mirror import Mirror
from protocol import messages as m
from protocol.model import Job, Map, Node, Presence


def mirror(*messages: object) -> Mirror:
    """Two nodes, and what was heard."""
    made = Mirror()
    made.apply(m.Snapshot(Map({"n": Node("n"), "k": Node("k")}), (), (), 1, "off"))
    for message in messages:
        made.apply(message)
    return made


def here(client: str, person: str, *nodes: str) -> m.Present:
    return m.Present(Presence(client, person, nodes))


def people(known: Mirror, node: str) -> list[str]:
    return [person for person, _ in marks.marks(known, "own").get(node, marks.Mark()).people]


def test_what_others_have_selected_is_marked_and_ones_own_is_not() -> None:
    known = mirror(here("own", "me", "n"), here("c1", "ada", "n", "k"), here("c2", "bob", "n"))
    assert people(known, "n") == ["ada", "bob"] and people(known, "k") == ["ada"]
    known.apply(here("c1", "ada"))
    assert people(known, "n") == ["bob"] and people(known, "k") == []


def test_a_selected_node_that_is_gone_is_not_marked() -> None:
    assert marks.marks(mirror(here("c1", "ada", "gone")), "own") == {}


def test_everybody_has_a_colour_of_their_own_whoever_came_first() -> None:
    names = ["ada", "bob", "cleo", "dan", "eve", "fay", "gil"]
    colours = marks.colours_of(names)
    assert len(set(colours.values())) == len(names) == len(marks.COLOURS)
    assert marks.colours_of(reversed(names)) == colours
    assert set(marks.colours_of([*names, "hal"])) == {*names, "hal"}


def test_a_bar_is_as_long_as_the_share_of_the_job_that_is_done() -> None:
    known = mirror(m.JobChanged(Job("j", "n", "queued")))
    assert marks.marks(known, "own")["n"] == marks.Mark(share=0.0, runs=False)
    known.apply(m.JobChanged(Job("j", "n", "running", 1)))
    assert marks.marks(known, "own")["n"] == marks.Mark(share=0.0, runs=True)
    known.apply(m.Pulling("j", 1, "sd-turbo", 1, 4))
    assert marks.marks(known, "own")["n"].share == 0.25
    known.apply(m.Pulling("j", 1, "sd-turbo", 1, 0))
    assert marks.marks(known, "own")["n"].share == 0.0
    known.apply(m.Progress("j", 3, 4))
    assert marks.marks(known, "own")["n"].share == 0.75
    known.apply(m.JobChanged(Job("j", "n", "done", 1)))
    assert marks.marks(known, "own") == {}


def test_of_two_jobs_of_a_node_the_one_that_runs_counts() -> None:
    known = mirror(m.JobChanged(Job("k", "n", "queued")), m.JobChanged(Job("j", "n", "running", 1)), m.Progress("j", 1, 2))
    assert marks.marks(known, "own")["n"] == marks.Mark(share=0.5, runs=True)
