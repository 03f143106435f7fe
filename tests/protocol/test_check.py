from dataclasses import replace

import pytest

from protocol import check
from protocol.errors import AlphaloomError
from protocol.graph import Graph
from protocol.messages import Hello
from protocol.model import Link, Map, Node, Phrase, ResolvedRequest, Settings

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
        (Node("n", settings=Settings(seed=10**400)), "seed is 1000"),
        (Node("n", settings=Settings(width=10**400)), "width is 1000"),
        (Node("n", settings=Settings(model="\x00")), "model has"),
        (Node("n", settings=Settings(model="\ud800")), "model has"),
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
        (Link("l", "a", "b"), "link_exists"),
    ],
)
def test_a_bad_link_is_refused(link: Link, code: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        check.link(link, MAP.nodes, Graph(MAP.links.values()))
    assert caught.value.code == code


def test_a_node_blends_two_parents_and_no_more() -> None:
    links = {k: Link(k, k, "d", "blend") for k in "ab"}
    for count, link in enumerate(links.values()):
        check.link(link, MAP.nodes, Graph(list(links.values())[:count]))
    with pytest.raises(AlphaloomError, match="2 parent"):
        check.link(Link("c", "c", "d", "blend"), MAP.nodes, Graph(links.values()))


def test_a_link_may_be_put_again() -> None:
    check.link(Link("bc", "b", "c", "image"), MAP.nodes, Graph(MAP.links.values()))


def test_a_request_of_ones_own_is_checked_like_a_node() -> None:
    ask = ResolvedRequest("txt2img", (Phrase("red"),), "", 64, 64, None, 4.0, 0.6, 1)
    check.request(ask)
    for wrong, code in (
        (replace(ask, phrases=()), "bad_value"),
        (replace(ask, phrases=(Phrase("red", 1.5),)), "bad_value"),
        (replace(ask, width=100), "bad_value"),
        (replace(ask, task="explode", source="ab" * 32), "unknown_task"),
        (replace(ask, task="img2img"), "no_source"),
        (replace(ask, task="inpaint", source="ab" * 32), "no_mask"),
        (replace(ask, depth="ab" * 32), "no_control"),
        (replace(ask, control="depth"), "no_depth"),
    ):
        with pytest.raises(AlphaloomError) as caught:
            check.request(wrong)
        assert caught.value.code == code


def test_what_a_peer_says_of_itself_is_fine() -> None:
    check.hello(Hello(3, "edge", "Ann's “big” machine", model="owner/model", models={"é": "f" * 64}, slots=4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a\nERROR broker: all is lost"},
        {"name": "x" * 201},
        {"name": "\ud800"},
        {"room": "x" * 201},
        {"room": "a\nb"},
        {"operation": "x" * 201},
        {"model": "\x00"},
        {"models": {"fine": "\x1b[2J"}},
        {"models": {"\x1b[2J": ""}},
        {"models": dict.fromkeys(map(str, range(1001)), "")},
        {"models": {"m": "f" * 201}},
        {"slots": 10**400},
        {"slots": -1},
        {"max_side": 10**400},
    ],
    ids=str,
)
def test_a_peer_that_says_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(AlphaloomError) as caught:
        check.hello(Hello(3, "edge", **wrong))  # type: ignore[arg-type]
    assert caught.value.code == "bad_value" and caught.value.detail["field"] == next(iter(wrong))
