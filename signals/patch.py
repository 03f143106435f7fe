"""The patch: how features move parameters. Pure: a state and frames go in, the next state comes out.

One rule is a cable, and this is its way:

    z -> logistic -> deadband -> One-Euro filter -> slew limit -> position, -1..1 -> amount, limits -> target

At position 0 a target stays where the artist has put it. What is too poor to be believed holds the position; what
stays so lets it go back to 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from protocol.model import Feature, Frame, Move, Rule, Signal

LIMITS = {"guidance": (4.0, 9.0), "strength": (0.25, 0.6), "blend": (0.0, 1.0), "variation": (0.0, 1.0)}
WORD_LIMIT = 1.5
"""A scale's words have weights up to this; more makes diffusion models fall apart."""
PHRASE_LIMITS = (0.3, 1.6)
SEEDS = 2**31
QUIET = 0.05
"""A scale's word with less weight than this is not said."""

GOOD, POOR = 0.5, 0.3
"""Confidence below `GOOD` moves nothing; below `POOR` for `PATIENCE_S` it is lost and what it moved goes back."""
PATIENCE_S, DECAY_S = 3.0, 5.0
FAR, NEAR = 0.6, 0.2
"""A seed changes when a position stays beyond `FAR`, and may change again after it was within `NEAR`."""
SPEED_CUTOFF_HZ = 1.0
MAX_DT_S = 0.25
"""The longest step that a position moves for: after a pause it goes on from where it stood, it does not leap."""


@dataclass(frozen=True)
class Cable:
    """Where one rule stands. A new one has heard nothing."""

    position: float = 0.0
    """-1..1, what the target is moved by."""
    time: float | None = None
    """Of the frame that it heard last, in seconds since 1970."""
    smooth: float | None = None
    """The One-Euro filter's value; None before the first."""
    speed: float = 0.0
    """The One-Euro filter's speed, 1/s."""
    poor_s: float = 0.0
    """For how long its feature has been too poor."""
    signal: Signal = "lost"
    value: float | None = None
    """Of its feature, when it was good last."""
    z: float | None = None
    end_s: float = 0.0
    """Only for `seed`: for how long it has been at an end."""
    armed: bool = True
    count: int = 0
    """Only for `seed`: how many seeds it has gone on."""


State = tuple[Cable, ...]
"""One cable for each rule, in their order."""


def start(rules: Sequence[Rule]) -> State:
    return tuple(Cable() for _ in rules)


def carry(before: Sequence[Rule], state: State, rules: Sequence[Rule]) -> State:
    """The state for an edited patch: a cable that is still there goes on from where it stands."""
    known = {(r.performer, r.feature, r.target): cable for r, cable in zip(before, state, strict=True)}
    return tuple(known.get((r.performer, r.feature, r.target), Cable()) for r in rules)


def step(rules: Sequence[Rule], state: State, frames: Mapping[int, Frame], now: float) -> State:
    """The next state, from each performer's newest frame.

    A cable moves when its performer's frame is another than the last, by as much as the frames' own times allow. A
    performer that is not in `frames` has been lost, and time goes on for its cables until `now` (seconds since 1970).
    """
    return tuple(_step(rule, cable, frames.get(rule.performer), now) for rule, cable in zip(rules, state, strict=True))


def place(rule: Rule, z: float) -> float:
    """Where `z` pulls a rule, -1..1: a logistic curve, and none of it within the deadband, without a jump at its edge."""
    bent = math.tanh(rule.gain * z / 2)  # the same as 2 / (1 + exp(-gain z)) - 1, and cannot overflow
    return math.copysign(max(0.0, abs(bent) - rule.deadband) / (1 - rule.deadband), bent)


def grade(rule: Rule, frame: Frame | None) -> tuple[Signal, Feature | None]:
    """Whether a rule may follow its feature in a frame (`good`), must stay (`held`), or has nothing to follow (`lost`)."""
    if frame is not None and frame.signal == "held":  # whoever says so knows when it becomes too long
        return "held", None
    feature = frame.features.get(rule.feature) if frame else None
    if frame is None or frame.signal == "lost" or feature is None:
        return "lost", None
    known = feature.z is not None and math.isfinite(feature.z) and math.isfinite(feature.value)
    if not known or not feature.confidence >= POOR:
        return "lost", None
    return ("good" if feature.confidence >= GOOD else "held"), feature


def _step(rule: Rule, cable: Cable, frame: Frame | None, now: float) -> Cable:
    time = frame.time if frame else now
    if time == cable.time or not math.isfinite(time):
        return cable
    # A clock that was set back gives no time to move in.
    passed = max(0.0, time - cable.time) if cable.time is not None else 0.0
    dt = min(passed, MAX_DT_S)
    signal, feature = grade(rule, frame)
    if signal == "good" and feature is not None:
        cable = _follow(rule, cable, feature, dt)
    else:
        poor = cable.poor_s + passed if signal == "lost" else 0.0
        if frame and frame.signal == "lost":  # whoever says so has been patient already
            poor = max(poor, PATIENCE_S + passed)
        position = _limit(rule, cable.position, cable.position * _fading(cable.poor_s, poor), dt)
        # The filter waits at the position too: from there it comes back.
        smooth = None if cable.smooth is None else position
        cable = replace(cable, position=position, smooth=smooth, speed=0.0, poor_s=poor, end_s=0.0)
        signal = "lost" if poor > PATIENCE_S or cable.value is None else "held"
    return _count(rule, replace(cable, time=time, signal=signal), dt)


