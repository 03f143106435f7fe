"""What comes from outside, before any work on the device."""

import io
import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from picture_files import encoded, png, saved
from PIL import Image

from edge import inputs
from protocol.errors import AlphaloomError
from protocol.model import TASKS, Lora, Phrase, ResolvedRequest

BLOB = "0" * 64
ASK = ResolvedRequest("txt2img", (Phrase("red"),), "", 64, 64, None, 4.0, 0.6, 1)
CHANGE = replace(ASK, task="img2img", source=BLOB)
PAINT = replace(CHANGE, task="inpaint", mask=BLOB)
GUIDED = replace(ASK, control="depth", depth=BLOB)
NOT_NUMBERS = (float("nan"), float("inf"), float("-inf"))


def refused(call: Any, *arguments: Any, **more: Any) -> AlphaloomError:
    with pytest.raises(AlphaloomError) as caught:
        call(*arguments, **more)
    return caught.value


def source(data: bytes, request: ResolvedRequest = CHANGE) -> Image.Image:
    return inputs.pictures(request, data)["source"]


def depth(data: bytes) -> Image.Image:
    return inputs.pictures(GUIDED, depth=data)["depth"]


@pytest.mark.parametrize("good", [ASK, CHANGE, PAINT, GUIDED, replace(ASK, steps=150, loras=(Lora("ink", 0.5),))])
def test_what_can_be_done_is_let_through(good: ResolvedRequest) -> None:
    inputs.check(good, TASKS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 65},
        {"height": 0},
        {"height": 4096},
        {"width": -64},
        {"width": 64.0},
        {"steps": 0},
        {"steps": 1_000_000},
        {"steps": 2.5},
        {"steps": 10**400},
        {"seed": True},
        {"seed": 1 << 31},
        {"seed": "1"},
        {"scheduler": "magic"},
        {"scheduler": 5},
        {"tiling": "z"},
        {"tiling": 5},
        {"negative": 5},
        {"negative": "\ud800"},
        {"phrases": ()},
        {"phrases": (Phrase(5),)},  # type: ignore[arg-type]
        {"phrases": None},
        {"model": None},
        {"source": "../../etc/passwd"},
        *(
            {name: number}
            for name in ("guidance", "strength", "variation", "control_strength", "steps")
            for number in NOT_NUMBERS
        ),
        *({"phrases": (Phrase("a", number),)} for number in NOT_NUMBERS),
        *({"loras": (Lora("a", number),)} for number in NOT_NUMBERS),
    ],
    ids=str,
)
def test_what_cannot_be_is_a_bad_value(wrong: dict[str, Any]) -> None:
    assert refused(inputs.check, replace(ASK, **wrong), TASKS).code == "bad_value"


@pytest.mark.parametrize("task", ["explode", "", None, ["txt2img"]])
def test_a_task_that_nobody_knows_is_said(task: Any) -> None:
    assert refused(inputs.check, replace(ASK, task=task), TASKS).code == "unknown_task"


def test_a_task_that_the_model_cannot_do_is_said() -> None:
    problem = refused(inputs.check, PAINT, ("txt2img", "img2img"))
    assert problem.code == "unknown_task" and "img2img" in problem.message


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (replace(ASK, task="img2img"), "no_source"),
        (replace(CHANGE, task="inpaint"), "no_mask"),
        (replace(ASK, depth=BLOB), "no_control"),
    ],
)
def test_what_is_lacking_is_said(wrong: ResolvedRequest, code: str) -> None:
    assert refused(inputs.check, wrong, TASKS).code == code


def test_a_task_gets_only_what_it_needs() -> None:
    assert inputs.pictures(ASK, b"rubbish", b"rubbish", b"rubbish") == {}
    assert list(inputs.pictures(CHANGE, png(), b"rubbish")) == ["source"]
    assert list(inputs.pictures(replace(PAINT, control="c", depth=BLOB), png(), png(), png())) == ["source", "mask", "depth"]


def test_one_that_comes_again_is_not_decoded_again(monkeypatch) -> None:
    data = encoded("PNG", (90, 90))
    first = source(data)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was decoded"))
    assert source(data) is first
    monkeypatch.undo()
    assert source(data, replace(CHANGE, width=128)).size == (128, 64)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_the_formats_of_the_web_are_taken_and_brought_to_size(format: str) -> None:
    shown = source(encoded(format, (100, 40)))
    assert (shown.mode, shown.size) == ("RGB", (64, 64))


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF", "ICO", "PPM"])
def test_other_formats_are_not(format: str) -> None:
    assert refused(source, encoded(format, (32, 32))).code == "bad_source"


def test_of_the_size_that_is_asked_for_every_pixel_is_kept() -> None:
    data = encoded("PNG", (64, 64))
    np.testing.assert_array_equal(np.asarray(source(data)), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"no picture",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x10\0\0\0WEBPVP8X",
        b"\xff\xd8\xff" * 9,
        encoded("PNG", (64, 64))[:900],
    ]
    + [encoded(format, (64, 64))[:-40] for format in ("JPEG", "WEBP")],
    ids=lambda data: repr(data[:12]) if data else repr(data),
)
def test_what_is_no_picture_is_said_by_its_name(data: bytes | None) -> None:
    assert refused(inputs.pictures, CHANGE, data).code == "bad_source"
    assert refused(inputs.pictures, PAINT, png(), data).code == "bad_mask"
    assert refused(inputs.pictures, GUIDED, depth=data).code == "bad_depth"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG whose header says more than its few bytes would ever hold."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(4097, 4096), (10_000, 10_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_bomb_is_refused_by_its_header(size: tuple[int, int], monkeypatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda picture: pytest.fail("it was decoded"))
    problem = refused(source, bomb(*size))
    assert problem.code == "bad_source" and len(problem.message) < 400


