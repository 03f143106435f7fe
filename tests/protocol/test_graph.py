import random

from hypothesis import given
from hypothesis import strategies as st

from protocol.graph import Graph
from protocol.model import Link


def slow(links: dict[str, Link], start: str, goal: str, without: str) -> bool:
    seen, todo = set(), [start]
    while todo:
        at = todo.pop()
        if at not in seen:
            seen.add(at)
            todo += [link.child for link in links.values() if link.parent == at and link.id != without]
    return goal in seen


@given(st.randoms(use_true_random=False), st.integers(3, 14))
def test_whatever_is_added_and_removed_circles_are_found(dice: random.Random, nodes: int) -> None:
    names = [f"n{n}" for n in range(nodes)]
    links: dict[str, Link] = {}
    graph = Graph()
    for n in range(60):
        if links and dice.random() < 0.2:
            graph.remove(links.pop(dice.choice(sorted(links))))
        parent, child = dice.choice(names), dice.choice(names)
        without = dice.choice(["", *sorted(links)])
        circle = slow(links, child, parent, without)
        assert graph.reaches(child, parent, without) == circle
        if not circle and not slow(links, child, parent, ""):
            links[f"l{n}"] = Link(f"l{n}", parent, child)
            graph.put(links[f"l{n}"])
        assert {link.id for link in graph.between(parent, child)} == {
            link.id for link in links.values() if (link.parent, link.child) == (parent, child)
        }


def test_links_that_go_the_way_of_the_others_are_not_searched_for() -> None:
    looked = 0

    class Counting(Graph):
        def _below(self, without: str = ""):
            def next(at: str) -> list[str]:
                nonlocal looked
                looked += 1
                return below(at)

            below = super()._below(without)
            return next

    graph = Counting(Link(f"l{n}", f"n{n}", f"n{n + 1}") for n in range(1000))
    for n in range(400, 500):
        link = Link(f"x{n}", f"n{n}", f"n{n + 100}")
        assert not graph.reaches(link.child, link.parent)
        graph.put(link)
    assert looked == 0
    assert graph.reaches("n3", "n7") and looked <= 5
