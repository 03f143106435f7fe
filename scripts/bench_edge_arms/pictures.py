"""Two arms of the `edge` benchmark, one picture to a question: ours, and the stock pipeline in the same arithmetic.

engine|bare FOLDER [--dtype D] [--device D]

A question has `case` (`new`: a new prompt and seed; `eeg`: only guidance and a word's weight have moved), `number`, `side`,
`steps`, `guidance`, `tiling` and `batch`. The answer is seconds, from the request to the PNG.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import bench_turns
import torch

from edge import device as devices
from edge import tiling

WORDS = "blue and white ocean waves"


def words(number: int) -> str:
    """Others for each number. In letters: a small vocabulary has no figures, and what is unknown would all be the same."""
    return f"{WORDS}, {''.join(chr(ord('a') + int(figure)) for figure in str(number))}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("arm", choices=["engine", "bare"])
    parser.add_argument("folder")
    parser.add_argument("--dtype")
    parser.add_argument("--device")
    options = parser.parse_args()
    make = {"engine": engine, "bare": bare}[options.arm](options.folder, devices.choose(options.device, options.dtype))
    for question in bench_turns.questions():
        begin = time.perf_counter()
        make(question)
        bench_turns.answer(time.perf_counter() - begin)


def engine(folder: str, device: devices.Device) -> Any:
    from edge.engine import Engine
    from edge.models.shelf import Model
    from edge.orders import Order
    from protocol.model import Phrase, ResolvedRequest

    mine = Engine(Model("bench", folder, 25), device)

    def make(q: dict[str, Any]) -> None:
        moved = q["number"] / 1000
        text, seed, guidance = words(q["number"]), q["number"], q["guidance"]
        if q["case"] == "eeg":
            text, seed = f"{WORDS}, (calm){1.01 + moved:.3f}", 1
            guidance += moved if guidance > 1 else 0
        orders = [
            Order(
                ResolvedRequest(
                    "txt2img",
                    (Phrase(text),),
                    "",
                    q["side"],
                    q["side"],
                    q["steps"],
                    guidance,
                    0.6,
                    seed + 1000 * n,
                    tiling=q.get("tiling", ""),
                )
            )
            for n in range(q.get("batch", 1))
        ]
        for order, picture in zip(orders, mine.make([mine.prepare(order) for order in orders]), strict=True):
            mine.encode(picture, order)

    return make


def bare(folder: str, device: devices.Device) -> Any:
    from diffusers import StableDiffusionPipeline

    from edge.models import pixel_autoencoder  # noqa: F401 -- diffusers finds it by name, and only where it is loaded already

    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=device.dtype, use_safetensors=True)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        device.place(part)
    pipeline.set_progress_bar_config(disable=True)

    def make(q: dict[str, Any]) -> None:
        number, batch = q["number"], q.get("batch", 1)
        tiling.apply((pipeline.unet, pipeline.vae), q.get("tiling", ""))
        pictures = pipeline(
            [words(number)] * batch, width=q["side"], height=q["side"], num_inference_steps=q["steps"],
            guidance_scale=q["guidance"], generator=[torch.Generator().manual_seed(number + n) for n in range(batch)],
        ).images  # fmt: skip
        for picture in pictures:
            picture.save(io.BytesIO(), "PNG")

    return make


if __name__ == "__main__":
    main()
