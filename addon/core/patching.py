"""The patch as it is edited here: the broker's rules, and over them what one has turned and it has not answered. No `bpy`.

Design notes
- What is turned belongs to a cable (performer, feature, target), not to a row: what others add or remove meanwhile stays so.
- A slider that is dragged says something each moment; the newest is sent, five times a second at most.
- Values are never read back from a slider: a rule is as the broker says, until somebody turns it.
"""

from __future__ import annotations

import math
from dataclasses import replace

from .shared import model

EVERY_S = 0.2
"""Between two patches that are sent."""

Rules = tuple[model.Rule, ...]
Key = tuple[int, str, str]


def key_of(rule: model.Rule) -> Key:
    return rule.performer, rule.feature, rule.target


class Patching:
    def __init__(self) -> None:
        self.rules: Rules = ()
        """As they are shown."""
        self._truth: Rules = ()
        self._mine: dict[Key, model.Rule | None] = {}
        """What was turned or added here; None: removed."""
        self._waiting = False
        self._sent: list[Rules] = []
        """Not answered yet."""
        self._sent_at = -math.inf

    def turn(self, number: int, amount: float) -> None:
        """Another amount for the rule with this number, from 0."""
        if self.rules[number].amount != amount:
            self._set(key_of(self.rules[number]), replace(self.rules[number], amount=amount))

    def put(self, rule: model.Rule) -> None:
        """Add a rule, or another one for a cable that is there."""
        self._set(key_of(rule), rule)

    def remove(self, number: int) -> None:
        self._set(key_of(self.rules[number]), None)

    def due(self, now: float) -> Rules | None:
        """What is to be sent now; `now` in seconds of a clock that is never set back."""
        if not self._waiting or now - self._sent_at < EVERY_S:
            return None
        self._waiting, self._sent_at = False, now
        self._sent.append(self.rules)
        return self.rules

    def heard(self, rules: Rules) -> None:
        """The broker says what plays, whoever has set it."""
        self._truth = rules
        if rules in self._sent:
            del self._sent[: self._sent.index(rules) + 1]
        if not self._sent and not self._waiting:  # all was answered: what differs still is somebody else's
            self._mine.clear()
        self._show()

    def arrived(self, rules: Rules) -> None:
        """The connection is new: what was not answered is sent again."""
        self._truth, self._waiting = rules, bool(self._mine)
        self._sent.clear()
        self._show()

    def refused(self) -> None:
        """The broker has refused something without a name: where a patch is on its way, it was this, and is taken back."""
        if self._sent:
            self._mine.clear()
            self._sent.clear()
            self._waiting = False
            self._show()

    def _set(self, key: Key, rule: model.Rule | None) -> None:
        self._mine[key] = rule
        self._waiting = True
        self._show()

    def _show(self) -> None:
        there = {key_of(rule) for rule in self._truth}
        shown = [self._mine.get(key_of(rule), rule) for rule in self._truth]
        added = [rule for key, rule in self._mine.items() if key not in there]
        self.rules = tuple(rule for rule in (*shown, *added) if rule is not None)
