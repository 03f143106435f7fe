import itertools
import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
from eeg import frame
from hypothesis import given
from hypothesis import strategies as st

from protocol.model import Frame, Rule
from signals import patch

GUIDANCE = Rule("alpha", "guidance", 2.0)
EAGER = Rule("alpha", "blend", 0.5, deadband=0.0, cutoff=10.0, slew=2.0)
SEED = Rule("alpha", "seed", 1, dwell=2.0, slew=2.0, cutoff=10.0)


def play(rules: Iterable[Rule], frames: Iterable[Frame], state: patch.State | None = None) -> list[patch.State]:
    """Each state, frame by frame of the one performer."""
    rules = tuple(rules)
    states = [state or patch.start(rules)]
    for one in frames:
        states.append(patch.step(rules, states[-1], {1: one}, one.time))
    return states


def steady(z: float | None, seconds: float, start: float = 100.0, **more) -> list[Frame]:
    return [frame(start + n / 10, alpha=z, **more) for n in range(round(seconds * 10) + 1)]


def settled(rule: Rule, z: float) -> patch.State:
    return play([rule], steady(z, 20))[-1]


def moved(rule: Rule, state: patch.State, own: float) -> float:
    return patch.apply([rule], state, {rule.target: own})[0][rule.target]


def test_a_feature_at_its_middle_leaves_the_artists_setting_as_it_is() -> None:
    assert moved(GUIDANCE, settled(GUIDANCE, 0.0), 5.0) == 5.0


def test_no_eeg_leaves_the_artists_setting_as_it_is() -> None:
    state = patch.start([GUIDANCE])
    for now in range(100):
        state = patch.step([GUIDANCE], state, {}, float(now))
    assert patch.apply([GUIDANCE], state, {"guidance": 5.0}) == ({"guidance": 5.0}, ())


def test_at_gain_1_a_z_of_2_is_76_percent_of_the_way() -> None:
    rule = replace(GUIDANCE, deadband=0.0)
    assert patch.place(rule, 2.0) == pytest.approx(0.7616, abs=1e-4) == -patch.place(rule, -2.0)
    assert moved(rule, settled(rule, 2.0), 5.0) == pytest.approx(5 + 2 * 0.7616, abs=0.02)


def test_the_deadband_moves_nothing_and_has_no_edge() -> None:
    rule = replace(GUIDANCE, deadband=0.2)
    edge = 2 * math.atanh(0.2)
    assert patch.place(rule, edge) == pytest.approx(0) == patch.place(rule, -edge / 2)
    assert 0 < patch.place(rule, edge + 1e-6) < 1e-5
    assert patch.place(rule, 1e9) == 1 and patch.place(rule, -1e9) == -1


def test_the_one_euro_filter_is_calm_at_rest_and_quick_in_a_fast_movement() -> None:
    calm, quick = (replace(EAGER, cutoff=0.2, beta=beta) for beta in (0.0, 5.0))
    step = [*steady(0.0, 2), *steady(3.0, 0.5, 102.1)]
    positions = [play([rule], step)[-1][0].position for rule in (calm, quick)]
    assert positions[0] < 0.6 * positions[1]


def test_the_one_euro_filter_uses_the_frames_own_times() -> None:
    rule = replace(EAGER, beta=0.0, cutoff=0.5)
    often = [frame(n / 20, alpha=2.0 * (n > 0)) for n in range(21)]
    rarely = [frame(n / 5, alpha=2.0 * (n > 0)) for n in range(6)]
    assert play([rule], often)[-1][0].position == pytest.approx(play([rule], rarely)[-1][0].position, abs=0.1)


def test_the_slew_limit_holds_however_far_the_feature_leaps() -> None:
    rule = replace(EAGER, slew=0.25)
    states = play([rule], [*steady(-9.0, 5), *steady(9.0, 5, 105.1)])
    leaps = [abs(b[0].position - a[0].position) for a, b in itertools.pairwise(states)]
    assert max(leaps) == pytest.approx(2 * 0.25 * 0.1)


@pytest.mark.parametrize(
    "poor", [{"confidence": 0.4}, {"confidence": 0.1}, {"signal": "held"}, {"confidence": math.nan}], ids=str
)
def test_what_is_too_poor_moves_nothing(poor: dict) -> None:
    before = settled(EAGER, 2.0)
    after = play([EAGER], steady(-5.0, 2.9, 120.1, **poor), before)[-1]
    assert after[0].position == before[0].position and after[0].signal == "held"


