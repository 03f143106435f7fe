"""What every benchmark prints, and writes with `--json`: figures, some of them with a goal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def result(
    name: str, value: float | None, unit: str, goal: float | None = None, direction: str = "", reason: str = ""
) -> dict[str, Any]:
    """One figure. Without a `value` there is a `reason`, and whether a goal holds is not known."""
    known = goal is not None and value is not None
    holds = None if not known else value <= goal if direction == "<=" else value >= goal  # type: ignore[operator]
    figure = {"name": name, "value": value, "unit": unit, "goal": goal, "direction": direction, "holds": holds}
    return figure | ({"reason": reason} if value is None else {})


def percentile(values: Iterable[float], percent: float) -> float | None:
    """The nearest rank's value; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else None


def show(results: list[dict]) -> None:
    for r in results:
        goal = f"{r['direction']} {r['goal']:g}" if r["goal"] is not None else ""
        shown = "–" if r["value"] is None else f"{r['value']:.4g} {r['unit']}"
        print(f"{r['name']:<56} {shown:>14}  {goal:<8} {verdict(r)}")


def verdict(r: dict) -> str:
    return {True: "holds", False: "MISSED"}.get(r["holds"], r.get("reason", ""))
