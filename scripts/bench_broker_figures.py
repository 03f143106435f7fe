"""The arithmetic of the `broker` benchmark: from what was measured to figures and goals. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench_result import percentile, result

OURS, NEW, CELERY = "durable job", "with a new picture", "Celery on Redis"
NOT_LINUX = "read on Linux only"
NOT_SAID = "the broker does not say"
LOOP_S = 0.02
"""The longest that the broker's event loop may be blocked."""


@dataclass(frozen=True)
class Loop:
    """An event loop since it began: seconds of its longest callback, and how many took at most so long."""

    wall: float
    cpu: float
    counts: tuple[tuple[float, float], ...]

    def over(self, seconds: float) -> float:
        """How many took longer."""
        return self.counts[-1][1] - dict(self.counts)[seconds]


Loops = tuple[Loop | None, Loop | None]
"""Before the load and after it."""


def loop(metrics: str) -> Loop | None:
    """From what GET /metrics tells Prometheus; None where it is silent about this."""
    said = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("alphaloom_loop_"))
    if not said:
        return None
    worst, bucket = 'alphaloom_loop_worst_seconds{of="%s"}', 'alphaloom_loop_callback_seconds_bucket{le="'
    counts = sorted((float(name.removeprefix(bucket)[:-2]), float(n)) for name, n in said.items() if name.startswith(bucket))
    return Loop(float(said[worst % "wall"]), float(said[worst % "cpu"]), tuple(counts))


def longest(before: Loop | None, after: Loop | None) -> float | None:
    """Seconds of the longest callback between two looks; where an earlier one was longer, a bound that it kept to."""
    if before is None or after is None:
        return None
    if after.wall > before.wall:
        return after.wall
    new = [(bound, n - m) for (bound, m), (_, n) in zip(before.counts, after.counts, strict=True)]
    return next(min(bound, after.wall) for bound, n in new if n == new[-1][1])


@dataclass
class Jobs:
    """One arm's rounds."""

    trips: list[list[float]] = field(default_factory=list)
    """Seconds of each job, by rounds."""
    rates: list[float] = field(default_factory=list)
    """Jobs a second."""
    cpu: list[float] = field(default_factory=list)
    """The broker's share of one core meanwhile."""


def jobs(rounds: dict[str, Jobs], disk: list[float], loops: Loops, why: str = "") -> list[dict]:
    theirs = rounds[CELERY]
    found = []
    for name in (OURS, NEW):
        mine = rounds[name]
        per_job = [1e6 * share / rate for share, rate in zip(mine.cpu, mine.rates, strict=False)]
        found += [
            result(f"{name}: round trip p50", _ms(_all(mine.trips), 50), "ms", 3, "<="),
            result(f"{name}: round trip p99", _ms(_all(mine.trips), 99), "ms", 10, "<="),
            result(f"{name}: jobs a second", _median(mine.rates), "/s", 800, ">="),
            result(f"{name}: broker's CPU at that rate, of one core", _percent(_median(mine.cpu)), "%", reason=NOT_LINUX),
            result(f"{name}: broker's CPU for one job", _median(per_job), "µs", reason=NOT_LINUX),
        ]
    found += [
        result(f"{CELERY}: round trip p50", _ms(_all(theirs.trips), 50), "ms", reason=why),
        result(f"{CELERY}: round trip p99", _ms(_all(theirs.trips), 99), "ms", reason=why),
        result(f"{CELERY}: tasks a second", _median(theirs.rates), "/s", reason=why),
    ]
    for name in (OURS, NEW):
        mine = rounds[name]
        trips = [median(a) / median(b) for a, b in zip(mine.trips, theirs.trips, strict=False)]
        rates = [a / b for a, b in zip(mine.rates, theirs.rates, strict=False)]
        # A task of Celery's keeps no file, so only a job that need not either has it as its goal to be faster.
        goal = 1 if name == OURS else None
        found += _ratio(f"{name}: round trip by Celery's", trips, goal, "<=", why)
        found += _ratio(f"{name}: jobs a second by Celery's", rates, goal, ">=", why)
    return [
        *found,
        result("this disk meanwhile: one small file kept, p50", _ms(disk, 50), "ms"),
        result("this disk meanwhile: one small file kept, p99", _ms(disk, 99), "ms"),
        *_blocks("jobs", loops),
    ]


def pictures(pairs: list[tuple[float, float]]) -> list[dict]:
    """From seconds through the broker and bare, pair by pair."""
    ratios = sorted(a / b for a, b in pairs)
    quarter = len(ratios) // 4
    return [
        result("picture through the broker, median", 1e3 * median(a for a, _ in pairs), "ms"),
        result("bare diffusers call, median", 1e3 * median(b for _, b in pairs), "ms"),
        result(f"ratio of the two, median of {len(pairs)} pairs", median(ratios), "", 1.03, "<="),
        result("ratio, lowest quarter", ratios[quarter], ""),
        result("ratio, highest quarter", ratios[-1 - quarter], ""),
        result("added by broker and edge, median", 1e3 * median(a - b for a, b in pairs), "ms"),
    ]


