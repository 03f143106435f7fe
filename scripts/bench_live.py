"""The `live` benchmark: EEG in, pictures at a client out, beside the rate of the bare pipeline with the embedded model.

A synthetic stream over LSL, a broker, an edge, one live node whose noise and words the EEG moves all the time, and a client
that counts. While the bare pipeline has its turn, the node is not live and the edge idle; the stream and the broker go on.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import environments
import processes
from bench_edge import ARMS, AS_IT_IS_USED, EMBEDDED
from bench_result import percentile, result
from bench_turns import Arm

PATCH = """
name = "bench"
""" + "".join(
    # A small gain, and filters that let all through: nothing stays at an end of its way, and no picture is the last one.
    f"""
[[rule]]
feature = "{feature}"
target = "{target}"
amount = {amount}
gain = 0.3
deadband = 0
cutoff = 5
beta = 1
slew = 2
"""
    for feature, target, amount in (("alpha", "variation", 1), ("theta", "(waves)", 0.4), ("beta", "guidance", 1))
)


def live(quick: bool = False) -> list[dict]:
    python = environments.main_python()
    rounds, seconds = (3, 8.0) if quick else (6, 20.0)
    with tempfile.TemporaryDirectory(prefix="alphaloom-") as name, processes.Children(Path(name) / "logs") as children:
        folder = Path(name)
        (folder / "patch.toml").write_text(PATCH)
        stream = f"Bench{time.time_ns()}"
        children.start("eeg", [python, "-m", "signals", "synth", "--name", stream])
        command = [python, "-m", "broker", "0", "--data", folder / "data", "--eeg", stream, "--patch", folder / "patch.toml"]
        children.start("broker", command)
        broker = children.await_broker()
        children.start("edge", [python, "-m", "edge", "--broker", broker])
        children.await_line("edge", "at work", 600)
        with (
            Arm("client", [python, ARMS / "live_client.py", broker]) as client,
            Arm("bare", [python, ARMS / "pictures.py", "bare", EMBEDDED]) as bare,
        ):
            client.ask({"until": "moving"}, 120)
            ratios, ages, ours, alone = [], [], [], []
            for turn in range(rounds + 1):
                seen = client.ask({"seconds": seconds}, 120)
                spent, end = [], time.monotonic() + seconds
                while time.monotonic() < end:
                    asked = AS_IT_IS_USED | {"case": "new", "number": len(spent)}
                    spent.append(bare.ask(asked))
                if turn:  # the first one warms up
                    ours.append(seen["pictures"] / seen["seconds"])
                    alone.append(len(spent) / sum(spent))
                    ratios.append(ours[-1] / alone[-1])
                    ages += seen["ages"]
    return [
        result("pictures a second, from EEG to a client", median(ours), "/s"),
        result("bare pipeline, pictures a second", median(alone), "/s"),
        result(f"ratio of the two, median of {rounds} rounds", median(ratios), "", 0.9, ">="),
        result("  lowest", min(ratios), ""),
        result("  highest", max(ratios), ""),
        result("from an EEG frame to its picture, median", percentile(ages, 50), "s"),
        result("  in pictures' own times", percentile(ages, 50) * median(alone) if ages else None, "", reason="none came"),
    ]
