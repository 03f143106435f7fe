"""Pictures made again from their files, by the real engine with the embedded model."""

import hashlib
import io
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
from conftest import PYTHON, ROOT
from picture_files import encoded, png
from PIL import Image, PngImagePlugin

from edge import metadata
from edge.device import choose
from edge.engine import Engine
from edge.models.shelf import EMBEDDED, Shelf
from edge.orders import Order, Picture
from edge.reproduce import Outcome, reproduce
from edge.versions import versions
from protocol.errors import AlphaloomError
from protocol.model import Lora, Modulation, Move, Phrase, ResolvedRequest

SOURCE, MASK = encoded("PNG", (64, 64)), png(64, 64, 255)
FILES = {"source": SOURCE, "mask": MASK}
ASK = ResolvedRequest("txt2img", (Phrase("red marble"),), "", 64, 64, 3, 4.0, 0.6, 7)
PAINT = replace(
    ASK, task="inpaint", source=hashlib.sha256(SOURCE).hexdigest(), mask=hashlib.sha256(MASK).hexdigest(), strength=0.8
)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("models"), pulls=False)


@pytest.fixture(scope="module")
def engine(shelf: Shelf) -> Engine:
    return Engine(shelf.find(EMBEDDED), choose("cpu"))


def made(engine: Engine, *orders: Order) -> list[bytes]:
    """Together, as PNG files."""
    found = engine.make([engine.prepare(order) for order in orders])
    assert all(isinstance(each, Picture) for each in found)
    return [engine.encode(each, order) for each, order in zip(found, orders, strict=True) if isinstance(each, Picture)]


@pytest.fixture(scope="module")
def picture(engine: Engine) -> bytes:
    return made(engine, Order(ASK))[0]


