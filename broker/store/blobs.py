"""Bytes as files named by their SHA-256, and small versions of those that are pictures."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from protocol.errors import AlphaloomError

from . import pictures

T = TypeVar("T")

_NAME = re.compile(r"[0-9a-f]{64}")
_PARTS = "parts"
_STALE_S = 600.0
"""A part that is older was left by a program that was killed; another program may be writing a younger one."""
_THREADS = 4
_DECODING_THREADS = 2


class Blobs:
    """`blobs/ab/abcd…` and, made when first asked for, `thumbnails/ab/abcd…-256.webp`. Methods may be called on any thread."""

    def __init__(self, folder: Path, max_pixels: int = pictures.MAX_PIXELS):
        self.folder = folder / "blobs"
        self.thumbnails = folder / "thumbnails"
        self.max_pixels = max_pixels
        self._parts = self.folder / _PARTS
        self._parts.mkdir(parents=True, exist_ok=True)
        for number in range(256):  # now, and not when the first picture waits for it
            (self.folder / f"{number:02x}").mkdir(exist_ok=True)
        self._removing = threading.Lock()
        self._going = ""
        """What is being removed."""
        self._asked: dict[str, float] = {}
        """When each was last asked for, by name."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")
        self._decoding = ThreadPoolExecutor(_DECODING_THREADS, thread_name_prefix="pictures")
        self._making: dict[tuple[str, int], asyncio.Task[tuple[bytes, str]]] = {}
        self._tidy()

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """On one of the blobs' threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    async def decode(self, call: Callable[..., T], *arguments: Any) -> T:
        """On a thread for what takes long, so that no result waits for it: decoding, thumbnails."""
        return await asyncio.get_running_loop().run_in_executor(self._decoding, call, *arguments)

    def close(self) -> None:
        self._threads.shutdown()
        self._decoding.shutdown()

    def put(self, data: bytes) -> str:
        """Its name. On disk when this returns, whole or not at all."""
        name = hashlib.sha256(data).hexdigest()
        path = self._place(name)
        with self._removing:
            if _size(path) == len(data):
                os.utime(path)
                return name
        self._write(path, data, durable=True)
        return name

    def get(self, name: str) -> bytes:
        """Raises AlphaloomError `unknown_blob`."""
        try:
            return self._checked(name).read_bytes()
        except FileNotFoundError:
            raise _unknown(name) from None

    def has(self, name: str) -> bool:
        """One look at the file system and never a wait, so the event loop may ask, too.

        Whoever asks may be about to use it, so for a while this program does not collect it.
        """
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            return False
        # In this order, and the other way round where it is removed: either it stays, or it is said to be gone.
        self._asked[name] = time.time()
        if name == self._going:
            return False
        if self._place(name).is_file():
            return True
        self._asked.pop(name, None)
        return False

    def keep(self, name: str) -> bool:
        """As `has`, and no other program collects it for a while either. Not for the event loop."""
        try:
            os.utime(self._checked(name))
        except (FileNotFoundError, AlphaloomError):
            return False
        return True

    def need(self, name: str | None) -> None:
        """Raises AlphaloomError `unknown_blob`; None needs nothing."""
        if name is not None and not self.has(name):
            raise _unknown(name)

    def path(self, name: str) -> Path:
        """Of the file. Raises AlphaloomError `unknown_blob`."""
        path = self._checked(name)
        if not path.is_file():
            raise _unknown(name)
        return path

    def media_type(self, data: bytes) -> str:
        return pictures.media_type(data)

    def check_picture(self, data: bytes) -> pictures.Picture:
        """Raises AlphaloomError `bad_picture`, before decoding where it is too large."""
        return pictures.check(data, self.max_pixels)

    def thumbnail(self, name: str, side: int) -> tuple[bytes, str]:
        """Bytes and media type, at most `side` pixels wide and high.

        Raises AlphaloomError `unknown_blob`, `bad_picture`, and `bad_value` for a side that is not made.
        """
        made = self._made(name, side)
        if not made:
            made = pictures.thumbnail(self.get(name), side, self.max_pixels)
            self._write(self._thumbnail(name, side), made, durable=False)
        return made, pictures.THUMBNAIL_TYPE

    async def small(self, name: str, side: int) -> tuple[bytes, str]:
        """As `thumbnail`, without blocking; who asks for one that is being made waits for the same."""
        key = name, side
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(self._small(name, side))

            def end(task: asyncio.Task[tuple[bytes, str]]) -> None:
                del self._making[key]
                if not task.cancelled():
                    task.exception()  # though everybody who asked may have left

            making.add_done_callback(end)
        return await asyncio.shield(making)

    async def _small(self, name: str, side: int) -> tuple[bytes, str]:
        if made := await self.run(self._made, name, side):
            return made, pictures.THUMBNAIL_TYPE
        return await self.decode(self.thumbnail, name, side)

    def _made(self, name: str, side: int) -> bytes:
        """Empty where it was never made, or was cut short by a power failure."""
        if side not in pictures.SIDES:
            sides = ", ".join(map(str, pictures.SIDES))
            raise AlphaloomError("bad_value", f"Thumbnails of side {side} are not made. Ask for one of {sides}.", side=side)
        self._checked(name)
        try:
            return self._thumbnail(name, side).read_bytes()
        except FileNotFoundError:
            return b""

    # -- for the garbage collection --

    def names(self, prefix: str) -> list[str]:
        """Of the blobs in one of the folders `00` to `ff`."""
        try:
            return [name for name in os.listdir(self.folder / prefix) if _NAME.fullmatch(name)]
        except FileNotFoundError:
            return []

    def remove_unused_since(self, name: str, moment: float) -> int | None:
        """Remove it with its thumbnails. The bytes that it had; None: it was put or asked for since, so it stays."""
        path = self._place(name)
        try:
            with self._removing:
                self._going = name
                try:
                    found = path.stat()
                    if max(found.st_mtime, self._asked.get(name, 0.0)) >= moment:
                        return None
                    path.unlink()
                finally:
                    self._going = ""
        except (FileNotFoundError, PermissionError):  # Windows: somebody reads it; the next time, then
            return None
        for side in pictures.SIDES:
            self._thumbnail(name, side).unlink(missing_ok=True)
        return found.st_size

    def forget_asked_before(self, moment: float) -> None:
        for name, asked in list(self._asked.items()):
            if asked < moment and self._asked.get(name) == asked:
                self._asked.pop(name, None)

    def remove_stale_parts(self) -> None:
        for part in self._parts.iterdir():
            if _age(part) > _STALE_S:
                part.unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Put where they belong what older versions kept in one flat folder; remove what killed programs left."""
        for entry in list(os.scandir(self.folder)):
            if _NAME.fullmatch(entry.name) and entry.is_file():
                target = self._place(entry.name)
                target.parent.mkdir(exist_ok=True)
                os.replace(entry.path, target)
            elif re.fullmatch(r"[0-9a-f]{64}\.[0-9]+", entry.name) and _age(Path(entry.path)) > _STALE_S:
                Path(entry.path).unlink(missing_ok=True)
        self.remove_stale_parts()

    def _place(self, name: str) -> Path:
        return self.folder / name[:2] / name

    def _thumbnail(self, name: str, side: int) -> Path:
        return self.thumbnails / name[:2] / f"{name}-{side}.webp"

    def _checked(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise _unknown(name)
        return self._place(name)

    def _write(self, path: Path, data: bytes, durable: bool) -> None:
        part = self._parts / uuid.uuid4().hex
        try:
            with part.open("xb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                _sync_folder(path.parent.parent)
            _replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        if durable:
            _sync_folder(path.parent)


def _replace(part: Path, path: Path) -> None:
    try:
        part.replace(path)
    except PermissionError:  # Windows: somebody reads the very same bytes under that name
        if not path.is_file():
            raise


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _unknown(name: object) -> AlphaloomError:
    shown = str(name)[:80]
    return AlphaloomError("unknown_blob", f"No blob is called {shown!r}. Upload it with POST /v1/blobs.", blob=shown)
