from dataclasses import replace

import pytest

from broker import compose
from protocol.errors import AlphaloomError
from protocol.model import Link, Lora, Map, Node, Phrase, ResolvedRequest, Rule, Settings
from signals.patch import Cable


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
        (a_map(Node("n", "x", settings=Settings(control="depth"))), "no_depth"),
        (a_map(Node("n", "x <lora:a:b>")), "bad_lora"),
        (a_map(Node("n", "<lora:a>")), "no_prompt"),
        (a_map(Node("n", "x" + "".join(f"<lora:{n}>" for n in range(9)))), "too_many_loras"),
    ],
)
def test_what_cannot_be_run_says_why(map: Map, code: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        compose.resolve(map, "n")
    assert caught.value.code == code


def a_chain(*prompts: str) -> Map:
    """n0 hangs from n1, that from n2, and so on."""
    nodes = [Node(f"n{n}", prompt) for n, prompt in enumerate(prompts)]
    return a_map(*nodes, links=tuple((f"n{n + 1}", f"n{n}", "prompt") for n in range(len(nodes) - 1)))


def test_who_is_too_far_off_is_not_heard() -> None:
    text = compose.speech(a_chain("", "", *(f"word{n}" for n in range(20))), Node("n0")).text
    assert text.count("word") == 10 and text.endswith("(word9)0.01")


def test_a_prompt_has_a_bound_and_the_nearest_go_first() -> None:
    far = a_chain(*(f"{n}" * 3000 for n in range(5)))
    text = compose.resolve(far, "n0")[0].phrases[0].text
    assert len(text) <= compose.MAX_WORDS and "2" in text and "3" * 10 not in text
    wide = a_map(
        Node("n", "n"),
        *(Node(f"p{n}", "x" * 4000) for n in range(1000)),
        links=tuple((f"p{n}", "n", "prompt") for n in range(1000)),
    )
    assert 8000 < len(compose.speech(wide, wide.nodes["n"]).text) <= compose.MAX_WORDS


def test_a_blends_own_words_count_to_its_bound_too() -> None:
    nodes = (Node("a", "a" * 4000), Node("b", "b"), Node("c", "c" * 4000), *(Node(f"p{n}", "x" * 4000) for n in range(3)))
    links = (("a", "c", "blend"), ("b", "c", "blend"), *((f"p{n}", end, "prompt") for n in range(3) for end in "abc"))
    for phrase in compose.resolve(a_map(*nodes, links=links), "c")[0].phrases:
        assert len(phrase.text) <= compose.MAX_WORDS and "c" * 4000 in phrase.text


def playing(*rules: Rule, position: float = 1.0, **cable) -> compose.Playing:
    """The patch with every cable at one position."""
    state = tuple(Cable(position, 1.0, position, value=0.4, z=2.0, **cable) for _ in rules)
    return compose.Playing(rules, state, 12.0, {1: "headset"})


def test_the_eeg_moves_numbers_and_says_words() -> None:
    eeg = playing(Rule("alpha", "guidance", 2.0), Rule("alpha", "turbulent/calm", 1.0), Rule("alpha", "seed", 1), count=3)
    resolved, modulation = compose.resolve(CHAIN, "a", eeg)
    assert resolved.guidance == 6.0 and resolved.seed == 3
    assert resolved.phrases[0].text == "stone, (calm)1.00"
    assert modulation is not None and (modulation.time, modulation.streams, modulation.sham) == (12.0, ("headset",), False)
    assert [(m.target, m.value, m.z) for m in modulation.moves] == [
        ("guidance", 0.4, 2.0), ("turbulent/calm", 0.4, 2.0), ("seed", 0.4, 2.0)
    ]  # fmt: skip


def test_a_scale_of_several_words_speaks_in_the_middle_too() -> None:
    eeg = playing(Rule("alpha", "blue/teal/gold", 1.0), position=0.5)
    assert compose.resolve(CHAIN, "a", eeg)[0].phrases[0].text == "stone, (teal)0.50, (gold)0.50"


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("wet moss on stone", "wet (moss)1.35 on stone"),
        ("Moss, moss", "(Moss)1.35, (moss)1.35"),
        ("(moss)0.7 and moss", "(moss)0.7 and (moss)1.35"),
        ("(wet moss, (a) moss)0.7, moss", "(wet moss, (a) moss)0.7, (moss)1.35"),
        ("mossy moss-green moss++", "mossy moss-green moss++"),
        ("a ) moss ( moss", "a ) (moss)1.35 ( moss"),
    ],
)
def test_a_phrase_is_weighted_wherever_it_stands_without_a_weight(prompt: str, text: str) -> None:
    resolved, modulation = compose.resolve(a_map(Node("n", prompt)), "n", playing(Rule("alpha", "(moss)", 0.35)))
    assert resolved.phrases[0].text == text
    assert (modulation is not None) == (text != prompt)


