import pytest

from broker.loras import mixed, split
from protocol import check
from protocol.errors import AlphaloomError
from protocol.model import Lora


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("wet moss <lora:a:0.5>", "wet moss"),
        ("<lora:a>, wet moss", "wet moss"),
        ("wet, <lora:a:1>, moss", "wet, moss"),
        ("wet <lora:a> moss", "wet moss"),
        ("wet<lora:a>moss", "wet moss"),
        ("moss, <lora:a:1>", "moss"),
        ("(<lora:a> moss)1.2", "(moss)1.2"),
        ("moss, (<lora:a>, wet), (stone, <lora:a>), x <lora:a>, y", "moss, (wet), (stone), x, y"),
        ("<lora:a>", ""),
        ("a,<lora:a><lora:b>,b", "a, b"),
        ("one\n<LoRA:a>\ntwo", "one\n \ntwo"),
    ],
)
def test_tags_are_taken_out_of_the_words(prompt: str, words: str) -> None:
    assert split(prompt)[0] == words


def test_without_tags_the_words_are_left_as_they_are() -> None:
    for prompt in ("a,  b ,, c", "x <hypernet:a:1> y", "1 < 2 > 1", "<lora:a", ""):
        assert split(prompt) == (prompt, ())


def test_a_tag_has_an_id_and_a_weight_or_weighs_one() -> None:
    said = split("<lora:ink wash> <lora:glow:-.5> <lora:pose_v1.2:1:0.4> <lora:glow: 2. >")[1]
    assert said == (Lora("ink wash"), Lora("glow", 2.0), Lora("pose_v1.2"))


@pytest.mark.parametrize(
    "tag", ["<lora:>", "<lora::1>", "<lora:a:x>", "<lora:a:nan>", "<lora:a:1e3>", "<lora:a:2.1>", "<lora:a:-3>"]
)
def test_a_tag_that_cannot_be_read_is_refused_with_its_own_words(tag: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        split(f"moss {tag}")
    assert caught.value.code == "bad_lora" and tag in caught.value.message


def test_weights_mix_as_phrases_do_and_what_weighs_nothing_is_left_out() -> None:
    ends = ((0.75, {"a": 1.0, "both": 0.8}), (0.25, {"b": -1.0, "both": 0.4}), (0.0, {"gone": 1.0}))
    assert mixed(ends) == (Lora("a", 0.75), Lora("both", 0.7), Lora("b", -0.25))
    assert mixed(ends[:1], first=[Lora("both", 0.1)]) == (Lora("both", 0.1), Lora("a", 0.75))


def test_too_many_are_refused() -> None:
    with pytest.raises(AlphaloomError, match="The most is"):
        mixed([(1.0, {str(n): 1.0 for n in range(check.MAX_LORAS + 1)})])
