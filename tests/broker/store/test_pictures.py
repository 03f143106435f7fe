import struct
import zlib

import hypothesis.strategies as st
import picture_files
import pytest
from hypothesis import given, settings
from PIL import Image

from broker.store import pictures
from protocol.errors import AlphaloomError

FORMATS = ("PNG", "JPEG", "WEBP")
WHOLE = {format: picture_files.encoded(format, (40, 30)) for format in FORMATS}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def riff(chunk: bytes) -> bytes:
    body = b"WEBP" + chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


def huge_png(side: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


HUGE_JPEG = b"\xff\xd8" + b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, 65500, 65500, 1) + b"\x01\x11\x00" + b"\xff\xd9"
HUGE_WEBP_EXTENDED = riff(b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\xff\xff\x3f" + b"\xff\xff\0" + b"\0" * 40)
HUGE_WEBP_LOSSLESS = riff(b"VP8L" + struct.pack("<I", 5) + b"\x2f" + struct.pack("<I", 0x3FFF | 0x3FFF << 14) + b"\0" * 40)
HUGE_WEBP_LOSSY = riff(b"VP8 " + struct.pack("<I", 10) + b"\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f" + b"\0" * 40)


@pytest.mark.parametrize("format", FORMATS)
def test_a_whole_picture_is_measured_and_named_by_its_bytes(format: str) -> None:
    media_type = f"image/{format.lower()}"
    assert pictures.check(WHOLE[format]) == pictures.Picture(40, 30, media_type)
    assert pictures.media_type(WHOLE[format]) == media_type


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16", "CMYK"])
def test_every_mode_gets_a_thumbnail(mode: str) -> None:
    format = "JPEG" if mode == "CMYK" else "PNG"
    if mode == "I;16":
        data = picture_files.encoded(format, (100, 50), "L")
        image = picture_files.opened(data).convert("I").convert("I;16")
        data = picture_files.saved(image)
    else:
        data = picture_files.encoded(format, (100, 50), mode)
    assert picture_files.opened(pictures.thumbnail(data, 64)).size == (64, 32)


def test_what_is_transparent_stays_so_and_a_small_picture_is_not_enlarged() -> None:
    clear = picture_files.saved(Image.new("RGBA", (20, 20), (255, 0, 0, 0)))
    made = picture_files.opened(pictures.thumbnail(clear, 64))
    assert made.size == (20, 20) and made.convert("RGBA").getpixel((10, 10))[3] == 0  # type: ignore[index]


def test_a_thumbnail_is_turned_as_the_camera_was() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    data = picture_files.encoded("JPEG", (100, 50), exif=turned)
    assert picture_files.opened(pictures.thumbnail(data, 64)).size == (32, 64)


@pytest.mark.parametrize(
    "data", [b"", b"abc", b"GIF89a" + b"\0" * 50, b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_other_bytes_are_no_picture(data: bytes) -> None:
    assert pictures.media_type(data) == "application/octet-stream"
    with pytest.raises(AlphaloomError, match="PNG, JPEG or WebP") as caught:
        pictures.check(data)
    assert caught.value.code == "bad_picture"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_half_a_picture_is_refused(format: str, part: float) -> None:
    data = WHOLE[format][: int(len(WHOLE[format]) * part)]
    for check in (pictures.check, lambda data: pictures.thumbnail(data, 64)):
        with pytest.raises(AlphaloomError) as caught:
            check(data)
        assert caught.value.code == "bad_picture"


@pytest.mark.parametrize(
    "data",
    [huge_png(5000), huge_png(12_000), huge_png(2**31 - 1), HUGE_JPEG, HUGE_WEBP_EXTENDED, HUGE_WEBP_LOSSLESS, HUGE_WEBP_LOSSY],
    ids=["png5k", "png12k", "png2g", "jpeg", "webp-extended", "webp-lossless", "webp-lossy"],
)
def test_a_small_file_that_says_it_is_huge_is_refused_before_it_is_decoded(
    data: bytes, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(pictures, "_decode", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(AlphaloomError, match=r"pixels.*the most") as caught:
        pictures.check(data)
    assert caught.value.code == "bad_picture"
    with pytest.raises(AlphaloomError, match=r"pixels.*the most"):
        pictures.thumbnail(data, 64)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMATS), st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=4))
def test_damaged_pictures_are_taken_or_refused_and_nothing_else(format: str, damages: list[tuple[float, bytes]]) -> None:
    damaged = bytearray(WHOLE[format])
    for place, damage in damages:
        start = int(place * (len(damaged) - 1))
        damaged[start : start + len(damage)] = damage
    for check in (pictures.check, lambda data: pictures.thumbnail(data, 64)):
        try:
            check(bytes(damaged))
        except AlphaloomError as error:
            assert error.code == "bad_picture"