def test_a_phrase_is_weighted_in_inherited_words_too_and_nowhere_else() -> None:
    eeg = playing(Rule("alpha", "(stone)", 0.3), Rule("alpha", "(wet stone)", 0.5), Rule("alpha", "(gold)", 0.5))
    resolved, modulation = compose.resolve(CHAIN, "c", eeg)
    assert resolved.phrases[0].text == "wet, (red)0.60, ((stone)1.30)0.36"
    assert modulation is not None and [m.target for m in modulation.moves] == ["(stone)"]


def test_the_longer_phrase_goes_first() -> None:
    eeg = playing(Rule("alpha", "(moss)", 0.3), Rule("alpha", "(wet moss)", 0.5))
    assert compose.resolve(a_map(Node("n", "wet moss, moss")), "n", eeg)[0].phrases[0].text == "(wet moss)1.50, (moss)1.30"


def test_a_blend_moves_between_its_parents() -> None:
    blend = a_map(Node("a", "fire"), Node("b", "ice"), Node("c"), links=(("a", "c", "blend"), ("b", "c", "blend")))
    resolved, _ = compose.resolve(blend, "c", playing(Rule("alpha", "blend", 0.3)))
    assert resolved.phrases == (Phrase("fire", pytest.approx(0.2)), Phrase("ice", 0.8))


def test_a_node_that_is_not_to_be_modulated_is_not() -> None:
    still = a_map(Node("n", "x", settings=Settings(modulate=False)))
    resolved, modulation = compose.resolve(still, "n", playing(Rule("alpha", "guidance", 2.0)))
    assert modulation is None and resolved.guidance == 4.0


def test_without_eeg_and_at_neutral_nothing_moves_and_nothing_is_said_of_it() -> None:
    rules = (Rule("alpha", "guidance", 2.0), Rule("alpha", "cold/warm", 2.0), Rule("alpha", "(stone)", 0.5))
    plain = compose.resolve(CHAIN, "a")
    for eeg in (compose.Playing(rules, (Cable(),) * 3), playing(*rules, position=0.0)):
        assert compose.resolve(CHAIN, "a", eeg) == plain == (plain[0], None)


def test_the_model_that_a_node_asks_for_is_in_its_request() -> None:
    assert compose.resolve(a_map(Node("n", "moss", settings=Settings(model="large"))), "n")[0].model == "large"


def test_what_a_node_sets_is_in_its_request() -> None:
    chosen = {
        "scheduler": "lcm",
        "tiling": "x",
        "variation": 0.25,
        "variation_seed": 9,
        "control": "d",
        "control_strength": 0.5,
    }
    resolved, _ = compose.resolve(a_map(Node("n", "moss", settings=Settings(**chosen), depth="blob")), "n")
    assert {name: getattr(resolved, name) for name in chosen} == chosen and resolved.depth == "blob"


def test_a_depth_map_without_a_controlnet_is_left_where_it_is() -> None:
    assert compose.resolve(a_map(Node("n", "moss", depth="blob")), "n")[0].depth is None


def test_the_eeg_moves_the_noise_between_two_seeds() -> None:
    node = a_map(Node("n", "moss", settings=Settings(variation=0.25)))
    resolved, modulation = compose.resolve(node, "n", playing(Rule("alpha", "variation", 0.5)))
    assert resolved.variation == 0.75 and modulation.moves[0].target == "variation"
    assert compose.resolve(node, "n", playing(Rule("alpha", "variation", 1.0)))[0].variation == 1.0


def loras(map: Map, node: str, playing: compose.Playing | None = None) -> tuple[str, dict[str, float]]:
    resolved, _ = compose.resolve(map, node, playing)
    return " | ".join(phrase.text for phrase in resolved.phrases), {lora.id: lora.weight for lora in resolved.loras}


