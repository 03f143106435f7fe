import asyncio
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import picture_files
import pytest
from PIL import Image

from broker import store as s
from broker.store import Blobs, pictures
from protocol.errors import AlphaloomError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[Blobs]:
    made = Blobs(tmp_path)
    yield made
    made.close()


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def test_a_blob_is_named_by_its_hash(blobs: Blobs, tmp_path: Path) -> None:
    assert blobs.put(b"abc") == ABC
    assert blobs.get(ABC) == b"abc" and blobs.put(b"abc") == ABC and blobs.has(ABC)
    assert files(tmp_path) == [f"blobs/ba/{ABC}"]
    assert blobs.path(ABC).read_bytes() == b"abc"


@pytest.mark.parametrize("name", ["", "nothing", "a" * 64, "A" * 64, "../alphaloom.sqlite", "\0", f"{ABC}\n", f"ba/{ABC}"])
def test_an_unknown_blob_is_refused(blobs: Blobs, name: str) -> None:
    blobs.put(b"abc")
    for ask in (blobs.get, blobs.path, lambda name: blobs.thumbnail(name, 64)):
        with pytest.raises(AlphaloomError) as caught:
            ask(name)
        assert caught.value.code == "unknown_blob"
    assert not blobs.has(name)


def test_a_file_that_a_power_failure_cut_short_is_written_anew(blobs: Blobs) -> None:
    blobs.put(b"abc")
    blobs.path(ABC).write_bytes(b"")
    blobs.put(b"abc")
    assert blobs.get(ABC) == b"abc"


def test_many_threads_may_put_and_read_the_same(blobs: Blobs, tmp_path: Path) -> None:
    def use(n: int) -> bool:
        data = bytes([n % 3]) * 10_000
        return blobs.get(blobs.put(data)) == data

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(200)))
    assert len(files(tmp_path)) == 3


def test_only_old_parts_of_killed_programs_are_removed_at_the_start(tmp_path: Path) -> None:
    old = [f"blobs/{ABC}.123", "blobs/parts/old"]
    young = [f"blobs/{ABC}.124", "blobs/parts/young"]
    Blobs(tmp_path).close()
    for name in old + young:
        (tmp_path / name).write_bytes(b"torn")
    for name in old:
        age(tmp_path / name, 3600)
    Blobs(tmp_path).close()
    assert files(tmp_path) == sorted(young)


PUTTER = """
import sys
from pathlib import Path
from broker.store import Blobs
blobs = Blobs(Path(sys.argv[1]))
for n in range(10**9):
    blobs.put(b"%d" % n * 100_000)
    print(n, flush=True)
"""


def test_a_program_that_is_killed_leaves_whole_blobs_only(tmp_path: Path) -> None:
    for blobs_until_killed in (1, 4, 9):
        command = [sys.executable, "-c", PUTTER, str(tmp_path)]
        with subprocess.Popen(command, cwd=Path(s.__file__).parents[2], stdout=subprocess.PIPE) as putter:
            assert putter.stdout
            for _ in range(blobs_until_killed):
                assert putter.stdout.readline()
            putter.kill()
        for name in files(tmp_path / "blobs"):
            if not name.startswith("parts/"):
                data = (tmp_path / "blobs" / name).read_bytes()
                assert hashlib.sha256(data).hexdigest() == name.partition("/")[2]


# -- thumbnails --


@pytest.mark.parametrize("side", [64, 128, 256, 512])
def test_a_thumbnail_fits_its_side_and_is_kept(blobs: Blobs, tmp_path: Path, side: int) -> None:
    name = blobs.put(picture_files.encoded("JPEG", (600, 300)))
    made, media_type = blobs.thumbnail(name, side)
    assert media_type == "image/webp" and picture_files.opened(made).size == (side, side // 2)
    assert files(tmp_path / "thumbnails") == [f"{name[:2]}/{name}-{side}.webp"]
    blobs.path(name).unlink()
    assert blobs.thumbnail(name, side) == (made, media_type)


def test_a_thumbnail_that_was_cut_short_is_made_anew(blobs: Blobs, tmp_path: Path) -> None:
    name = blobs.put(picture_files.encoded("PNG", (100, 100)))
    made = blobs.thumbnail(name, 64)
    (tmp_path / "thumbnails" / name[:2] / f"{name}-64.webp").write_bytes(b"")
    assert blobs.thumbnail(name, 64) == made


@pytest.mark.parametrize("side", [0, -64, 63, 1024])
def test_other_sides_are_refused(blobs: Blobs, side: int) -> None:
    name = blobs.put(picture_files.encoded("PNG", (100, 100)))
    with pytest.raises(AlphaloomError, match=f"side {side}") as caught:
        blobs.thumbnail(name, side)
    assert caught.value.code == "bad_value"


def test_what_is_no_picture_has_no_thumbnail(blobs: Blobs, tmp_path: Path) -> None:
    whole = picture_files.encoded("PNG", (200, 200))
    for data in (b"abc", whole[: len(whole) // 2]):
        with pytest.raises(AlphaloomError) as caught:
            blobs.thumbnail(blobs.put(data), 64)
        assert caught.value.code == "bad_picture"
    assert not (tmp_path / "thumbnails").exists()


def test_the_largest_picture_can_be_set(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path, max_pixels=100 * 100)
    assert blobs.check_picture(picture_files.encoded("PNG", (100, 100))).width == 100
    for check in (blobs.check_picture, lambda data: blobs.thumbnail(blobs.put(data), 64)):
        with pytest.raises(AlphaloomError, match="101 × 100"):
            check(picture_files.encoded("PNG", (101, 100)))
    blobs.close()


async def test_a_thumbnail_that_several_ask_for_at_once_is_made_once(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    name, made, go = blobs.put(picture_files.encoded("PNG", (100, 100))), [], threading.Event()

    def slowly(data: bytes, side: int, max_pixels: int) -> bytes:
        made.append(side)
        go.wait(60)
        return b"small"

    monkeypatch.setattr(pictures, "thumbnail", slowly)
    asked = [asyncio.create_task(blobs.small(name, side)) for side in (64, 64, 128, 256, 512, 64)]
    results = [await blobs.run(blobs.put, b"%d" % n) for n in range(20)]
    asked[0].cancel()
    assert len(set(results)) == 20, "results do not wait for thumbnails"
    go.set()
    assert await asyncio.gather(*asked[1:]) == [(b"small", "image/webp")] * 5
    assert sorted(made) == [64, 128, 256, 512]


async def test_a_thumbnail_that_cannot_be_made_is_refused_each_time(blobs: Blobs) -> None:
    for name, side, code in (("0" * 64, 64, "unknown_blob"), (blobs.put(b"abc"), 64, "bad_picture"), (ABC, 63, "bad_value")):
        for _ in range(2):
            with pytest.raises(AlphaloomError) as caught:
                await blobs.small(name, side)
            assert caught.value.code == code


async def test_blobs_have_threads_of_their_own(blobs: Blobs) -> None:
    name = await blobs.run(blobs.put, picture_files.encoded("PNG", (100, 100)))
    data, _ = await blobs.run(blobs.thumbnail, name, 64)
    assert isinstance(picture_files.opened(data), Image.Image)
