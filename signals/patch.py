"""The patch: how features move parameters. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from protocol.errors import AlphaloomError
from protocol.model import Move, Rule

LIMITS = {"guidance": (1.0, 20.0), "strength": (0.05, 1.0), "blend": (0.0, 1.0)}
WORD_LIMIT = 1.5
"""A pair of words has weights up to this; more makes diffusion models fall apart."""

DEFAULT_PATCH = (
    Rule("alpha", "turbulent/calm", 1.2, low=0.1, high=0.6),
    Rule("beta", "cold/warm", 1.0, low=0.05, high=0.4),
    Rule("beta", "dark/bright", 1.2, low=0.05, high=0.4),
    Rule("alpha", "blend", 0.35, low=0.1, high=0.6),
    Rule("beta", "strength", 0.1, low=0.05, high=0.4),
)


def check(rules: Iterable[Rule]) -> None:
    """Raise AlphaloomError `bad_rule` for the first rule that cannot work."""
    for rule in rules:
        if rule.parameter not in LIMITS and not _is_pair(rule.parameter):
            raise AlphaloomError(
                "bad_rule",
                f"No parameter is called {rule.parameter!r}. Use {', '.join(LIMITS)} or a pair like 'calm/turbulent'.",
                parameter=rule.parameter,
            )
        if not rule.low < rule.high:
            raise AlphaloomError(
                "bad_rule", f"A rule's low ({rule.low:g}) must be below its high ({rule.high:g}).", feature=rule.feature
            )


def apply(
    rules: Iterable[Rule], features: Mapping[str, float], values: Mapping[str, float]
) -> tuple[dict[str, float], tuple[Move, ...]]:
    """Move `values` by `features`: (new values, what was moved).

    A feature in the middle of its rule's range moves nothing, at the ends by ±`amount`. Pairs of words start at 0
    and may be absent from `values`; other parameters that are absent, and features that are, are passed over.
    """
    moved = dict(values)
    moves = []
    for rule in rules:
        pair = _is_pair(rule.parameter)
        if rule.feature not in features or not (pair or rule.parameter in values):
            continue
        value = features[rule.feature]
        place = min(1.0, max(0.0, (value - rule.low) / (rule.high - rule.low)))
        before = moved.get(rule.parameter, 0.0)
        low, high = (-WORD_LIMIT, WORD_LIMIT) if pair else LIMITS[rule.parameter]
        after = round(min(high, max(low, before + rule.amount * (2 * place - 1))), 4)
        moved[rule.parameter] = after
        moves.append(Move(rule.feature, value, rule.parameter, before, after))
    return moved, tuple(moves)


def words(values: Mapping[str, float]) -> list[tuple[str, float]]:
    """The words that the pairs in `values` say, each with its weight (0..`WORD_LIMIT`)."""
    said = []
    for parameter, value in values.items():
        if _is_pair(parameter) and abs(value) >= 0.05:
            low, high = parameter.split("/")
            said.append((high if value > 0 else low, abs(value)))
    return said


def _is_pair(parameter: str) -> bool:
    low, slash, high = parameter.partition("/")
    return bool(slash and low.strip() and high.strip() and "/" not in high)
