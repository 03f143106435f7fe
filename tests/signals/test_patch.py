import pytest

from protocol.errors import AlphaloomError
from protocol.model import Rule
from signals import patch


def test_the_middle_of_the_range_moves_nothing_and_the_ends_move_by_the_amount() -> None:
    rule = Rule("alpha", "guidance", 2.0, low=0.2, high=0.6)
    for value, after in ((0.4, 5.0), (0.6, 7.0), (0.2, 3.0), (0.5, 6.0), (0.9, 7.0), (0.0, 3.0)):
        moved, moves = patch.apply([rule], {"alpha": value}, {"guidance": 5.0})
        assert moved["guidance"] == pytest.approx(after)
        assert (moves[0].feature, moves[0].value, moves[0].before) == ("alpha", value, 5.0)


def test_what_is_moved_stays_within_its_limits() -> None:
    rules = [Rule("alpha", "strength", 5.0), Rule("alpha", "calm/turbulent", -9.0)]
    moved, _ = patch.apply(rules, {"alpha": 1.0}, {"strength": 0.5})
    assert moved == {"strength": 1.0, "calm/turbulent": -patch.WORD_LIMIT}


def test_two_rules_on_one_parameter_add_up() -> None:
    rules = [Rule("alpha", "blend", 0.2), Rule("beta", "blend", 0.1)]
    moved, moves = patch.apply(rules, {"alpha": 1.0, "beta": 0.0}, {"blend": 0.5})
    assert moved["blend"] == pytest.approx(0.6)
    assert [m.before for m in moves] == [0.5, 0.7]


def test_missing_features_and_parameters_are_passed_over() -> None:
    rules = [Rule("gamma", "guidance", 1.0), Rule("alpha", "blend", 0.2)]
    assert patch.apply(rules, {"alpha": 1.0}, {"guidance": 4.0}) == ({"guidance": 4.0}, ())


def test_a_pair_says_the_word_on_its_side() -> None:
    assert patch.words({"calm/turbulent": -0.7, "guidance": 4}) == [("calm", 0.7)]
    assert patch.words({"calm/turbulent": 1.2}) == [("turbulent", 1.2)]
    assert patch.words({"calm/turbulent": 0.01}) == []


@pytest.mark.parametrize("rule", [Rule("alpha", "speed", 1), Rule("alpha", "a/b/c", 1), Rule("alpha", "blend", 1, 0.5, 0.5)])
def test_a_rule_that_cannot_work_is_refused(rule: Rule) -> None:
    with pytest.raises(AlphaloomError) as caught:
        patch.check([rule])
    assert caught.value.code == "bad_rule"


def test_the_default_patch_is_sound() -> None:
    patch.check(patch.DEFAULT_PATCH)
