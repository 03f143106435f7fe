"""One file after the other, from where a plan says: continued where it stopped, and nothing that is not as it was promised.

A part is continued with Range and If-Range; whatever a server makes of that, the checksum has the last word.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from protocol.errors import AlphaloomError
from protocol.manifest import Entry, File

from .hub import Plan, Remote, begun, refusal, unreachable
from .network import Network

TRIES = 5
"""Without a byte between them, before a source counts as unreachable."""
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")

Progress = Callable[[int, int], None]
"""Called with (bytes that are here, bytes in all)."""


class Stopped(Exception):
    """Nobody waits for the pull any longer. What has come stays."""


class _Again(Exception):
    """The part cannot be continued; from the beginning."""


class _BadSize(Exception):
    """It is another file than the one that was to come."""


class _Passing(Exception):
    """The source does not answer now."""


class Fetch:
    """One run through the files of a plan, into a folder."""

    def __init__(
        self,
        entry: Entry,
        plan: Plan,
        folder: Path,
        network: Network,
        progress: Progress,
        stop: threading.Event,
        pause: float,
    ):
        self._entry, self._plan, self._folder, self._network = entry, plan, folder, network
        self._progress, self._stop, self._pause = progress, stop, pause
        self._done = 0

    def run(self) -> tuple[File, ...]:
        """What has come, each file with its SHA-256.

        Raises Stopped, OSError, or AlphaloomError `unreachable_model`, `bad_host`, `bad_checksum` or `bad_size`.
        """
        made = []
        for file in self._plan.files:
            made.append(File(file.path, self._file(file), file.size))
            self._done += file.size
            self._told(0)
        return tuple(made)

    def _file(self, file: Remote) -> str:
        """Its SHA-256, when it is in its place."""
        target = self._folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            sums = _Sums(file).read(target)
            if sums.are_right:
                return sums.sha256
            target.unlink()
        tries, again = 0, False
        while True:
            before = size_of(part_of(target, file))
            try:
                return self._receive(file, target)
            except _Again:
                _forget(target, file)
                if again:
                    raise unreachable(self._entry, f"{file.path!r} comes as something else each time") from None
                again = True
            except _BadSize as problem:
                _forget(target, file)
                raise AlphaloomError(
                    "bad_size", f"{file.path!r} of {self._entry.id!r} is not what was promised: {problem}.", id=self._entry.id
                ) from None
            except (httpx.TransportError, _Passing) as problem:
                tries = tries + 1 if size_of(part_of(target, file)) <= before else 0
                if tries >= TRIES:
                    raise unreachable(self._entry, str(problem) or type(problem).__name__) from None
                self._stop.wait(self._pause * 2**tries)
            if self._stop.is_set():
                raise Stopped

    def _receive(self, file: Remote, target: Path) -> str:
        part, tag = part_of(target, file), tag_of(target, file)
        if size_of(part) > file.size:
            part.unlink()
        sums = _Sums(file)
        if begun := part.exists() and size_of(part):
            sums.read(part)
        if sums.size < file.size:
            sums = self._ask(file, part, tag, sums)
        if not part.exists():
            part.touch()
        if not sums.are_right:
            _forget(target, file)
            if begun:  # what was continued may have been another version
                raise _Again
            raise AlphaloomError(
                "bad_checksum",
                f"{file.path!r} of {self._entry.id!r} came with sha256 {sums.sha256}; "
                f"{file.sha256 or file.git} was to come. It was thrown away.",
                id=self._entry.id,
            )
        os.replace(part, target)
        tag.unlink(missing_ok=True)
        return sums.sha256

    def _ask(self, file: Remote, part: Path, tag: Path, sums: _Sums) -> _Sums:
        """The rest of a file, behind what is here, or all of it."""
        headers, kept = {}, ""
        if sums.size:
            headers["Range"] = f"bytes={sums.size}-"
            if kept := _text(tag):
                headers["If-Range"] = kept
        with self._network.get(file.url, headers, self._plan.secret) as answer:
            etag = answer.headers.get("ETag", "")
            if answer.status_code == 206 and sums.size:
                if not _continues(answer, sums.size, file.size) or (kept and etag and etag != kept):
                    raise _Again
            elif answer.status_code == 200:
                sums = _Sums(file)
                part.write_bytes(b"")
                _keep(tag, etag)
            elif answer.status_code == 416 and sums.size:
                raise _Again
            elif answer.status_code in (408, 425, 429) or answer.status_code >= 500:
                raise _Passing(f"{answer.url.host} answers {answer.status_code}")
            else:
                raise refusal(self._entry, answer, bool(self._plan.secret))
            _check_length(answer, file.size - sums.size)
            self._save(answer, file, part, sums)
        if sums.size < file.size:
            raise _Passing(f"{answer.url.host} ended {file.path!r} after {sums.size} of {file.size} bytes")
        return sums

    def _save(self, answer: httpx.Response, file: Remote, part: Path, sums: _Sums) -> None:
        with open(part, "ab", buffering=0) as out:
            for chunk in answer.iter_raw():  # as it comes: what waited to be a larger piece would be lost with us
                if self._stop.is_set():
                    raise Stopped
                if sums.size + len(chunk) > file.size:
                    raise _BadSize(f"more than its {file.size} bytes come")
                written = 0
                while written < len(chunk):
                    written += out.write(chunk[written:])
                sums.update(chunk)
                self._told(sums.size)
            os.fsync(out.fileno())

    def _told(self, of_this_file: int) -> None:
        self._progress(self._done + of_this_file, self._plan.size)


class _Sums:
    """Of the bytes of a file that are here."""

    def __init__(self, file: Remote):
        self._file, self.size = file, 0
        self._sha256 = hashlib.sha256()
        self._git: Any = begun(file.size, len(file.git)) if file.git else None

    def update(self, data: bytes) -> None:
        self.size += len(data)
        self._sha256.update(data)
        if self._git:
            self._git.update(data)

    def read(self, path: Path) -> _Sums:
        with open(path, "rb") as data:
            while chunk := data.read(1 << 20):
                self.update(chunk)
        return self

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def are_right(self) -> bool:
        file = self._file
        by_git = self._git is None or self._git.hexdigest() == file.git
        known = bool(file.sha256 or file.git)
        return known and self.size == file.size and file.sha256 in ("", self.sha256) and by_git


def _check_length(answer: httpx.Response, expected: int) -> None:
    length = answer.headers.get("Content-Length", "")
    if answer.headers.get("Content-Encoding", "identity") != "identity" or (length and length != str(expected)):
        raise _BadSize(f"{length or 'packed'} bytes are to come, and {expected} are missing")


def _continues(answer: httpx.Response, start: int, size: int) -> bool:
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return bool(found) and int(found[1]) == start and found[3] in (str(size), "*")  # type: ignore[index]


def part_of(target: Path, file: Remote) -> Path:
    """Named by what it shall become: the beginning of another version is none of this one."""
    return target.with_name(f"{target.name}.{(file.sha256 or file.git)[:16]}.part")


def tag_of(target: Path, file: Remote) -> Path:
    """Where the ETag stands that the part was begun with."""
    return target.with_name(f"{target.name}.{(file.sha256 or file.git)[:16]}.etag")


def _forget(target: Path, file: Remote) -> None:
    part_of(target, file).unlink(missing_ok=True)
    tag_of(target, file).unlink(missing_ok=True)


def _keep(tag: Path, etag: str) -> None:
    """A weak one says nothing about bytes."""
    if etag and not etag.startswith("W/"):
        tag.write_text(etag, encoding="latin-1")
    else:
        tag.unlink(missing_ok=True)


def _text(tag: Path) -> str:
    try:
        return tag.read_text(encoding="latin-1")
    except OSError:
        return ""


def size_of(path: Path) -> int:
    """-1: it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return -1
