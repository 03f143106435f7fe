"""The `model` benchmark: what the embedded model's pictures show of what was asked for, and how fast they are made.

Parts of it: `model-autoencoder`, `model-words`, `model-sweeps`, `model-rates`, `model-changes`. Prompts and textures are such
as its training never had.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import environments
from bench_result import percentile, result, verdict
from bench_turns import Arm

ARM = environments.ROOT / "scripts/bench_model_arms/model.py"
CARD = environments.ROOT / "edge/models/texture-tiny/README.md"
MARKS = ("<!-- confusion -->", "<!-- /confusion -->")
LESSONS, ROUNDS = 5400, 5
"""What the judge learns from, and how often it sees it."""
ATTRIBUTES = ("turbulence", "warmth", "brightness", "scale", "contrast", "roughness")
CASES = {"a new picture each": ("new", 1), "only EEG moves": ("eeg", 1), "new ones, four at once": ("new", 4)}
LIMIT_S = 3600.0
"""For a part; the machine may have other things to do."""


@dataclass(frozen=True)
class Wishes:
    """What is asked of the benchmark beside its figures; empty: nothing."""

    model: str = ""
    """A folder with other weights in the embedded model's place."""
    sheet: str = ""
    """Where a sheet of pictures goes, as JPEG or PNG."""
    card: bool = False
    """Whether the figures go into the model's card."""


@dataclass(frozen=True)
class Plan:
    each: int
    """Pictures of a family."""
    weights: Sequence[float]
    texts: int
    """Prompts of a sweep; each with so many seeds:"""
    seeds: int
    turns: int
    seconds: float
    """Of a turn of each rate."""
    sources: int


FULL = Plan(10, (0.1, 0.4, 0.7, 1.0, 1.3), 9, 2, 3, 8.0, 12)
QUICK = Plan(3, (0.1, 0.7, 1.3), 4, 1, 1, 4.0, 4)


def model(quick: bool = False, wishes: Wishes | None = None) -> list[dict]:
    wishes = wishes or Wishes()
    card = CARD.read_text(encoding="utf-8") if wishes.card else ""
    if wishes.card and not all(mark in card for mark in MARKS):
        raise environments.SetupError(f"{CARD} has no {' … '.join(MARKS)} to write between")
    plan = QUICK if quick else FULL
    with _arm(wishes) as arm:
        seen = _look(arm, plan)
        found = [*_autoencoder(arm, plan), *_words(seen), *_sweeps(arm, plan), *_rates(arm, plan), *_changes(arm, plan)]
        if wishes.sheet:
            size = _ask(arm, "contact", file=str(Path(wishes.sheet).resolve()))
            found.append(result(f"sheet {Path(wishes.sheet).name}", size / 1e6, "MB", 1.5, "<="))
    if wishes.card:
        CARD.write_text(with_figures(card, found, seen["made"]), encoding="utf-8")
    return found


def _part(measure: Callable[[Arm, Plan], list[dict]]) -> Callable[..., list[dict]]:
    """One of them by itself."""

    def alone(quick: bool = False, wishes: Wishes | None = None) -> list[dict]:
        with _arm(wishes or Wishes()) as arm:
            return measure(arm, QUICK if quick else FULL)

    return alone


@contextlib.contextmanager
def _arm(wishes: Wishes) -> Iterator[Arm]:
    folder = [Path(wishes.model).resolve()] if wishes.model else []
    with Arm("model", [environments.main_python(), ARM, *folder]) as arm:
        yield arm


def _ask(arm: Arm, part: str, **more: Any) -> Any:
    return arm.ask({"part": part} | more, LIMIT_S)


def _autoencoder(arm: Arm, plan: Plan) -> list[dict]:
    errors = _ask(arm, "autoencoder", each=plan.each)
    worst = max(errors, key=errors.__getitem__)
    return [
        result("autoencoder: PSNR of held-out textures, all of them", decibels(mean(errors.values())), "dB", 28, ">="),
        result(f"  the worst family's PSNR ({worst})", decibels(errors[worst]), "dB"),
    ]


def decibels(error: float) -> float:
    """PSNR of a mean squared error, of 1."""
    return -10 * math.log10(max(error, 1e-10))


def _look(arm: Arm, plan: Plan) -> Any:
    return _ask(arm, "words", each=plan.each, lessons=LESSONS, rounds=ROUNDS)


def _words(seen: Mapping[str, Any]) -> list[dict]:
    made, drawn = seen["made"], seen["drawn"]
    families = {family: share([one for one in made if one["family"] == family], "seen", "family") for family in _families(made)}
    worst = min(families, key=families.__getitem__)
    either = mean(one["colour"] in (one["main"], one["second"]) for one in made)
    return [
        result(f"words: right family, of {len(made)} pictures", share(made, "seen", "family"), "%", 85, ">="),
        result(f"  the worst family's ({worst})", families[worst], "%"),
        result("  of drawn textures: what the judge can see", share(drawn, "seen", "family"), "%"),
        result("words: right main colour", share(made, "colour", "main"), "%", 90, ">="),
        result("  main or second colour", 100 * either, "%"),
        result("  right main colour of drawn textures", share(drawn, "colour", "main"), "%"),
        *_seams(seen["seams"], seen["drawn_seams"]),
    ]


