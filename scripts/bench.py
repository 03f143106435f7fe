"""Benchmarks: things compared in one run, turn by turn, with medians.

python3 scripts/bench.py loop [--json FILE]
python3 scripts/bench.py eeg [--quick] [--json FILE]
python3 scripts/bench.py broker [--quick] [--json FILE]     or a part of it: broker-jobs, broker-pictures, broker-crowd
python3 scripts/bench.py edge [--quick] [--json FILE]       or edge-pictures, edge-steps, edge-memory; edge-cuda
python3 scripts/bench.py live [--quick] [--json FILE]
python3 scripts/bench.py addon [--quick] [--json FILE]
python3 scripts/bench.py model [--quick] [--json FILE] [--model FOLDER] [--sheet FILE] [--card]
                                                            or model-autoencoder, -words, -sweeps, -rates, -changes
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median

import bench_addon
import bench_broker
import bench_edge
import bench_eeg
import bench_eeg_figures
import bench_live
import bench_model
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
    of_model = parser.add_argument_group("model")
    of_model.add_argument("--model", default="", metavar="FOLDER", help="other weights in the embedded model's place")
    of_model.add_argument("--sheet", default="", metavar="FILE", help="write a sheet of pictures, as JPEG or PNG")
    of_model.add_argument("--card", action="store_true", help="write the figures into the model's card")
    options = parser.parse_args()
    wishes = bench_model.Wishes(options.model, options.sheet, options.card)
    if wishes != bench_model.Wishes() and not options.name.startswith("model"):
        parser.error(f"{options.name!r} knows no --model, --sheet or --card")
    if (wishes.sheet or wishes.card) and options.name != "model":
        parser.error("--sheet and --card belong to the whole of 'model'")
    processes.end_on_signals()
    try:
        measure, show = BENCHES[options.name]
        results = measure(options.quick, wishes) if options.name.startswith("model") else measure(options.quick)
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
    "addon": (bench_addon.addon, bench_result.show),
    "live": (bench_live.live, bench_result.show),
    "model": (bench_model.model, bench_result.show),
    **{name: (measure, bench_result.show) for name, measure in bench_model.PARTS.items()},
}
"""What measures, and what prints."""


if __name__ == "__main__":
    sys.exit(main())
