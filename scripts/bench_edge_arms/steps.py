"""An arm of the `edge` benchmark: how even the steps of a picture are over 21 equal steps of `t`.

The answer is, by what moves, the largest difference between neighbours (root mean square, of 255) by their median.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import bench_turns
import numpy as np

from edge import device as devices
from edge.engine import Engine
from edge.models import shelf
from edge.orders import Order
from protocol.model import Phrase, ResolvedRequest

ASK = ResolvedRequest("txt2img", (Phrase("green mossy stone"),), "", 256, 256, None, 0.0, 0.6, 1)
MOVES: dict[str, Callable[[float], dict[str, Any]]] = {
    "a blend": lambda t: {"phrases": (Phrase("green mossy stone", 1 - t), Phrase("orange lava", t))},
    "noise": lambda t: {"variation": t, "variation_seed": 7},
    "a word's weight": lambda t: {"phrases": (Phrase(f"green mossy stone, (turbulent){0.5 + t:.2f}"),)},
}
STEPS = 21


def main() -> None:
    engine = Engine(shelf.find(shelf.EMBEDDED), devices.choose())
    for _ in bench_turns.questions():
        found = {}
        for name, move in MOVES.items():
            pictures = [engine.run(Order(replace(ASK, **move(n / (STEPS - 1))))).pixels.astype(float) for n in range(STEPS)]
            steps = [float(np.sqrt(((one - other) ** 2).mean())) for one, other in pairwise(pictures)]
            found[name] = max(steps) / float(np.median(steps))
        bench_turns.answer(found)


if __name__ == "__main__":
    main()