def test_what_stays_poor_for_three_seconds_goes_back_in_five() -> None:
    before = settled(EAGER, 2.0)[0].position
    positions = [s[0].position for s in play([EAGER], steady(2.0, 8.1, 120.1, confidence=0.1), settled(EAGER, 2.0))[1:]]
    assert positions[28] == before
    assert positions[54] == pytest.approx(before / 2, rel=0.05)
    assert positions[-1] == 0
    assert all(b <= a for a, b in itertools.pairwise(positions))


def test_a_jaw_clenched_for_two_seconds_is_hardly_seen() -> None:
    # With its two-second window it spoils four seconds, the last of them called lost.
    clench = [*steady(-5.0, 2.9, 120.1, confidence=0.0), *steady(-5.0, 0.9, 123.1, signal="lost")]
    for z in (9.0, -9.0):
        before = settled(EAGER, z)
        leap = play([EAGER], clench, before)[-1][0].position - before[0].position
        assert abs(leap) < 0.05 * 2


def test_what_is_only_held_stays_for_as_long_as_it_takes() -> None:
    before = settled(EAGER, 2.0)
    assert play([EAGER], steady(2.0, 60, 120.1, confidence=0.4), before)[-1][0].position == before[0].position


def test_a_signal_that_is_called_lost_goes_back_at_once() -> None:
    before = settled(EAGER, 2.0)[0].position
    after = play([EAGER], steady(2.0, 2.5, 120.1, signal="lost"), settled(EAGER, 2.0))[-1][0]
    assert after.position == pytest.approx(before / 2, rel=0.1) and after.signal == "lost"


def test_a_performer_that_is_gone_is_forgotten_by_the_clock() -> None:
    state = settled(EAGER, 2.0)
    held = patch.step([EAGER], state, {}, 122.0)
    assert held[0].position == state[0].position
    for n in range(100):
        held = patch.step([EAGER], held, {}, 122.0 + n / 10)
    assert held[0].position == 0


def test_what_comes_back_comes_back_without_a_leap() -> None:
    gone = play([EAGER], steady(2.0, 10, 120.1, confidence=0.0), settled(EAGER, 2.0))[-1]
    back = play([EAGER], steady(2.0, 5, 300.0), gone)
    leaps = [b[0].position - a[0].position for a, b in itertools.pairwise(back)]
    assert max(leaps[1:]) <= 2 * EAGER.slew * 0.1 + 1e-9 and max(leaps) <= 2 * EAGER.slew * patch.MAX_DT_S
    assert back[-1][0].position == pytest.approx(settled(EAGER, 2.0)[0].position, abs=0.01)


def test_a_frame_counts_once() -> None:
    state = settled(GUIDANCE, 2.0)
    same = frame(500.0, alpha=-2.0)
    once = patch.step([GUIDANCE], state, {1: same}, 500.0)
    assert once != state and patch.step([GUIDANCE], once, {1: same}, 501.0) == once


def test_a_clock_that_is_set_back_moves_nothing_and_stops_nothing() -> None:
    state = settled(EAGER, 2.0)
    back = play([EAGER], steady(-2.0, 0, 7.0), state)[-1]
    assert back[0].position == state[0].position
    assert play([EAGER], steady(-2.0, 5, 7.1), back)[-1][0].position < 0


def test_each_rule_follows_its_own_performer() -> None:
    rules = (EAGER, replace(EAGER, performer=2))
    state = patch.start(rules)
    for n in range(50):
        state = patch.step(rules, state, {1: frame(n / 10, alpha=2.0), 2: frame(n / 10, alpha=-2.0)}, n / 10)
    assert state[0].position > 0.5 and state[1].position == -state[0].position
    assert patch.performers(rules) == (1, 2)


def test_a_feature_without_a_z_leaves_its_rule_idle() -> None:
    state = play([GUIDANCE], steady(None, 5))[-1]
    assert state[0].position == 0 and state[0].value is None


# -- targets -------------------------------------------------------------------------------------------------------------


def at(position: float, count: int = 0) -> patch.Cable:
    return patch.Cable(position, 1.0, position, value=0.5, z=1.0, count=count)


