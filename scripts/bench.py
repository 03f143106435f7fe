"""Benchmarks: things compared in one run, turn by turn, with medians.

python3 scripts/bench.py loop [--json FILE]
python3 scripts/bench.py eeg [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import bench_eeg
import bench_eeg_figures
import bench_result
import environments
import processes
from bench_result import result

ROOT = environments.ROOT


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=BENCHES)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and cases, to try it")
    options = parser.parse_args()
    processes.end_on_signals()
    try:
        measure, show = BENCHES[options.name]
        results = measure(options.quick)
    except (environments.SetupError, processes.ChildError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    show(results)
    if options.json:
        options.json.write_text(json.dumps({"bench": options.name, "results": results}, indent=1))
    return 0


def loop(quick: bool = False) -> list[dict]:
    """One picture from Blender's request to Blender's texture, beside the bare diffusers call for the same picture."""
    rounds = 5 if quick else ROUNDS
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
            times = [[_turn(process) for process in turns] for _ in range(rounds + 1)][1:]  # the first warms up
        finally:
            for process in turns:
                process.kill()
                process.wait()
    ours, bare = ([t[side] for t in times] for side in (0, 1))
    ratios = sorted(a / b for a, b in times)
    return [
        result("request to texture, median", median(ours) * 1e3, "ms"),
        result("bare diffusers call, median", median(bare) * 1e3, "ms"),
        result(f"ratio of the two, median of {rounds} pairs", median(ratios), "", 1.25, "<="),
        result("ratio, lowest quarter", ratios[rounds // 4], ""),
        result("ratio, highest quarter", ratios[-1 - rounds // 4], ""),
        result("added by the loop, median", median([a - b for a, b in times]) * 1e3, "ms"),
    ]


ROUNDS = 15
BENCHES = {"loop": (loop, bench_result.show), "eeg": (bench_eeg.eeg, bench_eeg_figures.show)}
"""What measures, and what prints."""


def _turn(process: subprocess.Popen[str]) -> float:
    assert process.stdin and process.stdout
    process.stdin.write("go\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("seconds "):
            return float(line.split()[1])
    raise processes.ChildError(f"{process.args[1]} ended; its last words are above")  # type: ignore[index]


if __name__ == "__main__":
    sys.exit(main())
