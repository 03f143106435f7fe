from dataclasses import replace

import pytest

from broker import compose
from protocol.errors import AlphaloomError
from protocol.model import Frame, Link, Map, Node, Phrase, Rule, Settings


def a_map(*nodes: Node, links: tuple[tuple[str, str, str], ...] = ()) -> Map:
    made = {f"{p}{c}": Link(f"{p}{c}", p, c, kind) for p, c, kind in links}
    return Map({n.id: n for n in nodes}, made)


CHAIN = a_map(
    Node("a", "stone"), Node("b", "red"), Node("c", "wet"), links=(("a", "b", "prompt"), ("b", "c", "prompt"))
)  # fmt: skip


def texts(map: Map, node: str) -> list[str]:
    return [phrase.text for phrase in compose.resolve(map, node)[0].phrases]


def test_words_are_inherited_and_fade_with_distance() -> None:
    assert texts(CHAIN, "c") == ["wet, (red)0.60, (stone)0.36"]


def test_a_node_without_words_speaks_with_its_parents_at_full_weight() -> None:
    silent = replace(CHAIN, nodes=CHAIN.nodes | {"c": Node("c", "  ")})
    assert texts(silent, "c") == ["red, (stone)0.60"]


def test_an_ancestor_reached_twice_is_said_once() -> None:
    diamond = a_map(
        *(Node(n, n * 3) for n in "abcd"),
        links=(("a", "b", "prompt"), ("a", "c", "prompt"), ("b", "d", "prompt"), ("c", "d", "prompt")),
    )
    assert texts(diamond, "d") == ["ddd, (bbb)0.60, (ccc)0.60, (aaa)0.36"]


def test_a_blend_stands_between_its_two_parents() -> None:
    blend = a_map(
        Node("a", "fire"), Node("b", "ice"), Node("c", settings=Settings(blend=0.25)),
        links=(("a", "c", "blend"), ("b", "c", "blend")),
    )  # fmt: skip
    assert compose.resolve(blend, "c")[0].phrases == (Phrase("fire", 0.75), Phrase("ice", 0.25))


def test_a_blend_with_one_parent_stands_between_itself_and_that() -> None:
    blend = a_map(Node("a", "fire"), Node("c", "ice"), links=(("a", "c", "blend"),))
    assert texts(blend, "c") == ["ice", "fire"]


def test_the_image_parents_picture_is_the_source() -> None:
    node = Node("b", "red", task="img2img", source="uploaded")
    assert compose.resolve(a_map(node), "b")[0].source == "uploaded"
    linked = a_map(Node("a", picture="parents"), node, links=(("a", "b", "image"),))
    assert compose.resolve(linked, "b")[0].source == "parents"
    assert compose.waits_for(linked, "b") == ["a"]


@pytest.mark.parametrize(
    ("map", "code"),
    [
        (a_map(), "unknown_node"),
        (a_map(Node("n")), "no_prompt"),
        (a_map(Node("n", "x", task="img2img")), "no_source"),
        (a_map(Node("n", "x", task="inpaint", source="s")), "no_mask"),
        (a_map(Node("p"), Node("n", "x", task="img2img", source="s"), links=(("p", "n", "image"),)), "no_source"),
    ],
)
def test_what_cannot_be_run_says_why(map: Map, code: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        compose.resolve(map, "n")
    assert caught.value.code == code


def test_the_eeg_moves_numbers_and_says_words() -> None:
    rules = (Rule("alpha", "guidance", 2.0), Rule("alpha", "calm/turbulent", -1.0))
    resolved, modulation = compose.resolve(CHAIN, "a", rules, Frame(1.0, {"alpha": 1.0}))
    assert resolved.guidance == 6.0
    assert resolved.phrases[0].text == "stone, (calm)1.00"
    assert modulation is not None and [m.parameter for m in modulation.moves] == ["guidance", "calm/turbulent"]


def test_a_node_that_is_not_to_be_modulated_is_not() -> None:
    still = a_map(Node("n", "x", settings=Settings(modulate=False)))
    resolved, modulation = compose.resolve(still, "n", (Rule("alpha", "guidance", 2.0),), Frame(1.0, {"alpha": 1.0}))
    assert modulation is None and resolved.guidance == 4.0


def test_without_eeg_nothing_moves() -> None:
    assert compose.resolve(CHAIN, "a", (Rule("alpha", "guidance", 2.0),))[1] is None
