"""Benchmarks: things compared in one run, turn by turn, with medians.

python3 scripts/bench.py loop [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import environments
import processes

ROOT = environments.ROOT


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=BENCHES)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    processes.end_on_signals()
    try:
        results = BENCHES[options.name]()
    except (environments.SetupError, processes.ChildError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    for r in results:
        goal = f"{r['direction']} {r['goal']:g}" if r["goal"] is not None else ""
        shown = "–" if r["value"] is None else f"{r['value']:.4g} {r['unit']}"
        print(f"{r['name']:<56} {shown:>14}  {goal:<8} {({True: 'holds', False: 'MISSED'}).get(r['holds'], '')}")
    if options.json:
        options.json.write_text(json.dumps({"bench": options.name, "results": results}, indent=1))
    return 0


def loop() -> list[dict]:
    """One picture from Blender's request to Blender's texture, beside the bare diffusers call for the same picture."""
    python, blender = environments.main_python(), environments.blender_python()
    with tempfile.TemporaryDirectory(prefix="alphaloom-") as folder, processes.Children(Path(folder) / "logs") as children:
        children.start("broker", [python, "-m", "broker", "0", "--no-eeg", "--data", Path(folder) / "data"])
        broker = children.await_broker()
        children.start("edge", [python, "-m", "edge", "--broker", broker])
        children.await_line("edge", "at work", 600)
        # Each waits for a line on its input before it makes one picture: A B A B …, never both at once.
        turns = [
            subprocess.Popen(
                [command, ROOT / "scripts/bench_loop.py", side, broker],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for command, side in ((blender, "ours"), (python, "bare"))
        ]
        try:
            times = [[_turn(process) for process in turns] for _ in range(ROUNDS + 1)][1:]  # the first warms up
        finally:
            for process in turns:
                process.kill()
                process.wait()
    ours, bare = ([t[side] for t in times] for side in (0, 1))
    ratios = sorted(a / b for a, b in times)
    return [
        _result("request to texture, median", median(ours) * 1e3, "ms"),
        _result("bare diffusers call, median", median(bare) * 1e3, "ms"),
        _result(f"ratio of the two, median of {ROUNDS} pairs", median(ratios), "", 1.25, "<="),
        _result("ratio, lowest quarter", ratios[ROUNDS // 4], ""),
        _result("ratio, highest quarter", ratios[-1 - ROUNDS // 4], ""),
        _result("added by the loop, median", median([a - b for a, b in times]) * 1e3, "ms"),
    ]


ROUNDS = 15
BENCHES = {"loop": loop}


def _turn(process: subprocess.Popen[str]) -> float:
    assert process.stdin and process.stdout
    process.stdin.write("go\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("seconds "):
            return float(line.split()[1])
    raise processes.ChildError(f"{process.args[1]} ended; its last words are above")  # type: ignore[index]


def _result(name: str, value: float, unit: str, goal: float | None = None, direction: str = "") -> dict:
    holds = None if goal is None else value <= goal if direction == "<=" else value >= goal
    return {"name": name, "value": value, "unit": unit, "goal": goal, "direction": direction, "holds": holds}


if __name__ == "__main__":
    sys.exit(main())