def test_a_webp_bomb_is_refused() -> None:
    out = io.BytesIO()
    Image.new("L", (5000, 5000)).convert("RGB").save(out, "WEBP", lossless=True, method=0)
    assert len(out.getvalue()) < 1000
    assert refused(source, out.getvalue()).code == "bad_source"


def test_text_that_unpacks_to_gigabytes_is_refused() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 24)))
    assert refused(source, bomb(64, 64, text)).code == "bad_source"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_every_kind_of_png_becomes_rgb(mode: str) -> None:
    assert source(saved(Image.new("RGB", (20, 20), "white").convert("L").convert(mode))).getextrema() == ((255, 255),) * 3


def test_sixteen_bits_of_grey_are_not_clipped_to_their_darkest() -> None:
    half = saved(Image.fromarray(np.full((64, 64), 32896, np.uint16)))
    assert source(half).getextrema() == ((128, 128),) * 3
    assert inputs.pictures(PAINT, png(), half)["mask"].getextrema() == (128, 128)


def test_a_printers_jpeg_shows_its_colours() -> None:
    red = np.asarray(source(encoded_of(Image.new("RGB", (64, 64), (255, 0, 0)).convert("CMYK"), "JPEG"))).mean((0, 1))
    assert red[0] > 200 and red[1:].max() < 60


def encoded_of(picture: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_of_one_that_moves_the_first_picture_counts(format: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    data = encoded_of(frames[0], format, save_all=True, append_images=frames[1:], lossless=True, duration=50)
    assert source(data).getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white_paper_in_a_source(mode: str) -> None:
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 32, 64))
    shown = source(saved(picture.convert(mode)))
    assert (shown.getpixel((5, 5)), shown.getpixel((60, 5))) == ((0, 0, 0), (255, 255, 255))


def test_half_transparent_is_half_way_to_white() -> None:
    assert source(saved(Image.new("RGBA", (64, 64), (0, 0, 0, 128)))).getpixel((0, 0)) == (127, 127, 127)


def test_what_is_transparent_in_a_mask_is_not_painted_anew_and_in_depth_is_far() -> None:
    clear = saved(Image.new("RGBA", (64, 64), (255, 255, 255, 0)))
    assert inputs.pictures(PAINT, png(), clear)["mask"].getextrema() == (0, 0)
    assert depth(clear).getextrema() == ((0, 0),) * 3


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_photograph_is_turned_as_the_camera_was(format: str) -> None:
    picture = Image.new("RGB", (64, 64), "black")
    picture.paste("white", (0, 0, 64, 16))  # the upper edge is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    shown = source(encoded_of(picture, format, exif=exif)).convert("L")
    assert shown.getpixel((60, 32)) > 200 and shown.getpixel((5, 32)) < 50


def test_broken_exif_does_not_spoil_a_picture() -> None:
    assert source(encoded_of(Image.new("RGB", (64, 64), "red"), "JPEG", exif=b"Exif\0\0rubbish")).size == (64, 64)


def test_a_mask_of_another_size_than_its_source_is_said() -> None:
    problem = refused(inputs.pictures, PAINT, png(64, 64), png(32, 32))
    assert problem.code == "mask_size" and problem.detail == {"mask": [32, 32], "source": [64, 64]}


def test_the_mask_of_a_turned_photograph_is_as_it_is_seen() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph = encoded_of(Image.new("RGB", (80, 40)), "JPEG", exif=exif)
    assert inputs.pictures(PAINT, photograph, png(40, 80))["mask"].size == (64, 64)
    assert refused(inputs.pictures, PAINT, photograph, png(80, 40)).code == "mask_size"


def test_a_mask_that_is_resized_stays_black_beside_its_strokes_and_loses_none() -> None:
    drawn = np.zeros((256, 256), np.uint8)
    drawn[:, 101] = 255
    mask = np.asarray(inputs.pictures(PAINT, png(256, 256), saved(Image.fromarray(drawn)))["mask"])
    assert set(np.flatnonzero(mask.any(axis=0))) == {101 // 4}
    larger = np.asarray(
        inputs.pictures(replace(PAINT, width=512, height=512), png(256, 256), saved(Image.fromarray(drawn)))["mask"]
    )
    assert set(np.unique(larger)) == {0, 255}


def test_depth_of_sixteen_bits_keeps_its_range() -> None:
    slope = np.tile(np.linspace(0, 65535, 640).astype(np.uint16), (64, 1))
    shown = np.asarray(depth(saved(Image.fromarray(slope))))
    assert shown.shape == (64, 64, 3) and (shown[..., 0] == shown[..., 2]).all()
    assert shown[0, 0, 0] <= 2 and shown[0, -1, 0] >= 253
    np.testing.assert_allclose(shown[0, :, 0], np.linspace(2, 253, 64), atol=2)


def test_depth_has_no_halo_around_a_silhouette() -> None:
    slope = np.full((256, 256), 60, np.uint8)
    slope[:, 101:] = 180
    shown = np.asarray(depth(saved(Image.fromarray(slope))))
    assert (shown.min(), shown.max()) == (60, 180)
