"""One side of the `loop` benchmark: makes a picture for each line on its input and prints the seconds it took.

`ours` runs in Blender's environment: the extension, a real broker and a real edge. `bare` runs in the main one: the
same model in a plain diffusers pipeline, the same prompt, seed, size and steps, encoded to PNG as well.
"""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
PROMPT, SEED, SIDE, STEPS, GUIDANCE = "blue and white ocean waves", 0, 256, 12, 4.0


def ours(broker: str) -> None:
    import bpy

    import addon
    from addon import scene as cards
    from addon.session import session
    from addon.shared import model

    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon.register()
    session.open(broker)
    settings = model.Settings(width=SIDE, height=SIDE, steps=STEPS, guidance=GUIDANCE, seed=SEED)
    ticks_until(lambda: session.mirror.loaded)
    session.put_node(model.Node("bench", PROMPT, settings=settings))
    ticks_until(lambda: "bench" in session.mirror.map.nodes)
    for _ in sys.stdin:
        start = time.perf_counter()
        job = session.generate("bench")
        ticks_until(lambda job=job: job in session.mirror.jobs and session.mirror.jobs[job].state == "done")
        made = session.mirror.jobs[job].picture
        ticks_until(lambda made=made: cards.shown_blob("bench") == made)
        image = next(i for i in bpy.data.images if i.get("alphaloom") == "bench")
        image.pixels[0]  # decoded: it is a texture now, not a file
        say(time.perf_counter() - start)


def ticks_until(done) -> None:
    """As the timer in a window does, but as often as it is worth while: the loop is measured, not the frame rate."""
    from addon.session import session

    while not done():
        session.tick()
        time.sleep(0.001)


def bare(_: str) -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(ROOT / "edge/models/texture-tiny", dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    for _line in sys.stdin:
        start = time.perf_counter()
        picture = pipeline(
            PROMPT, width=SIDE, height=SIDE, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
            generator=torch.Generator().manual_seed(SEED),
        ).images[0]  # fmt: skip
        picture.save(io.BytesIO(), "PNG")
        say(time.perf_counter() - start)


def say(seconds: float) -> None:
    print(f"seconds {seconds}", flush=True)


if __name__ == "__main__":
    {"ours": ours, "bare": bare}[sys.argv[1]](sys.argv[2])