@pytest.mark.parametrize(
    ("target", "own", "amount", "after"),
    [
        ("guidance", 5.0, 9.0, 9.0),
        ("guidance", 5.0, -9.0, 4.0),
        ("guidance", 12.0, 2.0, 12.0),  # outside the limits already: no further out,
        ("guidance", 12.0, -2.0, 10.0),  # but inwards
        ("strength", 0.5, 1.0, 0.6),
        ("strength", 0.9, -0.1, 0.8),
        ("strength", 0.5, -1.0, 0.25),
        ("blend", 0.5, 2.0, 1.0),
        ("(moss)", 1.0, 0.35, 1.35),
        ("(moss)", 1.0, 3.0, 1.6),
        ("(moss)", 1.0, -3.0, 0.3),
        ("cold/warm", 0.0, 3.0, 1.5),
    ],
)
def test_a_target_moves_by_the_amount_within_its_limits(target: str, own: float, amount: float, after: float) -> None:
    values, moves = patch.apply([Rule("alpha", target, amount)], (at(1.0),), {target: own})
    assert values[target] == pytest.approx(after)
    assert [move.after for _, move in moves] == ([] if after == own else [values[target]])


def test_rules_on_one_target_add_up_whatever_their_order() -> None:
    rules = [Rule("alpha", "guidance", 8.0), Rule("beta", "guidance", -2.0)]
    for order in (rules, rules[::-1]):
        assert patch.apply(order, (at(1.0), at(1.0)), {"guidance": 4.0})[0] == {"guidance": 9.0}
    _, moves = patch.apply(rules, (at(0.25), at(0.5)), {"guidance": 5.0})
    assert [(m.feature, m.before, m.after) for _, m in moves] == [("alpha", 5.0, 7.0), ("beta", 7.0, 6.0)]


def test_a_target_that_the_node_does_not_have_is_passed_over() -> None:
    assert patch.apply([EAGER], (at(1.0),), {"guidance": 4.0}) == ({"guidance": 4.0}, ())


@pytest.mark.parametrize(
    ("target", "value", "said"),
    [
        ("cold/warm", 0.0, {}),
        ("cold/warm", -0.7, {"cold": 0.7}),
        ("cold/warm", 1.2, {"warm": 1.2}),
        ("cold/warm", 0.04, {}),
        ("blue/teal/gold", 0.0, {"teal": 1.0}),
        ("blue/teal/gold", 0.5, {"teal": 0.5, "gold": 0.5}),
        ("blue/teal/gold", -1.0, {"blue": 1.0}),
        ("blue/teal/gold", 1.4, {"gold": 1.4}),
        ("a/b/c/d", 0.0, {"b": 0.5, "c": 0.5}),
    ],
)
def test_a_scale_says_the_words_where_it_stands(target: str, value: float, said: dict[str, float]) -> None:
    assert dict(patch.words({target: value, "guidance": 4.0})) == pytest.approx(said)


def test_a_scale_that_has_heard_nothing_is_silent() -> None:
    assert patch.apply([Rule("alpha", "a/b/c", 1.0)], (patch.Cable(),), {})[0] == {}


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("guidance", "number"), ("seed", "seed"), ("a/b", "scale"), ("a / b/c", "scale"), ("(moss)", "phrase"),
        ("(wet moss)", "phrase"), ("speed", None), ("a/", None), ("()", None), ("((moss))", None), ("(a)/b", None), ("", None),
        ("a, b/c", None),
    ],
)  # fmt: skip
def test_what_a_target_is(target: str, kind: str | None) -> None:
    assert patch.kind(target) == kind


def test_a_seed_changes_once_when_its_feature_dwells_and_again_after_it_was_back() -> None:
    up, middle, down = (lambda start, z=z: steady(z, 4, start) for z in (4.0, 0.0, -4.0))
    counts = []
    state = patch.start([SEED])
    for n, part in enumerate((up, up, middle, up, middle, down, down)):
        state = play([SEED], part(n * 4.1), state)[-1]
        counts.append(state[0].count)
    assert counts == [1, 1, 1, 2, 2, 1, 1]
    assert patch.apply([SEED], state, {"seed": 41.0})[0] == {"seed": 42.0}


