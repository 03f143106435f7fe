"""Benchmarks: things compared in one run, turn by turn, with medians.

python3 scripts/bench.py loop [--json FILE]
python3 scripts/bench.py eeg [--quick] [--json FILE]
python3 scripts/bench.py broker [--quick] [--json FILE]     or a part of it: broker-jobs, broker-pictures, broker-crowd
python3 scripts/bench.py edge [--quick] [--json FILE]       or edge-pictures, edge-steps, edge-memory; edge-cuda
python3 scripts/bench.py live [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median

import bench_broker
import bench_edge
import bench_eeg
import bench_eeg_figures
import bench_live
import bench_result
import environments
import processes
from bench_result import result
from bench_turns import Arm

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
        with (
            Arm("Blender", [blender, ROOT / "scripts/bench_loop.py", "ours", broker]) as ours_arm,
            Arm("bare diffusers", [python, ROOT / "scripts/bench_loop.py", "bare"]) as bare_arm,
        ):
            # A B A B …, never both at once; the first pair warms up.
            times = [[arm.ask({"seed": seed}) for arm in (ours_arm, bare_arm)] for seed in range(rounds + 1)][1:]
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
BENCHES = {
    "loop": (loop, bench_result.show),
    "eeg": (bench_eeg.eeg, bench_eeg_figures.show),
    "broker": (bench_broker.broker, bench_result.show),
    "broker-jobs": (bench_broker.jobs, bench_result.show),
    "broker-pictures": (bench_broker.pictures, bench_result.show),
    "broker-crowd": (bench_broker.crowd, bench_result.show),
    "edge": (bench_edge.edge, bench_result.show),
    "edge-pictures": (bench_edge.pictures, bench_result.show),
    "edge-steps": (bench_edge.steps, bench_result.show),
    "edge-memory": (bench_edge.memory, bench_result.show),
    "edge-cuda": (bench_edge.cuda, bench_result.show),
    "live": (bench_live.live, bench_result.show),
}
"""What measures, and what prints."""


if __name__ == "__main__":
    sys.exit(main())
