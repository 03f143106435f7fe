"""Tidy places: nobody overlaps, parents stand to the left, and the same map gives the same picture."""

import itertools
import math

import pytest

from addon.core import layout

TREE = {f"n{n}": (0.0, 0.0) for n in range(40)}
LINKS = [(f"n{n // 3}", f"n{n}") for n in range(1, 40)]


def overlaps(places: list[layout.Place]) -> list[tuple[layout.Place, layout.Place]]:
    return [
        (a, b)
        for a, b in itertools.combinations(places, 2)
        if abs(a[0] - b[0]) < layout.WIDTH and abs(a[1] - b[1]) < layout.HEIGHT
    ]


@pytest.mark.parametrize(
    "links", [LINKS, [], [("n0", "n1"), ("n1", "n2"), ("n2", "n0")], [("n0", f"n{n}") for n in range(1, 40)]]
)
def test_no_two_cards_overlap_whatever_links_them(links: list[tuple[str, str]]) -> None:
    assert not overlaps(list(layout.tidy(TREE, links).values()))


def test_parents_tend_to_be_left_of_their_children_and_near_them() -> None:
    found = layout.tidy(TREE, LINKS)
    left = [found[parent][0] < found[child][0] for parent, child in LINKS]
    assert sum(left) >= 0.8 * len(left)
    linked = [math.dist(found[a], found[b]) for a, b in LINKS]
    anybody = [math.dist(found[a], found[b]) for a, b in itertools.combinations(found, 2)]
    assert sum(linked) / len(linked) < 0.6 * sum(anybody) / len(anybody)


def test_the_same_map_is_laid_out_the_same_in_any_order() -> None:
    turned = dict(reversed(TREE.items()))
    assert layout.tidy(turned, LINKS[::-1]) == layout.tidy(TREE, LINKS)


def test_it_stays_about_where_it_was() -> None:
    there = {ident: (x + 100, y - 50) for ident, (x, y) in TREE.items()}
    found = list(layout.tidy(there, LINKS).values())
    assert sum(x for x, _ in found) / 40 == pytest.approx(100, abs=1)
    assert sum(y for _, y in found) / 40 == pytest.approx(-50, abs=1)


def test_cards_that_stay_are_not_covered() -> None:
    others = [(0.3 * n, 0.4 * n) for n in range(-20, 20, 4)]
    found = list(layout.tidy(TREE, LINKS, others).values())
    assert not [pair for pair in overlaps([*found, *others]) if not set(pair) <= set(others)]


def test_few_cards_and_links_to_strangers_are_no_trouble() -> None:
    assert layout.tidy({}, []) == {}
    assert layout.tidy({"a": (1.35, 2.8)}, [("a", "gone"), ("gone", "a")]) == {"a": (1.35, 2.8)}
    two = layout.tidy({"a": (0, 0), "b": (0, 0)}, [("a", "b")])
    assert two["a"][0] < two["b"][0]


def test_a_view_shows_the_whole_extent_on_both_axes() -> None:
    for extent, region in (((14.4, 1), (1000, 500)), ((1, 7.2), (1000, 500)), ((1, 14.4), (500, 1000))):
        assert layout.distance(layout.scale(extent, region), region, 50) == pytest.approx(10)