def _seams(made: Sequence[Sequence[float]], drawn: Sequence[Sequence[float]]) -> list[dict]:
    """Of steps across seams by the median and by the largest between neighbours. Drawn textures have no seams."""
    by_median, by_largest = zip(*made, strict=True)
    fair_by_median, fair_by_largest = zip(*drawn, strict=True)
    return [
        result("seams: step across by the median between neighbours", median(by_median), "", 1.2, "<="),
        result("  of drawn textures, median", median(fair_by_median), ""),
        result("  95th percentile", percentile(by_median, 95), ""),
        result("  of drawn textures, 95th percentile", percentile(fair_by_median, 95), ""),
        result("  by the largest between neighbours, 95th percentile", percentile(by_largest, 95), ""),
        result("  by the largest, of drawn textures", percentile(fair_by_largest, 95), ""),
    ]


def _families(judged: Sequence[Mapping[str, str]]) -> list[str]:
    """In the order in which they were asked for."""
    return list(dict.fromkeys(one["family"] for one in judged))


def share(judged: Sequence[Mapping[str, str]], seen: str, asked: str) -> float:
    """Percent in which what is seen is what was asked for."""
    return 100 * mean(one[seen] == one[asked] for one in judged)


def _sweeps(arm: Arm, plan: Plan) -> list[dict]:
    found = []
    for attribute in ATTRIBUTES:
        asked = {"weights": list(plan.weights), "texts": plan.texts, "seeds": plan.seeds}
        seen = _ask(arm, "sweep", attribute=attribute, **asked)
        found += [
            result(f"{attribute}: rank correlation of weight and picture", seen["made"], "", 0.9, ">="),
            result(f"  {attribute}: single prompts, median", median(seen["single"]), ""),
            result(f"  {attribute}: the measure's own, on drawn textures", seen["drawn"], "", 0.95, ">="),
        ]
    return found


def _rates(arm: Arm, plan: Plan) -> list[dict]:
    """In turns."""
    rates: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(plan.turns):
        for name, (case, batch) in CASES.items():
            rates[name].append(_ask(arm, "rate", case=case, batch=batch, seconds=plan.seconds))
    goals = {name: (6.0, ">=") if batch == 1 else () for name, (_, batch) in CASES.items()}
    return [result(f"pictures a second, {name}", median(found), "/s", *goals[name]) for name, found in rates.items()]


def _changes(arm: Arm, plan: Plan) -> list[dict]:
    seen = _ask(arm, "changes", sources=plan.sources)
    return [
        result("img2img at 0.3: correlation with its source's layout", mean(seen["0.3"]), "", 0.7, ">="),
        result("  the least at 0.3", min(seen["0.3"]), ""),
        result("img2img at 0.9: the same", mean(seen["0.9"]), "", 0.4, "<="),
        result("  the most at 0.9", max(seen["0.9"]), ""),
        result("inpaint: largest change outside of the mask, of 255", max(seen["outside"]), "", 2, "<="),
        result("  mean change inside", mean(seen["inside"]), "", 10, ">="),
    ]


PARTS = {
    "model-autoencoder": _part(_autoencoder),
    "model-words": _part(lambda arm, plan: _words(_look(arm, plan))),
    "model-sweeps": _part(_sweeps),
    "model-rates": _part(_rates),
    "model-changes": _part(_changes),
}


# -- the model's card --


def with_figures(card: str, found: Sequence[Mapping[str, Any]], judged: Sequence[Mapping[str, str]]) -> str:
    """The card with what is between the marks made new: what has a goal, and what families are taken for."""
    before, rest = card.split(MARKS[0], 1)
    after = rest.split(MARKS[1], 1)[1]
    rows = ["| | | goal | |", "|---|---:|---:|---|"]
    for r in found:
        if r["goal"] is None:
            continue
        goal = f"{r['direction']} {r['goal']:g}"
        value = "–" if r["value"] is None else f"{r['value']:.3g} {r['unit']}".strip()
        rows.append(f"| {r['name'].strip()} | {value} | {goal} | {verdict(dict(r))} |")
    return "\n".join([before + MARKS[0], *rows, "", *matrix(judged), MARKS[1] + after])


def matrix(judged: Sequence[Mapping[str, str]]) -> list[str]:
    """Lines of a table: a row for each family that was asked for, a column for each that is seen, in percent of the row."""
    asked = _families(judged)
    seen = [*asked, *sorted({one["seen"] for one in judged} - set(asked))]
    counted = Counter((one["family"], one["seen"]) for one in judged)
    lines = ["| asked ↓ seen → | " + " | ".join(seen) + " |", "|---|" + "---:|" * len(seen)]
    for row in asked:
        whole = sum(counted[row, column] for column in seen)
        cells = [f"{100 * counted[row, column] / whole:.0f}" if counted[row, column] else "" for column in seen]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return lines