def test_a_seed_does_not_change_for_a_moment_nor_while_the_signal_is_poor() -> None:
    brief = play([SEED], [*steady(4.0, 1.5), *steady(0.0, 3, 101.6)])[-1]
    assert brief[0].count == 0
    held = play([SEED], steady(4.0, 20, 101.5, confidence=0.4), play([SEED], steady(4.0, 1.4))[-1])[-1]
    assert held[0].count == 0


def test_a_lost_stream_changes_no_seed() -> None:
    state = play([SEED], steady(4.0, 4))[-1]
    assert play([SEED], steady(4.0, 20, 105.0, signal="lost"), state)[-1][0].count == state[0].count == 1


def test_an_edited_patch_goes_on_from_where_it_stood() -> None:
    state = settled(GUIDANCE, 2.0)
    edited = (Rule("beta", "blend", 1.0), replace(GUIDANCE, amount=1.0))
    carried = patch.carry([GUIDANCE], state, edited)
    assert carried == (patch.Cable(), state[0])


# -- whatever comes ------------------------------------------------------------------------------------------------------

numbers = st.floats(allow_nan=True, allow_infinity=True)
sane = st.floats(-50, 50)
rules = st.lists(
    st.builds(
        Rule,
        feature=st.sampled_from(["alpha", "beta"]),
        target=st.sampled_from(["guidance", "strength", "blend", "seed", "cold/warm", "a/b/c", "(moss)"]),
        amount=st.integers(-10, 10).filter(bool).map(float),
        performer=st.integers(1, 2),
        gain=st.floats(0.01, 20),
        deadband=st.floats(0, 0.9),
        cutoff=st.floats(0.01, 10),
        beta=st.floats(0, 10),
        slew=st.floats(0.01, 2),
        dwell=st.floats(1, 10),
    ),
    max_size=4,
)
frames = st.lists(
    st.builds(
        frame,
        time=st.one_of(st.floats(0, 30), numbers),
        confidence=st.one_of(st.floats(0, 1), numbers),
        signal=st.sampled_from(["good", "good", "held", "lost"]),
        alpha=st.one_of(st.none(), sane, numbers),
        beta=st.one_of(st.none(), sane, numbers),
    ),
    max_size=40,
)
OWN = {"guidance": 4.0, "strength": 0.6, "blend": 0.5, "seed": 7.0, "(moss)": 1.0}
BOUNDS = {"guidance": (4, 9), "strength": (0.25, 0.6), "blend": (0, 1), "seed": (0, 2**31), "(moss)": (0.3, 1.6)}


@given(rules, frames, st.lists(st.sampled_from([(1,), (2,), (1, 2), ()]), min_size=40, max_size=40))
def test_whatever_comes_positions_and_targets_stay_in_bounds_and_slew(
    rules: list[Rule], frames: list[Frame], heard: list[tuple[int, ...]]
) -> None:
    state = patch.start(rules)
    for one, who in zip(frames, heard, strict=False):
        before, state = state, patch.step(rules, state, dict.fromkeys(who, one), one.time)
        assert state == patch.step(rules, before, dict.fromkeys(who, one), one.time)
        for rule, old, new in zip(rules, before, state, strict=True):
            assert -1 <= new.position <= 1
            passed = max(0.0, new.time - old.time) if new.time is not None and old.time is not None else 0.0
            assert abs(new.position - old.position) <= 2 * rule.slew * min(passed, patch.MAX_DT_S) + 1e-9
            poor = one.signal != "good" or any(not f.confidence >= patch.GOOD for f in one.features.values())
            if poor:
                assert abs(new.position) <= abs(old.position)
        values, _ = patch.apply(rules, state, OWN)
        for target, value in values.items():
            low, high = BOUNDS.get(target, (-patch.WORD_LIMIT, patch.WORD_LIMIT))
            assert low <= value <= high
        assert all(patch.QUIET <= weight <= patch.WORD_LIMIT for _, weight in patch.words(values))


@given(rules, st.integers(1, 30))
def test_whatever_the_patch_neutral_features_move_nothing(rules: list[Rule], count: int) -> None:
    neutral = [frame(n / 10, alpha=0.0, beta=0.0) for n in range(count)]
    state = patch.start(rules)
    for one in neutral:
        state = patch.step(rules, state, {1: one, 2: one}, one.time)
    values, moves = patch.apply(rules, state, OWN)
    assert moves == () and {k: v for k, v in values.items() if k in OWN} == OWN
