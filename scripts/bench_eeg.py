"""The `eeg` benchmark: our listener beside others that make band powers of the same LSL stream.

An arm is a program in bench_eeg_arms. It lives once per round and load, through one cycle of the generator for each
condition (idle, beside 2 busy processes, beside 8), because starting costs more time than measuring. In the middle of
each cycle the generator makes its 10 Hz sine ten times stronger. Arms take turns; figures are medians over rounds,
lost samples are summed. Nothing is pinned to a core, and each library has its own default of threads.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench_eeg_figures as figures
import environments
import processes
from bench_eeg_figures import EVERYTHING, GOOFI, MNE, OURS, PLAIN, WARM_S, Case, Measured
from bench_usage import cpu_seconds

ARMS = environments.ROOT / "scripts/bench_eeg_arms"
RUN_ON_S = 2.0
"""An arm listens on for this long after the last cycle: what has not come by then is lost."""


@dataclass(frozen=True)
class Load:
    name: str
    channels: int
    rate: int
    arms: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    rounds: int
    cycle: float
    """Seconds, of which the first one warms up."""
    busy: tuple[int, ...]
    loads: tuple[Load, ...]


PROGRAMS = {
    OURS: ("ours.py",),
    PLAIN: ("plain.py",),
    MNE: ("mne_stream.py",),
    GOOFI: ("goofi_patch.py",),
    EVERYTHING: ("ours.py", "everything"),
}
FOREIGN = (MNE, GOOFI)
SMALL = Load("8 ch 256 Hz", 8, 256, (OURS, PLAIN, MNE, GOOFI, EVERYTHING))
LARGE = Load("64 ch 1 kHz", 64, 1000, (OURS, PLAIN, MNE, GOOFI))
FULL = Plan(2, 7.0, (0, 2, 8), (SMALL, LARGE))
QUICK = Plan(1, 5.0, (0, 2), (SMALL,))


def eeg(quick: bool = False) -> list[dict]:
    """All arms, loads and conditions: some 9 minutes; 1 or 2 if `quick`. The foreign arms' environment comes on top once."""
    plan = QUICK if quick else FULL
    pythons = dict.fromkeys(PROGRAMS, environments.main_python())
    reasons: dict[tuple[str, str], str] = {}
    try:
        pythons |= dict.fromkeys(FOREIGN, environments.bench_python())
    except environments.SetupError as problem:
        reasons |= {(load.name, arm): f"not installed: {problem}" for load in plan.loads for arm in FOREIGN}
    cases: dict[Case, Measured] = {
        (load.name, busy, arm): Measured() for load in plan.loads for busy in plan.busy for arm in load.arms
    }
    for turn in range(plan.rounds):
        for load in plan.loads:
            for arm in load.arms:
                if (load.name, arm) in reasons:
                    continue
                print(f"round {turn + 1} of {plan.rounds}: {load.name}, {arm}", file=sys.stderr, flush=True)
                try:
                    lived = life(plan, load, arm, pythons)
                except processes.ChildError as problem:
                    reasons[load.name, arm] = str(problem)
                    continue
                for busy, found in zip(plan.busy, lived, strict=True):
                    cases[load.name, busy, arm].rounds.append(found)
    for (load_name, _, arm), measured in cases.items():
        measured.reason = reasons.get((load_name, arm), "")
    return figures.results(cases)


def life(plan: Plan, load: Load, arm: str, pythons: dict[str, Path]) -> list[dict[str, float | None]]:
    """One arm from its start to its end: its figures in each condition. Raises ChildError."""
    cycles = len(plan.busy)
    stream = [f"bench-{uuid.uuid4().hex[:8]}", str(load.channels), str(load.rate)]
    with tempfile.TemporaryDirectory(prefix="alphaloom-") as folder, processes.Children(Path(folder) / "logs") as children:
        # Many machines do not deliver multicast to themselves, and the foreign arms leave liblsl's settings alone.
        settings = Path(folder) / "lsl_api.cfg"
        settings.write_text(f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {stream[0]}\n[log]\nlevel = -2\n")
        env = {"LSLAPICFG": str(settings)}
        children.start("generator", [pythons[OURS], ARMS / "generator.py", *stream, str(plan.cycle), str(cycles)], env)
        program, *options = PROGRAMS[arm]
        seconds = str(cycles * plan.cycle + figures.LEAD_S + RUN_ON_S)
        pid = children.start(arm, [pythons[arm], ARMS / program, *stream, seconds, *options], env).pid
        children.await_line(arm, "ready", 60)
        words = children.await_line("generator", "begins at", 20).split()
        begins, start, clock = (float(words[n]) for n in (2, 4, 6))
        if time.monotonic() > begins - clock + WARM_S:
            raise processes.ChildError(f"{arm} was not ready when its first cycle began")
        cpu = [_watch(children, pid, begins - clock + n * plan.cycle, plan, n) for n in range(cycles)]
        if any(plan.busy):
            children.end(*(f"busy {n + 1}" for n in range(max(plan.busy))))
        report = _report(children, arm, RUN_ON_S + figures.LEAD_S + 30)
        late = _report(children, "generator", 10)["late"]
    sent = figures.Stream(start, load.rate, late)
    heard = sent.heard(report)
    return [
        {"cpu": cpu[n]} | figures.of_cycle(sent, heard, report["updates"], begins + n * plan.cycle, plan.cycle)
        for n in range(cycles)
    ]


def _watch(children: processes.Children, pid: int, begins: float, plan: Plan, n: int) -> float | None:
    """Percent of one core that a process and its descendants use in cycle `n`, beside that many busy ones."""
    _sleep_until(begins)
    for more in range(plan.busy[n - 1] if n else 0, plan.busy[n]):
        children.start(f"busy {more + 1}", [sys.executable, "-S", "-c", "while True: pass"])
    _sleep_until(begins + WARM_S)
    since, before = time.monotonic(), cpu_seconds(pid)
    _sleep_until(begins + plan.cycle)
    after = cpu_seconds(pid)
    return None if before is None or after is None else 100 * (after - before) / (time.monotonic() - since)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _report(children: processes.Children, name: str, seconds: float) -> Any:
    """What an arm or the generator writes down before it ends. Raises ChildError."""
    log = children.logs / f"{name}.log"
    for _ in processes.until(seconds):
        ended = None
        try:
            children.check(name)
        except processes.ChildError as problem:
            ended = problem  # as it should, if the report is there
        for line in log.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith("report ") and line.endswith("\n"):
                return json.loads(line.removeprefix("report "))
        if ended:
            raise ended
    raise processes.ChildError(f"{name} has not reported within {seconds:g} s; its last line: {children.last_line(name)}")
