"""The arithmetic of the `eeg` benchmark: from what an arm wrote down to figures, goals and a table. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench_result import percentile, result, verdict

WARM_S = 1.0
"""Of each cycle, after the busy processes have changed."""
LEAD_S = 2.5
"""From an arm's coming to the first cycle, as the generator has it: the arm's window is full by then."""
SETTLED_S = 2.2
"""From the step until alpha power has its new value: the window and something."""
FIGURES = {
    "cpu": ("CPU", "%"),
    "updates": ("updates", "/s"),
    "lost": ("samples lost", ""),
    "p50": ("newest sample to feature, p50", "ms"),
    "p95": ("newest sample to feature, p95", "ms"),
    "late95": ("the generator's part of that, p95", "ms"),
    "step50": ("step response to 50 %", "ms"),
    "step90": ("step response to 90 %", "ms"),
}
OURS, EVERYTHING, PLAIN, MNE, GOOFI = "ours", "ours with every feature", "plain", "mne-lsl", "goofi-pipe"
RATIOS = ((PLAIN, 1.2), (GOOFI, 0.2))
"""Our CPU by theirs, and the goal."""

Case = tuple[str, int, str]
"""Load, busy processes, arm."""
Updates = list[list[float]]
"""Newest sample's stamp, moment of output, alpha power."""


@dataclass
class Measured:
    """Figures of one case, one of each kind per round; or the reason why there are none."""

    rounds: list[dict[str, float | None]] = field(default_factory=list)
    reason: str = ""

    def value(self, name: str) -> float | None:
        found = [value for figures in self.rounds if (value := figures[name]) is not None]
        if self.reason or not found:
            return None
        return sum(found) if name == "lost" else median(found)

    def why(self, name: str) -> str:
        """Why there is no such value."""
        return self.reason or ("CPU time is read on Linux only" if name == "cpu" else "too few updates came out")


@dataclass(frozen=True)
class Stream:
    """What the generator sent: when its sample number 0 was due, its rate, and how late it was with each chunk."""

    start: float
    rate: float
    late: list[list[float]]
    """Stamp of a chunk's last sample, seconds from it until the chunk was sent."""

    def heard(self, report: dict[str, Any]) -> list[tuple[int, int]]:
        """Runs of samples that an arm heard, numbered as the generator did."""
        runs, modulus = report["runs"], report["modulus"]
        about = (report["first_stamp"] - self.start) * self.rate
        base = modulus * round((about - runs[0][0]) / modulus)
        return [(base + first, base + last) for first, last in runs]

    def number(self, moment: float) -> int:
        """Of the first sample that is due at a moment or after it."""
        return math.ceil((moment - self.start) * self.rate - 1e-6)


def of_cycle(
    stream: Stream, heard: list[tuple[int, int]], updates: Updates, begins: float, cycle: float
) -> dict[str, float | None]:
    """All figures of one cycle but the CPU; None where there is nothing to compute one from."""
    ends = begins + cycle
    ages = [1e3 * (out - newest) for newest, out, _ in updates if begins + WARM_S <= out < ends]
    late = [1e3 * by for stamp, by in stream.late if begins + WARM_S <= stamp < ends]
    return {
        "updates": len(ages) / (cycle - WARM_S),
        "lost": lost(heard, stream.number(begins), stream.number(ends)),
        "p50": percentile(ages, 50),
        "p95": percentile(ages, 95),
        "late95": percentile(late, 95),
    } | step_response(updates, stream.start + stream.number(begins + cycle / 2) / stream.rate, ends)


def lost(heard: Iterable[tuple[int, int]], first: int, end: int) -> int:
    """How many of the samples from `first` up to but not including `end` were never heard."""
    return end - first - sum(max(0, min(b + 1, end) - max(a, first)) for a, b in heard)


def step_response(updates: Updates, step: float, ends: float) -> dict[str, float | None]:
    """Milliseconds from the step to the update whose alpha power first has 50 % and 90 % of the new value."""
    after = [(out - step, alpha) for newest, out, alpha in updates if step <= newest < ends]
    settled = [alpha for newest, _, alpha in updates if step + SETTLED_S <= newest < ends]
    if not settled:
        return {"step50": None, "step90": None}
    goal = median(settled)
    return {
        f"step{percent}": next((1e3 * at for at, alpha in after if alpha >= goal * percent / 100), None) for percent in (50, 90)
    }


def results(cases: dict[Case, Measured]) -> list[dict]:
    """Every figure, with the goals that there are."""
    found = []
    for (load, busy, arm), measured in cases.items():
        for name, (said, unit) in FIGURES.items():
            value, limit = measured.value(name), _limit(load, busy, arm, name)
            why = measured.why(name)
            found.append(
                result(f"{case_name(load, busy)}: {arm}, {said}", value, unit, limit, "<=" if limit is not None else "", why)
            )
    for (load, busy, arm), measured in cases.items():
        for other, limit in RATIOS if arm == OURS else ():
            theirs = cases[load, busy, other]
            pairs = zip(measured.rounds, theirs.rounds, strict=False)
            ratios = [mine["cpu"] / its["cpu"] for mine, its in pairs if mine["cpu"] and its["cpu"]]
            name = f"{case_name(load, busy)}: our CPU by {other}'s"
            why = "; ".join(
                f"{who}: {m.why('cpu')}" for who, m in ((OURS, measured), (other, theirs)) if m.value("cpu") is None
            )
            found.append(result(name, median(ratios) if ratios and not why else None, "", limit, "<=", why))
    return found


def _limit(load: str, busy: int, arm: str, figure: str) -> float | None:
    """The goal of a figure, if it has one."""
    if arm not in (OURS, EVERYTHING):
        return None
    return {"lost": 0.0, "p95": None if busy else 15.0, "cpu": 15.0 if arm == EVERYTHING else None}.get(figure)


def case_name(load: str, busy: int) -> str:
    return f"{load}, {f'beside {busy} busy' if busy else 'idle'}"


def show(found: list[dict]) -> None:
    """One row per arm and case, then the goals."""
    figures = [said for said, _ in FIGURES.values()]
    rows: dict[tuple[str, str], dict[str, dict]] = {}
    for r in found:
        case, _, rest = r["name"].partition(": ")
        arm, _, said = rest.partition(", ")
        if said:
            rows.setdefault((case, arm), {})[said] = r
    heads = ("CPU %", "updates/s", "lost", "p50 ms", "p95 ms", "sent p95", "to 50 %", "to 90 %")
    last = ""
    for (case, arm), row in rows.items():
        if case != last:
            print(f"\n{case:<28}" + "".join(f"{head:>10}" for head in heads))
            last = case
        values = [row[said]["value"] for said in figures]
        if all(value is None for value in values):
            print(f"  {arm:<26}  {row[figures[0]]['reason']}")
        else:
            print(f"  {arm:<26}" + "".join(f"{'–' if value is None else format(value, '.4g'):>10}" for value in values))
    print()
    for r in found:
        if r["goal"] is not None:
            shown = "–" if r["value"] is None else f"{r['value']:.4g} {r['unit']}"
            print(f"{r['name']:<76} {shown:>9}  {r['direction']} {r['goal']:<5g} {verdict(r)}")