def test_loras_are_inherited_and_fade_as_words_do_and_the_nearest_counts() -> None:
    chain = a_chain("wet <lora:glow:0.5>", "red <lora:ink:1> <lora:glow:2>", "stone <lora:ink:2> <lora:old>")
    assert loras(chain, "n0") == ("wet, (red)0.60, (stone)0.36", {"glow": 0.5, "ink": 0.6, "old": 0.36})


def test_a_node_of_loras_alone_speaks_with_its_parents_words_and_its_own_loras() -> None:
    assert loras(a_chain("<lora:glow:0.5>", "red <lora:ink>"), "n0") == ("red", {"glow": 0.5, "ink": 1.0})


def test_a_blends_loras_mix_as_its_words_do() -> None:
    blend = a_map(
        Node("a", "fire <lora:glow:0.8>"), Node("b", "ice <lora:frost:2>"), Node("c", "sea <lora:ink>"),
        links=(("a", "c", "blend"), ("b", "c", "blend")),
    )  # fmt: skip
    assert loras(blend, "c") == ("fire, sea | ice, sea", {"glow": 0.4, "ink": 1.0, "frost": 1.0})
    silent = a_map(Node("a", "fire <lora:glow>"), Node("c", "ice <lora:ink>"), links=(("a", "c", "blend"),))
    assert loras(silent, "c") == ("ice | fire", {"ink": 0.5, "glow": 0.5})


def test_a_phrase_that_the_eeg_weighs_is_not_found_in_the_name_of_a_lora() -> None:
    eeg = playing(Rule("alpha", "(moss)", 0.35))
    assert loras(a_map(Node("n", "stone <lora:moss:0.5>")), "n", eeg) == ("stone", {"moss": 0.5})


def test_a_request_without_a_node_names_loras_in_its_words_too() -> None:
    phrases = (Phrase("fire <lora:glow:0.8> <lora:ink>", 0.5), Phrase("ice", 0.5))
    asked = ResolvedRequest("txt2img", phrases, "", 64, 64, 4, 4.0, 1.0, 0, loras=(Lora("ink", 0.2),))
    made = compose.direct(asked)
    assert made.phrases == (Phrase("fire", 0.5), Phrase("ice", 0.5)) and made.loras == (Lora("ink", 0.2), Lora("glow", 0.4))
    assert compose.direct(made) == made


@pytest.mark.parametrize(
    ("shares", "weights"),
    [((0.3,), {"a": 1.0}), ((0.0,), {"a": 1.0}), ((1.0, 1.0), {"a": 0.5, "b": 0.5}), ((0.2, 0.6), {"a": 0.25, "b": 0.75})],
)
def test_loras_mix_by_the_part_that_their_words_have_of_all_shares(shares: tuple[float, ...], weights: dict) -> None:
    phrases = tuple(Phrase(f"x <lora:{id}:1>", share) for id, share in zip("ab", shares, strict=False))
    made = compose.direct(ResolvedRequest("txt2img", phrases, "", 64, 64, 4, 4.0, 1.0, 0))
    assert {lora.id: lora.weight for lora in made.loras} == weights
    assert [phrase.share for phrase in made.phrases] == list(shares)


def test_what_plays_no_part_makes_no_request_another() -> None:
    asked = ResolvedRequest("txt2img", (Phrase("x"),), "", 64, 64, 4, 4.0, 1.0, 0)
    deaf = replace(asked, variation_seed=7, control_strength=0.5)
    assert compose.direct(deaf) == compose.direct(asked)
    heard = replace(deaf, variation=0.1, control="depth", depth="ab" * 32)
    assert compose.direct(heard) == heard
    node = Node("n", "x", settings=Settings(64, 64, variation_seed=7, control_strength=0.5))
    plain = Node("n", "x", settings=Settings(64, 64))
    assert compose.resolve(a_map(node), "n")[0] == compose.resolve(a_map(plain), "n")[0]


def test_other_settings_go_before_the_nodes_own() -> None:
    blend = a_map(Node("a", "fire"), Node("c", "ice", settings=Settings(seed=3)), links=(("a", "c", "blend"),))
    made, _ = compose.resolve(blend, "c", settings=Settings(seed=4, blend=0.1))
    assert (made.seed, made.phrases) == (4, (Phrase("ice", 0.9), Phrase("fire", 0.1)))
    with pytest.raises(AlphaloomError, match="'depth' needs a depth map"):
        compose.resolve(blend, "c", settings=Settings(control="depth"))