def _follow(rule: Rule, cable: Cable, feature: Feature, dt: float) -> Cable:
    """Casiez, Roussel, Vogel: "1€ filter", CHI 2012; then the slew limit."""
    assert feature.z is not None
    goal, smooth, speed = place(rule, feature.z), cable.smooth, cable.speed
    if smooth is None:
        smooth = goal
    elif dt > 0:
        speed += _share(SPEED_CUTOFF_HZ, dt) * ((goal - smooth) / dt - speed)
        smooth += _share(rule.cutoff + rule.beta * abs(speed), dt) * (goal - smooth)
    position = _limit(rule, cable.position, smooth, dt)
    return replace(cable, position=position, smooth=smooth, speed=speed, poor_s=0.0, value=feature.value, z=feature.z)


def _share(cutoff: float, dt: float) -> float:
    """Of a new value in a first-order low-pass with a cut-off in Hz."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * dt))


def _limit(rule: Rule, position: float, goal: float, dt: float) -> float:
    most = 2 * rule.slew * dt  # the whole range is 2 wide
    return max(-1.0, min(1.0, position + max(-most, min(most, goal - position))))


def _fading(before: float, after: float) -> float:
    """The factor that brings a position to 0, `DECAY_S` after the patience has ended.

    Half a cosine, slow at first: a clench of the jaw spoils windows for a little longer than patience lasts, and must
    hardly be seen.
    """
    left = [(1 + math.cos(math.pi * min(1.0, max(0.0, (poor - PATIENCE_S) / DECAY_S)))) / 2 for poor in (before, after)]
    return left[1] / left[0] if left[0] > 1e-9 else 0.0


def _count(rule: Rule, cable: Cable, dt: float) -> Cable:
    """For `seed`: on by one when the position dwells at its upper end, back by one at its lower, then wait for its return."""
    if rule.target != "seed":
        return cable
    if abs(cable.position) < NEAR:
        return replace(cable, armed=True, end_s=0.0)
    if not cable.armed or abs(cable.position) <= FAR or cable.signal != "good":
        return replace(cable, end_s=0.0)
    if cable.end_s + dt < rule.dwell:
        return replace(cable, end_s=cable.end_s + dt)
    return replace(cable, armed=False, end_s=0.0, count=cable.count + (1 if cable.position > 0 else -1))


# -- what the cables move ------------------------------------------------------------------------------------------------

Kind = Literal["number", "seed", "scale", "phrase"]


def kind(target: str) -> Kind | None:
    """What a rule's target is; None where it is nothing that can be moved."""
    if target in LIMITS:
        return "number"
    if target == "seed":
        return "seed"
    if target.startswith("(") and target.endswith(")"):
        return "phrase" if target[1:-1].strip() and not set("()") & set(target[1:-1]) else None
    words = target.split("/")
    plain = all(word.strip() and not set("(),") & set(word) for word in words)
    return "scale" if len(words) > 1 and plain else None


def apply(
    rules: Sequence[Rule], state: State, values: Mapping[str, float]
) -> tuple[dict[str, float], tuple[tuple[Rule, Move], ...]]:
    """Move `values` by where the cables stand: (new values, which rule moved what).

    Rules on one target add up, then its limits hold; a node's own value outside them may stay, but is not moved further
    out. Scales of words start at 0 and may be absent from `values`; other targets that are absent are passed over.
    """
    sums: dict[str, float] = {}
    moved = dict(values)
    moves = []
    for rule, cable in zip(rules, state, strict=True):
        is_scale = kind(rule.target) == "scale"
        if cable.value is None or cable.z is None or not (is_scale or rule.target in values):
            continue
        own = values.get(rule.target, 0.0)
        before = moved.setdefault(rule.target, own)
        if rule.target == "seed":
            moved["seed"] = (before + round(rule.amount) * cable.count) % SEEDS
        else:
            sums[rule.target] = sums.get(rule.target, own) + rule.amount * cable.position
            moved[rule.target] = _within(rule.target, own, sums[rule.target])
        after = moved[rule.target]
        if after != before:
            moves.append((rule, Move(rule.feature, cable.value, cable.z, rule.target, before, after)))
    return moved, tuple(moves)


def _within(target: str, own: float, value: float) -> float:
    what = kind(target)
    if what == "scale":
        low, high = -WORD_LIMIT, WORD_LIMIT
    else:
        low, high = PHRASE_LIMITS if what == "phrase" else LIMITS[target]
    return round(min(max(high, own), max(min(low, own), value)), 4)


def words(values: Mapping[str, float]) -> list[tuple[str, float]]:
    """The words that the scales in `values` say, each with its weight (0..`WORD_LIMIT`).

    A scale stands from -1, its first word, to 1, its last. With two words the middle says nothing, and further out a
    word gets louder. With more, neighbours share the weight, and the middle one speaks at 0; beyond the ends the end
    gets louder.
    """
    said: list[tuple[str, float]] = []
    for target, value in values.items():
        if kind(target) != "scale":
            continue
        steps = [word.strip() for word in target.split("/")]
        if len(steps) == 2:
            said.append((steps[value > 0], abs(value)))
            continue
        along = (max(-1.0, min(1.0, value)) + 1) / 2 * (len(steps) - 1)
        first = min(int(along), len(steps) - 2)
        loud, share = max(1.0, abs(value)), along - first
        said += [(steps[first], loud * (1 - share)), (steps[first + 1], loud * share)]
    return [(word, weight) for word, weight in said if weight >= QUIET]


def performers(rules: Iterable[Rule]) -> tuple[int, ...]:
    """Whose features the rules want: 1 is the first stream."""
    return tuple(sorted({rule.performer for rule in rules}))
