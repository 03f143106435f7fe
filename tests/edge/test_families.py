"""Folders of the real architectures, with small random weights, through the whole engine."""

import io
import json
from dataclasses import replace
from pathlib import Path

import families
import numpy as np
import pytest
from PIL import Image

from edge import device
from edge.engine import TASKS, Engine
from edge.models import shelf
from edge.orders import Order
from protocol.errors import AlphaloomError
from protocol.model import Lora, Phrase, ResolvedRequest

ASK = ResolvedRequest(
    "txt2img", (Phrase("red (marble)1.2", 0.5), Phrase("blue, (calm)0.4", 0.5)), "ugly", 64, 64, 3, 5.0, 0.7, 1
)


SOURCES = {"img2img": {"source": "a" * 64}, "inpaint": {"source": "a" * 64, "mask": "b" * 64}}


def picture(colour: tuple[int, ...] = (30, 60, 200)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(out, "PNG")
    return out.getvalue()


def load(folder: Path, dtype: str = "float32", **others: Path) -> Engine:
    return Engine(shelf.find(str(folder)), device.choose("cpu", dtype), others.__getitem__)


def made(engine: Engine, request: ResolvedRequest, depth: bytes | None = None) -> np.ndarray:
    done = engine.run(Order(request, picture(), picture((255, 255, 255)), depth))
    assert done.pixels.shape == (64, 64, 3)
    return done.pixels


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", [f for f in families.FAMILIES if f != "sd15_inpaint"])
def test_every_family_does_every_task(family: str, dtype: str, tmp_path: Path) -> None:
    engine = load(families.save(family, tmp_path / "model"), dtype)
    for task in TASKS:
        made(engine, replace(ASK, task=task, **SOURCES.get(task, {})))


def test_a_model_made_for_inpainting_paints_and_does_nothing_else(tmp_path: Path) -> None:
    engine = load(families.save("sd15_inpaint", tmp_path / "model"))
    made(engine, replace(ASK, task="inpaint", **SOURCES["inpaint"]))
    with pytest.raises(AlphaloomError, match="inpaint"):
        made(engine, ASK)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_batch_is_as_each_alone_in_every_task(family: str, tmp_path: Path) -> None:
    engine = load(families.save(family, tmp_path / "model"))
    for task in TASKS:
        asked = [replace(ASK, task=task, seed=seed, guidance=3.0 + seed, **SOURCES.get(task, {})) for seed in (1, 2)]
        orders = [Order(request, picture((40 * request.seed, 0, 0)), picture((255, 255, 255))) for request in asked]
        together = engine.make([engine.prepare(order) for order in orders])
        for one, order in zip(together, orders, strict=True):
            assert np.abs(one.pixels.astype(int) - engine.run(order).pixels).max() <= 2


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_lora_and_depth_guide_every_task_and_leave_no_trace(family: str, tmp_path: Path) -> None:
    lora, control = families.save_lora(family, tmp_path / "lora"), families.save_controlnet(family, tmp_path / "control")
    engine = load(families.save(family, tmp_path / "model"), moss=lora, depth=control)
    for task in TASKS:
        asked = replace(ASK, task=task, strength=1.0, **SOURCES.get(task, {}))
        plain = made(engine, asked)
        assert (made(engine, replace(asked, loras=(Lora("moss", 0.8),))) != plain).any()
        guided = replace(asked, control="depth", depth="d" * 64)
        near, far = (made(engine, guided, picture((grey,) * 3)) for grey in (255, 0))
        assert (near != far).any()
        np.testing.assert_array_equal(made(engine, asked), plain)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_prompts_of_any_length_go_together(family: str, tmp_path: Path) -> None:
    engine = load(families.save(family, tmp_path / "model"))
    long, short = "grey stone wall " * 40, "red"
    for phrases, negative in (((long,), ""), ((short,), long), ((short, long), short)):
        share = 1 / len(phrases)
        made(engine, replace(ASK, phrases=tuple(Phrase(text, share) for text in phrases), negative=negative))


def test_who_is_told_the_guidance_is_told_its_own_in_a_batch(tmp_path: Path) -> None:
    engine = load(families.save("lcm", tmp_path / "model"))
    low, high = (engine.prepare(Order(replace(ASK, guidance=guidance))) for guidance in (2.0, 9.0))
    assert low.shape != high.shape


def test_what_is_of_another_family_is_refused_and_the_model_unharmed(tmp_path: Path) -> None:
    lora, control = families.save_lora("sdxl", tmp_path / "lora"), families.save_controlnet("sdxl", tmp_path / "control")
    engine = load(families.save("sd15", tmp_path / "model"), moss=lora, depth=control)
    plain = made(engine, ASK)
    for bad, code in (
        (replace(ASK, loras=(Lora("moss"),)), "unsupported_lora"),
        (replace(ASK, control="depth", depth="d" * 64), "unsupported_control"),
    ):
        with pytest.raises(AlphaloomError) as caught:
            made(engine, bad, picture())
        assert caught.value.code == code
        np.testing.assert_array_equal(made(engine, ASK), plain)


def test_a_model_that_was_distilled_without_guidance_is_run_without(tmp_path: Path) -> None:
    model = replace(shelf.find(str(families.save("sd_turbo", tmp_path / "model"))), guidance=0.0)
    engine = Engine(model, device.choose("cpu", "float32"))
    one, other = (engine.run(Order(replace(ASK, guidance=guidance))) for guidance in (1.0, 9.0))
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert other.request.guidance == 0.0


def test_code_in_a_models_folder_is_never_run(tmp_path: Path) -> None:
    folder = families.save("sd15", tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["evil", "Net"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "unet/evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(AlphaloomError, match="evil"):
        load(folder)
    assert not (tmp_path / "ran").exists()
