"""An arm of the `edge` benchmark: jobs of every kind; the answer is the bytes in memory after each piece."""

from __future__ import annotations

import io
import os
from dataclasses import replace

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import bench_turns
from bench_usage import memory
from PIL import Image

from edge import device as devices
from edge.engine import Engine
from edge.models import shelf
from edge.orders import Order
from protocol.errors import AlphaloomError
from protocol.model import Phrase, ResolvedRequest

SIZES, SCHEDULERS = (64, 96, 128), ("", "euler", "dpm++_2m", "lcm")


def order(number: int) -> Order:
    """Each with words, a size, a task and a scheduler that others do not have together, some of them bad."""
    side = SIZES[number % len(SIZES)]
    task = ("txt2img", "img2img", "inpaint")[number % 7 % 3]
    request = ResolvedRequest(
        task,  # type: ignore[arg-type]
        (Phrase(f"red marble number {number}, (calm){0.5 + number % 10 / 10}"),), "dark", side, side, 1 + number % 3,
        1.0 + number % 4, 0.6, number, scheduler=SCHEDULERS[number // 3 % 4], tiling=("", "xy", "x")[number // 5 % 3],
        variation=number % 11 / 10, variation_seed=number + 1,
        source=None if task == "txt2img" else "a" * 64, mask="b" * 64 if task == "inpaint" else None,
    )  # fmt: skip
    source = None if request.source is None else _picture(number, side)
    mask = None if request.mask is None else _picture(255, side)
    if number % 50 == 49:
        return Order(replace(request, task="img2img", source="a" * 64), b"no picture")
    return Order(request, source, mask)


def _picture(number: int, side: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), (number % 256, 100, 200)).save(out, "PNG")
    return out.getvalue()


def main() -> None:
    engine = Engine(shelf.find(shelf.EMBEDDED), devices.choose())
    number = 0
    for question in bench_turns.questions():
        bad = 0
        for _ in range(question["jobs"]):
            number += 1
            one = order(number)
            try:
                engine.encode(engine.run(one), one)
            except AlphaloomError:
                bad += 1
        bench_turns.answer({"memory": memory(os.getpid()), "bad": bad})


if __name__ == "__main__":
    main()
