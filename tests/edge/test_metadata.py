"""What a picture's file says of how it was made."""

import io
import json
import re
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from picture_files import png
from PIL import Image, PngImagePlugin

from edge import metadata
from edge.metadata import Made
from edge.versions import versions
from protocol.errors import AlphaloomError
from protocol.model import SCHEDULERS, Lora, Modulation, Move, Phrase, ResolvedRequest

ASK = ResolvedRequest(
    "txt2img", (Phrase("red marble"),), "", 256, 128, 12, 4.0, 0.6, 7, model="texture-tiny", scheduler="dpm++_2m_karras"
)
MADE = Made(ASK, "0123456789abcdef" * 4, "cpu x86_64 float32 2 threads", {"alphaloom": "3", "torch": "2.13.0"})
PIXELS = np.random.default_rng(1).integers(0, 255, (128, 256, 3), dtype=np.uint8)
EEG = Modulation(1e9, ("muse",), (Move("alpha", 0.71828, 1.5, "guidance", 4.0, 5.0),))


def made(**changes: Any) -> Made:
    return replace(MADE, request=replace(ASK, **changes))


def texts(data: bytes) -> dict[str, str]:
    return dict(Image.open(io.BytesIO(data)).text)


def refused(data: bytes) -> str:
    with pytest.raises(AlphaloomError) as caught:
        metadata.read(data)
    assert len(caught.value.message) < 600
    return caught.value.code


def settings(text: str) -> dict[str, str]:
    """The last line, as the programs that read it take it apart."""
    pairs = re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', text.split("\n")[-1])
    return {name: json.loads(value) if value.startswith('"') else value for name, value in pairs}


def test_the_pixels_are_in_it_as_they_are() -> None:
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(metadata.encode(PIXELS, MADE)))), PIXELS)


@pytest.mark.parametrize(
    "written",
    [
        MADE,
        replace(MADE, batch=4, rung=1, modulation=EEG),
        made(phrases=(Phrase("a", 0.3), Phrase("b", 0.7)), loras=(Lora("ink", -0.5),), tiling="x", variation=0.25),
        made(phrases=(Phrase('"quoted", \\(brackets\\)\r\nline two: 花 😀'),), negative="nön\nsense"),
        made(task="inpaint", source="a" * 64, mask="b" * 64, depth="c" * 64, control="depth", guidance=1e-9),
    ],
    ids=["plain", "more", "blend", "unicode", "inpaint"],
)
def test_what_was_written_is_read(written: Made) -> None:
    assert metadata.read(metadata.encode(PIXELS, written)) == written


def test_equal_pictures_are_equal_files() -> None:
    assert metadata.encode(PIXELS, MADE) == metadata.encode(PIXELS.copy(), metadata.read(metadata.encode(PIXELS, MADE)))


def test_it_has_no_time_and_nothing_but_the_two_texts() -> None:
    kinds, at, data = [], 8, metadata.encode(PIXELS, MADE)
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kinds.append(data[at + 4 : at + 8])
        at += length + 12
    assert [kind for kind in kinds if kind != b"IDAT"] == [b"IHDR", b"tEXt", b"iTXt", b"IEND"]


def test_eeg_is_in_it_only_when_it_is_given() -> None:
    assert b"0.71828" not in metadata.encode(PIXELS, MADE)
    with_it = metadata.encode(PIXELS, replace(MADE, modulation=EEG))
    assert "0.71828" in texts(with_it)["alphaloom"] and "0.71828" not in texts(with_it)["parameters"]


def test_other_programs_read_the_parameters() -> None:
    text = texts(metadata.encode(PIXELS, made(negative="blur")))["parameters"]
    assert text == (
        "red marble\nNegative prompt: blur\n"
        "Steps: 12, Sampler: DPM++ 2M Karras, CFG scale: 4, Seed: 7, Size: 256x128, Model hash: 0123456789, "
        "Model: texture-tiny, Version: Alphaloom 3"
    )