def changed(picture: bytes, **changes: Any) -> bytes:
    """The same pixels, with another story."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)))
    return metadata.encode(pixels, replace(metadata.read(picture), **changes))


def said(outcome: Outcome) -> str:
    assert not outcome.identical and outcome.said[0] == "not identical"
    return "\n".join(outcome.said)


def refused(*arguments: Any) -> AlphaloomError:
    with pytest.raises(AlphaloomError) as caught:
        reproduce(*arguments)
    return caught.value


@pytest.mark.parametrize(
    "order",
    [
        Order(ASK),
        Order(replace(ASK, steps=None, seed=8, variation=0.3, variation_seed=2, scheduler="euler_a", tiling="x")),
        Order(replace(ASK, phrases=(Phrase("red marble", 0.4), Phrase("blue (waves)1.2", 0.6)), negative="dark")),
        Order(replace(PAINT, task="img2img"), SOURCE),
        Order(PAINT, SOURCE, MASK),
        Order(ASK, modulation=Modulation(1e9, ("muse",), (Move("alpha", 0.5, 1.0, "guidance", 3.0, 4.0),))),
    ],
    ids=["plain", "all settings", "blend", "img2img", "inpaint", "eeg"],
)
def test_the_same_bytes_come_again(engine: Engine, shelf: Shelf, order: Order) -> None:
    (first,) = made(engine, order)
    outcome = reproduce(first, FILES, shelf)
    assert outcome.identical and outcome.png == first
    assert outcome.said == (f"identical: the same {len(first)} bytes, on {engine.device.kind}",)


def test_one_of_a_batch_comes_again_by_itself(engine: Engine, shelf: Shelf) -> None:
    pictures = made(engine, *(Order(replace(ASK, seed=seed, phrases=(Phrase(f"red marble {seed}"),))) for seed in range(3)))
    assert {metadata.read(each).batch for each in pictures} == {3}
    assert all(reproduce(each, {}, shelf).identical for each in pictures)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_whichever_of_a_batch_it_was_it_comes_again_in_bfloat16_too(family: str, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "pulled", pulls=False)
    name = shelf.add(str(families.save(family, tmp_path / "model")))
    other = Engine(shelf.find(name), choose("cpu", "bfloat16"))
    pictures = made(other, *(Order(replace(ASK, model="", width=64, seed=seed)) for seed in range(5)))
    assert all(reproduce(each, {}, shelf).identical for each in pictures)


def test_it_is_made_with_the_numbers_and_threads_of_the_first(engine: Engine, shelf: Shelf, picture: bytes) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        other = Engine(shelf.find(EMBEDDED), choose("cpu", "float32"))
        (first,) = made(other, Order(ASK))
        torch.set_num_threads(threads)
        assert reproduce(first, {}, shelf).identical
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)


def test_other_versions_and_devices_are_named(shelf: Shelf, picture: bytes) -> None:
    story = {"versions": versions() | {"torch": "1.0", "gone": "2"}, "device": "NVIDIA H200 float32"}
    text = said(reproduce(changed(picture, **story), {}, shelf, "cpu"))
    assert f"version of torch: {torch.__version__}; it was 1.0" in text
    assert "version of gone: none; it was 2" in text
    assert "it was NVIDIA H200 float32" in text


def test_what_only_says_other_versions_has_the_same_pixels(shelf: Shelf, picture: bytes) -> None:
    assert "pixels: all the same" in said(reproduce(changed(picture, versions={}), {}, shelf))


def test_another_model_is_named(shelf: Shelf, picture: bytes) -> None:
    assert "model: texture-tiny is " in said(reproduce(changed(picture, model_hash="f" * 64), {}, shelf))


def test_a_story_that_was_changed_does_not_fit_its_picture(shelf: Shelf, picture: bytes) -> None:
    request = replace(metadata.read(picture).request, seed=99)
    text = said(reproduce(changed(picture, request=request), {}, shelf))
    assert "changed since" in text and "% differ" in text


def test_a_picture_that_was_changed_does_not_fit_its_story(shelf: Shelf, picture: bytes) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(picture))).copy()
    pixels[0, 0, 0] ^= 5
    text = said(reproduce(metadata.encode(pixels, metadata.read(picture)), {}, shelf))
    assert "by 5 of 255 at most" in text or "by 4 of 255 at most" in text or "by 3 of 255 at most" in text
    larger = metadata.encode(np.zeros((72, 64, 3), np.uint8), metadata.read(picture))
    assert "64×64; there were 64×72" in said(reproduce(larger, {}, shelf))


def test_a_file_that_was_written_anew_says_so(shelf: Shelf, picture: bytes) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("alphaloom", Image.open(io.BytesIO(picture)).text["alphaloom"])
    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(out, "PNG", pnginfo=info)
    assert "written anew" in said(reproduce(out.getvalue(), {}, shelf))


def test_half_a_file_is_compared_as_far_as_it_goes(shelf: Shelf, picture: bytes) -> None:
    assert "cannot be read" in said(reproduce(picture[:-2000], {}, shelf))


def test_what_it_was_made_of_must_be_there_and_the_same(engine: Engine, shelf: Shelf) -> None:
    (first,) = made(engine, Order(PAINT, SOURCE, MASK))
    missing = refused(first, {"source": SOURCE}, shelf)
    assert missing.code == "missing_input" and "--mask FILE" in missing.message and PAINT.mask in missing.message
    other = refused(first, {"source": png(64, 64), "mask": MASK}, shelf)
    assert other.code == "other_input" and other.detail == {"field": "source", "sha256": PAINT.source}


def test_a_model_that_is_nowhere_is_said(shelf: Shelf, picture: bytes) -> None:
    request = replace(metadata.read(picture).request, model="somebody/else")
    problem = refused(changed(picture, request=request), {}, shelf)
    assert problem.code == "unknown_model"
    for way in ("--manifest FILE", "a folder called 'else', --model FOLDER", "models pull somebody/else"):
        assert way in problem.message
    request = replace(request, model=EMBEDDED, loras=(Lora(EMBEDDED),))
    assert "is a model, not a LoRA" in refused(changed(picture, request=request), {}, shelf).message


def test_a_picture_of_others_is_said(shelf: Shelf) -> None:
    assert refused(png(), {}, shelf).code == "no_metadata"
    assert refused(b"# Alphaloom", {}, shelf).message == "This file is no PNG."


def test_a_story_cannot_ask_for_a_thousand_threads_or_pictures(shelf: Shelf, picture: bytes) -> None:
    before = torch.get_num_threads()
    assert "it was cpu 9999 threads" in said(reproduce(changed(picture, device="cpu 9999 threads"), {}, shelf))
    assert torch.get_num_threads() == before
    body = json.loads(Image.open(io.BytesIO(picture)).text["alphaloom"]) | {"batch": 100_000}
    info = PngImagePlugin.PngInfo()
    info.add_itxt("alphaloom", json.dumps(body))
    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(out, "PNG", pnginfo=info)
    assert refused(out.getvalue(), {}, shelf).code == "bad_metadata"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, "-m", "edge", "reproduce", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)


def test_from_the_command_line(engine: Engine, tmp_path: Path) -> None:
    (first,) = made(engine, Order(PAINT, SOURCE, MASK))
    (tmp_path / "first.png").write_bytes(first)
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    without = run(tmp_path / "first.png")
    assert without.returncode == 1 and without.stderr.count("\n") == 1 and "--source FILE" in without.stderr
    given = ("--source", tmp_path / "source", "--mask", tmp_path / "mask", "--out", tmp_path / "again.png")
    done = run(tmp_path / "first.png", *given)
    assert (done.returncode, done.stdout) == (0, f"identical: the same {len(first)} bytes, on {engine.device.kind}\n"), (
        done.stderr
    )
    assert (tmp_path / "again.png").read_bytes() == first
    (tmp_path / "first.png").write_bytes(changed(first, versions={}))
    other = run(tmp_path / "first.png", *given)
    assert other.returncode == 1 and other.stdout.startswith("not identical\n  version of alphaloom: ")
    nowhere = run(tmp_path / "nowhere.png")
    assert nowhere.returncode == 1 and nowhere.stderr.count("\n") == 1
