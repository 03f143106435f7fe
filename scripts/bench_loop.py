"""One side of the `loop` benchmark: makes a picture of each seed that it is asked for, and answers with its seconds.

`ours` runs in Blender's environment: the extension, a real broker and a real edge. `bare` runs in the main one: the same model
in a plain diffusers pipeline, the same arithmetic, prompt, seed, size and steps, encoded to PNG as well.
"""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

import bench_turns

ROOT = Path(__file__).resolve().parent.parent
PROMPT, SIDE, STEPS, GUIDANCE = "blue and white ocean waves", 256, 4, 0.0


def ours(broker: str) -> None:
    import bpy

    import addon
    from addon import pictures
    from addon.core.shared import model
    from addon.session import session

    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon.register()
    session.open(broker)
    ticks_until(lambda: session.mirror.loaded)
    for question in bench_turns.questions():
        # Another seed each time: what was made before would come from the broker's cache.
        settings = model.Settings(width=SIDE, height=SIDE, steps=STEPS, guidance=GUIDANCE, seed=question["seed"])
        session.put(model.Node("bench", PROMPT, settings=settings))
        ticks_until(lambda: not session.mirror.pending)
        start = time.perf_counter()
        job = session.generate("bench")
        ticks_until(lambda job=job: job in session.mirror.jobs and session.mirror.jobs[job].state == "done")
        made = session.mirror.jobs[job].picture
        ticks_until(lambda made=made: pictures.shown_blob("bench") == made)
        image = next(i for i in bpy.data.images if i.get("alphaloom") == "bench")
        image.pixels[0]  # decoded: it is a texture now, not a file
        bench_turns.answer(time.perf_counter() - start)


def ticks_until(done) -> None:
    """As the timer in a window does, but as often as it is worth while: the loop is measured, not the frame rate."""
    from addon.session import session

    while not done():
        session.tick()
        time.sleep(0.001)


def bare() -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    from diffusers import StableDiffusionPipeline

    from edge import device as devices
    from edge import tiling
    from edge.models import pixel_autoencoder  # noqa: F401 -- diffusers finds it by name, and only where it is loaded already

    device = devices.choose()
    pipeline = StableDiffusionPipeline.from_pretrained(ROOT / "edge/models/texture-tiny", dtype=device.dtype)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        device.place(part)
    tiling.apply((pipeline.unet, pipeline.vae), "xy")
    pipeline.set_progress_bar_config(disable=True)
    for question in bench_turns.questions():
        start = time.perf_counter()
        picture = pipeline(
            PROMPT, width=SIDE, height=SIDE, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
            generator=torch.Generator().manual_seed(question["seed"]),
        ).images[0]  # fmt: skip
        picture.save(io.BytesIO(), "PNG")
        bench_turns.answer(time.perf_counter() - start)


if __name__ == "__main__":
    {"ours": ours, "bare": bare}[sys.argv[1]](*sys.argv[2:])