def test_what_only_some_pictures_have_is_said_of_those() -> None:
    said = settings(
        metadata.parameters(
            made(
                task="img2img",
                source="a" * 64,
                strength=0.35,
                variation=0.25,
                variation_seed=9,
                tiling="xy",
                depth="b" * 64,
                control="depth, large",
                control_strength=0.8,
                model="org/model: v2",
            )
        )
    )
    assert said["Denoising strength"] == "0.35"
    assert (said["Variation seed"], said["Variation seed strength"]) == ("9", "0.25")
    assert (said["Tiling"], said["Model"]) == ("True", "org/model: v2")
    assert said["ControlNet 0"] == "Module: none, Model: depth, large, Weight: 0.8"


def test_weights_blends_and_loras_are_said_as_those_programs_write_them() -> None:
    weighted = metadata.parameters(made(phrases=(Phrase(r"((old)1.2 moss)0.5, \(a\)1"),), loras=(Lora("ink", 0.75),)))
    assert weighted.split("\n")[0] == r"((old:1.2) moss:0.5), \(a\)1 <lora:ink:0.75>"
    blended = metadata.parameters(made(phrases=(Phrase("stone", 1.0), Phrase("(moss)1.3", 3.0))))
    assert blended.split("\n")[0] == "stone :0.25 AND (moss:1.3) :0.75"
    assert metadata.parameters(made(phrases=(Phrase("stone", 0.0), Phrase("moss", 1.0)))).startswith("moss\n")
    assert metadata.parameters(made(phrases=(Phrase("stone", 0.0), Phrase("moss", 0.0)))).startswith("stone\n")


def test_words_of_every_language_are_read_by_other_programs() -> None:
    prompt = "花 and 😀,\n“old” stone: mossy"
    assert texts(metadata.encode(PIXELS, made(phrases=(Phrase(prompt),))))["parameters"].startswith(prompt + "\nSteps: ")


def test_every_scheduler_has_a_name_there() -> None:
    assert set(metadata.SAMPLERS) == set(SCHEDULERS)


def test_the_versions_are_those_that_are_here() -> None:
    import torch

    assert versions()["torch"] == torch.__version__


def test_files_that_say_nothing_are_said() -> None:
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 8)).save(jpeg, "JPEG")
    for data in (b"", b"rubbish", jpeg.getvalue(), png(), b"\x89PNG\r\n\x1a\n"):
        assert refused(data) == "no_metadata"


def with_text(text: str, zip: bool = False) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("alphaloom", text, zip=zip)
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def tampered(path: str, value: Any) -> bytes:
    body: Any = json.loads(texts(metadata.encode(PIXELS, MADE))["alphaloom"])
    part, (*way, last) = body, path.split(".")
    for name in way:
        part = part[name]
    part[last] = value
    return with_text(json.dumps(body))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("request", None),
        ("request.task", "explode"),
        ("request.width", "256"),
        ("request.width", 1_000_000),
        ("request.steps", 1e99),
        ("request.guidance", float("nan")),
        ("request.phrases", []),
        ("request.phrases", [{"text": "a"}] * 3),
        ("request.scheduler", "x" * 1000),
        ("request.negative", "x" * 5000),
        ("request.source", "../../etc/passwd"),
        ("batch", "many"),
        ("batch", 0),
        ("batch", 10**9),
        ("rung", -1),
        ("versions", ["torch"]),
        ("modulation", {"time": 1}),
        ("format", 2),
        ("device", {"a": 1}),
    ],
)
def test_what_was_tampered_with_is_refused(path: str, value: Any) -> None:
    assert refused(tampered(path, value)) == "bad_metadata"


@pytest.mark.parametrize("text", ["", "{", "null", "[1]", "[" * 100_000, '{"a":' * 50_000, " " * 300_000])
def test_what_is_no_description_is_refused(text: str) -> None:
    assert refused(with_text(text)) == "bad_metadata"


def test_text_that_unpacks_to_megabytes_is_refused() -> None:
    packed = with_text(" " * (1 << 24), zip=True)
    assert len(packed) < 1 << 17 and zlib.crc32(packed)
    assert refused(packed) in ("no_metadata", "bad_metadata")