@dataclass(frozen=True)
class Crowd:
    reports: list[dict[str, Any]]
    """One of each program, as crowd.Record, with the hashes of its people's maps."""
    fast: int
    truth: dict[str, Any]
    """The broker's map."""
    sizes: list[float]
    """The broker's bytes in memory, over time."""
    shares: list[float | None]
    """Of one core: the broker's, then each program's."""
    loops: Loops


def crowd(seen: Crowd) -> list[dict]:
    sent = {id: at for report in seen.reports for id, at in report["sent"].items()}
    reached, missed = [], 0
    for revision, id in {r: i for report in seen.reports for r, i in report["ids"].items()}.items():
        heard = [report["last"][revision] for report in seen.reports if revision in report["last"]]
        if sum(report["count"].get(revision, 0) for report in seen.reports) < seen.fast:
            missed += 1
        elif id in sent:
            reached.append(max(heard) - sent[id])
    truth = hashlib.sha256(json.dumps(seen.truth, sort_keys=True).encode()).hexdigest()
    others = {one for report in seen.reports for one in report["digests"]} - {truth}
    third = len(seen.sizes) // 4
    warm = seen.sizes[third : 2 * third], seen.sizes[-third:]
    flat = median(warm[1]) / median(warm[0]) if third else None
    errors: dict[str, int] = {}
    for report in seen.reports:
        for code, count in report["errors"].items():
            errors[code] = errors.get(code, 0) + count
    total = {name: sum(report[name] for report in seen.reports) for name in ("gaps", "comebacks")}
    return [
        result("crowd: maps that are not the broker's", float(len(others)), "", 0, "<="),
        result("crowd: operations that were timed", float(len(reached)), ""),
        result("crowd: operations that not all fast ones heard", float(missed + total["gaps"]), "", 0, "<="),
        result("crowd: operation to all fast ones, p50", _ms(reached, 50), "ms"),
        result("crowd: operation to all fast ones, p99", _ms(reached, 99), "ms", 100, "<=", "no operation reached them all"),
        result("crowd: operation to all fast ones, longest", _ms(reached, 100), "ms"),
        result("crowd: comebacks", float(total["comebacks"]), ""),
        *(result(f"crowd: refused as {code}", float(count), "") for code, count in sorted(errors.items())),
        result("crowd: broker's memory, last third by first", flat, "", 1.05, "<=", NOT_LINUX),
        result("crowd: broker's memory", _scaled(seen.sizes[-1] if seen.sizes else None, 1e-6), "MB", reason=NOT_LINUX),
        result("crowd: broker's CPU, of one core", _percent(seen.shares[0]), "%", reason=NOT_LINUX),
        *(
            result(f"crowd: CPU of the people's program {n}", _percent(share), "%", reason=NOT_LINUX)
            for n, share in enumerate(seen.shares[1:], 1)
        ),
        *_blocks("crowd", seen.loops),
    ]


def _blocks(case: str, loops: Loops) -> list[dict]:
    """Wall time is the goal; on a machine that others use it has their turns in it, too, which CPU time has not."""
    before, after = loops
    cpu, many, why = None, None, NOT_SAID
    if before and after:
        many = after.over(LOOP_S) - before.over(LOOP_S)
        cpu, why = (
            (after.cpu, "") if after.cpu > before.cpu else (None, f"less than {1e3 * before.cpu:.0f} ms, as one at the start")
        )
    return [
        result(f"{case}: loop blocked, longest", _scaled(longest(*loops), 1e3), "ms", 1e3 * LOOP_S, "<=", NOT_SAID),
        result(f"{case}: loop blocked for longer than that, times", many, "", reason=NOT_SAID),
        result(f"{case}: loop's most CPU at a time", _scaled(cpu, 1e3), "ms", reason=why),
    ]


def _ratio(name: str, ratios: list[float], goal: float | None, direction: str, why: str) -> list[dict]:
    """The median of paired rounds, and the spread."""
    found = [result(name, _median(ratios), "", goal, direction if goal else "", why)]
    if ratios:
        found += [result(f"{name}, lowest", min(ratios), ""), result(f"{name}, highest", max(ratios), "")]
    return found


def _all(rounds: list[list[float]]) -> list[float]:
    return [seconds for one in rounds for seconds in one]


def _median(values: list[float]) -> float | None:
    return median(values) if values else None


def _ms(seconds: list[float], percent: float) -> float | None:
    return _scaled(percentile(seconds, percent), 1e3)


def _percent(share: float | None) -> float | None:
    return _scaled(share, 100)


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else value * by
