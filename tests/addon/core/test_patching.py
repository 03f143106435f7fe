from addon.core.patching import EVERY_S, Patching
from protocol.model import Rule

ALPHA, CALM, SEED = Rule("alpha", "cold/warm", 1.2), Rule("calm", "blend", 0.25), Rule("engage", "seed", 2)


def patching(*rules: Rule) -> Patching:
    made = Patching()
    made.arrived(rules or (ALPHA, CALM))
    return made


def amounts(made: Patching) -> list[float]:
    return [rule.amount for rule in made.rules]


def test_a_slider_that_is_dragged_is_sent_a_few_times_a_second_and_the_newest_wins() -> None:
    here = patching()
    sent = []
    for n in range(21):
        here.turn(0, n / 10)
        if (rules := here.due(n * EVERY_S / 10)) is not None:
            sent.append(rules[0].amount)
    assert sent == [0.0, 1.0, 2.0] and here.due(99.0) is None


def test_what_is_turned_shows_at_once_and_stays_when_it_is_answered() -> None:
    here = patching()
    here.turn(1, 0.1)
    assert amounts(here) == [1.2, 0.1]
    rules = here.due(0.0)
    assert rules == here.rules
    here.heard(rules)
    assert amounts(here) == [1.2, 0.1] and here.due(9.0) is None


def test_an_amount_that_is_turned_to_what_it_is_sends_nothing() -> None:
    here = patching()
    here.turn(0, 1.2)
    assert here.due(0.0) is None


def test_what_somebody_else_changes_shows_here_also_while_a_slider_is_dragged() -> None:
    here = patching()
    here.heard((CALM,))
    assert here.rules == (CALM,)
    here.turn(0, 0.5)
    here.heard((SEED, CALM))  # theirs, before ours was sent
    assert here.rules == (SEED, Rule("calm", "blend", 0.5)) == here.due(0.0)


def test_the_last_to_be_heard_of_one_rule_wins() -> None:
    here = patching()
    here.turn(0, 0.5)
    mine = here.due(0.0)
    here.heard((Rule("alpha", "cold/warm", 3.0), CALM))  # before ours arrived
    assert amounts(here)[0] == 0.5
    here.heard(mine)
    here.heard((Rule("alpha", "cold/warm", 3.0), CALM))  # after it
    assert amounts(here)[0] == 3.0


def test_rules_are_added_and_removed() -> None:
    here = patching()
    here.put(SEED)
    here.remove(0)
    assert here.rules == (CALM, SEED)
    here.heard(here.due(0.0))
    assert here.rules == (CALM, SEED)


def test_what_the_broker_refuses_is_taken_back_and_nothing_else_is() -> None:
    here = patching()
    here.refused()  # something else without a name
    here.turn(0, 99.0)
    here.refused()  # nor is this it: it was not sent yet
    assert amounts(here)[0] == 99.0 and here.due(0.0)
    here.refused()
    assert here.rules == (ALPHA, CALM) and here.due(9.0) is None


def test_what_was_not_answered_when_the_connection_was_lost_is_sent_again() -> None:
    here = patching()
    here.turn(0, 0.5)
    assert here.due(0.0)
    here.arrived((ALPHA, CALM, SEED))
    assert here.due(1.0) == (Rule("alpha", "cold/warm", 0.5), CALM, SEED)
