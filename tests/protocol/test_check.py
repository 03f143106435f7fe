from dataclasses import replace

import pytest

from protocol import check
from protocol.errors import AlphaloomError
from protocol.model import Link, Map, Node, Settings

MAP = Map({name: Node(name) for name in "abcd"}, {"ab": Link("ab", "a", "b"), "bc": Link("bc", "b", "c", "image")})


def test_a_plain_node_is_fine() -> None:
    check.node(Node("n", "blue waves"))


@pytest.mark.parametrize(
    ("node", "word"),
    [
        (Node("../etc"), "no id"),
        (Node("n", task="explode"), "'explode'"),
        (Node("n", prompt="x" * 4001), "4001"),
        (Node("n", settings=Settings(width=100)), "multiple of 8"),
        (Node("n", settings=Settings(height=100_000)), "100000"),
        (Node("n", settings=Settings(steps=0)), "steps is 0"),
        (Node("n", settings=Settings(guidance=float("nan"))), "guidance is nan"),
        (Node("n", settings=Settings(strength=1.5)), "strength is 1.5"),
        (Node("n", settings=Settings(seed=-1)), "seed is -1"),
        (Node("n", x=float("inf")), "x is inf"),
        (Node("n", source="../../secret"), "SHA-256"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_node_is_refused_with_the_value_that_was_wrong(node: Node, word: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        check.node(node)
    assert word in caught.value.message


@pytest.mark.parametrize(
    ("link", "code"),
    [
        (Link("l", "a", "nowhere"), "unknown_node"),
        (Link("l", "a", "a"), "cycle"),
        (Link("l", "c", "a"), "cycle"),
        (Link("l", "a", "d", "rope"), "bad_value"),
        (Link("l", "a", "c", "image"), "too_many_parents"),
    ],
)
def test_a_bad_link_is_refused(link: Link, code: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        check.link(link, MAP)
    assert caught.value.code == code


def test_a_node_blends_two_parents_and_no_more() -> None:
    links = {k: Link(k, k, "d", "blend") for k in "ab"}
    for count, link in enumerate(links.values()):
        check.link(link, replace(MAP, links=dict(list(links.items())[:count])))
    with pytest.raises(AlphaloomError, match="2 parent"):
        check.link(Link("c", "c", "d", "blend"), replace(MAP, links=links))


def test_a_link_may_be_put_again() -> None:
    check.link(Link("bc", "b", "c", "image"), MAP)
