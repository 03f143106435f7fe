"""The `edge` benchmark: our whole engine call beside the bare pipeline's for the same picture, in the same arithmetic.

Parts of it: `edge-pictures`, `edge-steps`, `edge-memory`. `edge-cuda` needs a CUDA device: SD-Turbo's architecture through
broker and edge.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import environments
from bench_broker import edge_at_work, empty_broker
from bench_result import result
from bench_turns import Arm

ROOT = environments.ROOT
ARMS = ROOT / "scripts/bench_edge_arms"
EMBEDDED = ROOT / "edge/models/texture-tiny"
AS_IT_IS_USED = {"side": 256, "steps": 4, "guidance": 0.0, "tiling": "xy"}
"""The embedded model."""
JOBS, PIECE = 2000, 100
STREAM_DIFFUSION = 106.16
"""Pictures a second on an RTX 4090, SD-Turbo, one step, 512x512 (Kodaira et al. 2023, arXiv:2312.12491, table 1)."""


def edge(quick: bool = False) -> list[dict]:
    return [*pictures(quick), *steps(quick), *memory(quick)]


def pictures(quick: bool = False) -> list[dict]:
    """Paired: each question goes to both, and who goes first alternates."""
    python = environments.main_python()
    pairs = 10 if quick else 30
    found: list[dict] = []
    embedded = AS_IT_IS_USED
    with _arm("engine", EMBEDDED) as ours, _arm("bare", EMBEDDED) as bare:
        found += _ratio("embedded model, a new picture", ours, bare, embedded | {"case": "new"}, pairs, 1.02)
        found += _ratio("embedded model, only EEG moved", ours, bare, embedded | {"case": "eeg"}, pairs)
        with _arm("engine", EMBEDDED, "--dtype", "float32") as plain:
            found += _ratio("chosen arithmetic beside float32", ours, plain, embedded | {"case": "new"}, pairs)
        found += _batch(ours, embedded, pairs // 3)
    with tempfile.TemporaryDirectory(prefix="alphaloom-") as folder:
        subprocess.run([python, ARMS / "turbo.py", folder], check=True, capture_output=True)
        turbo = {"side": 256, "steps": 1, "guidance": 0.0}
        with _arm("engine", folder) as ours, _arm("bare", folder) as bare:
            found += _ratio("SD-Turbo's architecture, a new picture", ours, bare, turbo | {"case": "new"}, pairs, 1.02)
            found += _ratio("SD-Turbo's architecture, only EEG moved", ours, bare, turbo | {"case": "eeg"}, pairs, 0.9)
    return found


def _arm(kind: str, folder: Any, *more: str) -> Arm:
    return Arm(f"{kind} {Path(folder).name}", [environments.main_python(), ARMS / "pictures.py", kind, folder, *more])


def _ratio(name: str, ours: Arm, other: Arm, question: dict, pairs: int, goal: float | None = None) -> list[dict]:
    found = []
    for number in range(1, pairs + 3):
        asked = question | {"number": number}
        pair = {arm: arm.ask(asked) for arm in ((ours, other) if number % 2 else (other, ours))}
        found.append((pair[ours], pair[other]))
    found = found[2:]  # the first ones warm up
    ratios = sorted(one / two for one, two in found)
    quarter = len(ratios) // 4
    return [
        result(f"{name}: ratio, median of {pairs} pairs", median(ratios), "", goal, "<=" if goal else ""),
        result("  its quartiles, low", ratios[quarter], ""),
        result("  and high", ratios[-1 - quarter], ""),
        result("  ours, median", 1e3 * median(one for one, _ in found), "ms"),
        result("  beside it, median", 1e3 * median(two for _, two in found), "ms"),
    ]


def _batch(ours: Arm, question: dict, rounds: int) -> list[dict]:
    ratios = []
    for number in range(rounds + 1):
        four = ours.ask(question | {"case": "new", "number": number, "batch": 4}) / 4
        ratios.append(four / ours.ask(question | {"case": "new", "number": number}))
    return [result("embedded model, a picture of a batch of four beside one alone", median(ratios[1:]), "")]


def steps(quick: bool = False) -> list[dict]:
    """Equal steps of what EEG and `blend` links move, and how equal the picture's are."""
    with Arm("steps", [environments.main_python(), ARMS / "steps.py"]) as arm:
        found = arm.ask({}, 600)
    return [result(f"21 steps of {name}: largest by median", ratio, "", 3.0, "<=") for name, ratio in found.items()]


def memory(quick: bool = False) -> list[dict]:
    """Resident memory over jobs of all kinds, from when the first quarter has filled what is held."""
    jobs = JOBS // 10 if quick else JOBS
    with Arm("many jobs", [environments.main_python(), ARMS / "many.py"]) as arm:
        seen = [arm.ask({"jobs": PIECE if not quick else PIECE // 10}, 600) for _ in range(20)]
    sizes = [one["memory"] for one in seen]
    if sizes[0] is None:
        return [result("memory, last quarter by second", None, "", 1.03, "<=", "only Linux says it")]
    return [
        result(f"memory over {jobs} jobs, last quarter by second", median(sizes[15:]) / median(sizes[5:10]), "", 1.03, "<="),
        result("  in the last quarter", median(sizes[15:]) / 1e6, "MB"),
        result("  jobs that were refused, as they should be", sum(one["bad"] for one in seen), "", jobs // 50, "<="),
    ]


def cuda(quick: bool = False) -> list[dict]:
    """Pictures a second of SD-Turbo's architecture, 512x512, one step, small decoder: through broker and edge, and bare."""
    python = environments.main_python()
    there = subprocess.run([python, "-c", "import torch; print(torch.cuda.is_available())"], capture_output=True, text=True)
    device = "cuda" if there.stdout.strip() == "True" else ""
    if not device:
        reason = "no CUDA device"
        return [
            result("pictures a second through broker and edge", None, "/s", STREAM_DIFFUSION, ">=", reason),
            result("  by the bare loop's", None, "", 0.9, ">=", reason),
        ]
    return _rates(device, 512, 5.0 if quick else 20.0)


def _rates(device: str, side: int, seconds: float) -> list[dict]:
    python = environments.main_python()
    with tempfile.TemporaryDirectory(prefix="alphaloom-") as folder, empty_broker(python) as (children, broker, _):
        subprocess.run([python, ARMS / "turbo.py", folder], check=True, capture_output=True)
        edge_at_work(children, [python, "-m", "edge", "--broker", broker, "--model", folder, "--device", device], 600)
        with (
            _arm("bare", folder, "--device", device) as bare,
            Arm("client", [python, ARMS / "rate_client.py", broker]) as client,
        ):
            ours, alone = [], []
            for turn in range(4):
                rate = client.ask({"seconds": seconds, "side": side, "steps": 1, "window": 24}, 600)
                spent = [bare.ask({"case": "new", "number": n, "side": side, "steps": 1, "guidance": 0.0}) for n in range(40)]
                if turn:  # the first one warms up
                    ours.append(rate)
                    alone.append(1 / median(spent))
    return [
        result("pictures a second through broker and edge", median(ours), "/s", STREAM_DIFFUSION, ">="),
        result("  by the bare loop's", median(ours) / median(alone), "", 0.9, ">="),
        result("bare loop, pictures a second", median(alone), "/s"),
    ]
