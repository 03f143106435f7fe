"""Bringing a model onto this machine: resumable, checked, and all of it or nothing.

Design notes
- Files gather in `.pull/NAME`, each as NAME.part until its bytes are checked. Only when all are there is the folder renamed
  to its final name, so a process may be killed at any moment: what is under a final name is whole, and what is not is gone on
  with.
- A lock on the machine's file system keeps two processes from pulling one model; it ends with its process.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock

from protocol.errors import AlphaloomError
from protocol.manifest import Entry, File, parse, plain

from .fetch import Fetch, Progress, Stopped, part_of, size_of, tag_of
from .hub import Hub, Plan, Remote
from .network import Network

log = logging.getLogger("edge")

RECORD = ".alphaloom.json"
SLACK = 64 << 20
"""Bytes that stay free on the disk."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Record:
    """What lies in a pulled model's folder, so that it can be verified where there is no network."""

    entry: Entry
    commit: str
    files: tuple[File, ...]

    def serves(self, entry: Entry) -> bool:
        """Whether it is what a manifest means by this entry."""
        mine, sums = self.entry, {file.path: file.sha256 for file in self.files}
        same = (mine.id, mine.source, mine.revision, mine.variant, mine.kind) == (
            entry.id, entry.source, entry.revision, entry.variant, entry.kind,
        )  # fmt: skip
        return same and all(sums.get(file.path) == (file.sha256 or sums.get(file.path)) for file in entry.files)


def folder_name(name: str) -> str:
    """An id as one folder's; no id has an '@'."""
    return name.replace("/", "@")


def record(folder: Path) -> Record | None:
    """None for a folder that was not pulled."""
    try:
        data = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return Record(parse([data["entry"]])[0], str(data["commit"]), tuple(File(**file) for file in data["files"]))
    except (OSError, ValueError, KeyError, TypeError, AlphaloomError):
        return None


def is_whole(folder: Path, found: Record) -> bool:
    """By sizes; `broken` looks at every byte."""
    return all(size_of(folder / file.path) == file.size for file in found.files)


def broken(folder: Path, found: Record, progress: Progress = lambda done, size: None) -> list[str]:
    """The files that are not what was pulled."""
    size, done, wrong = sum(file.size for file in found.files), 0, []
    for file in found.files:
        if size_of(folder / file.path) != file.size or _sha256(folder / file.path) != file.sha256:
            wrong.append(file.path)
        done += file.size
        progress(done, size)
    return wrong


class Puller:
    """Pulls into one folder of models. `pause` seconds are waited after the first failure, and longer after others."""

    def __init__(self, root: Path, network: Network, hub: Hub, pause: float = 1.0):
        self.root, self._network, self._hub, self._pause = root, network, hub, pause

    def pull(
        self,
        entry: Entry,
        progress: Progress = lambda done, size: None,
        stop: threading.Event | None = None,
        thorough: bool = False,
    ) -> Path:
        """The model's folder. `thorough` looks at every byte of one that is here already, and mends it.

        Raises Stopped, or AlphaloomError: `unreachable_model`, `bad_host`, `bad_checksum`, `bad_size`, `bad_path`, `no_space`,
        `no_model`, `unsafe_model`, `bad_folder`.
        """
        stop = stop or threading.Event()
        with _understood(entry, self.root), self._alone(entry.id, stop):
            final = self.root / folder_name(entry.id)
            found = record(final)
            if found and found.serves(entry) and not (broken(final, found) if thorough else not is_whole(final, found)):
                return final
            if final.exists() and (found is None or found.entry.id != entry.id):
                raise AlphaloomError("bad_folder", f"{str(final)!r} is there and is not {entry.id!r}: move it away.")
            plan = self._hub.plan(entry, self._network)
            staging = self._staging(entry.id)
            _tidy(staging, plan)
            _take_over(staging, final, plan)
            self._check_space(entry, staging, plan)
            made = Fetch(entry, plan, staging, self._network, progress, stop, self._pause).run()
            _write(staging / RECORD, Record(entry, plan.commit, made))
            self._put(staging, final)
            return final

    def remove(self, name: str) -> bool:
        """A model that was pulled, or the beginning of one; whether there was any."""
        with _understood(None, self.root), self._alone(name, threading.Event()):
            final, staging = self.root / folder_name(name), self._staging(name)
            found = [folder for folder in (final, staging) if folder.is_dir()]
            if final in found and record(final) is None:
                raise AlphaloomError("bad_folder", f"{str(final)!r} was not pulled: it is not ours to delete.")
            for folder in found:
                self._throw_away(folder)
            return bool(found)

    def begun(self, name: str) -> int:
        """Bytes of a model that is not all here."""
        return sum(file.stat().st_size for file in self._staging(name).rglob("*") if file.is_file())

    def _staging(self, name: str) -> Path:
        return self.root / ".pull" / folder_name(name)

    @contextlib.contextmanager
    def _alone(self, name: str, stop: threading.Event) -> Iterator[None]:
        """One process at a time works on a model."""
        folder = self.root / ".pull"
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / f"{folder_name(name)}.lock")
        try:
            try:
                lock.acquire(blocking=False)
            except filelock.Timeout:
                log.info("another program is at %s; waiting for it", name)
                lock.acquire(cancel_check=stop.is_set)
        except filelock.Timeout:
            raise Stopped from None
        try:
            for left in folder.glob(".old-*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            lock.release()

    def _check_space(self, entry: Entry, staging: Path, plan: Plan) -> None:
        missing = plan.size - self.begun(entry.id)
        free = shutil.disk_usage(staging).free
        if missing + SLACK > free:
            raise _no_space(entry, self.root, f"{_gb(missing)} are missing of it, and {_gb(free)} are free")

    def _put(self, staging: Path, final: Path) -> None:
        if final.exists():
            self._throw_away(final, later=True)
        os.rename(staging, final)
        _sync(self.root)
        for left in (self.root / ".pull").glob(".old-*"):
            shutil.rmtree(left, ignore_errors=True)

    def _throw_away(self, folder: Path, later: bool = False) -> None:
        """At once out of the way, then file by file: half a model is never seen."""
        old = self.root / ".pull" / f".old-{uuid.uuid4().hex}"
        os.rename(folder, old)
        if not later:
            shutil.rmtree(old, ignore_errors=True)


def _tidy(staging: Path, plan: Plan) -> None:
    """Away with what does not belong to the plan."""
    staging.mkdir(parents=True, exist_ok=True)
    wanted = {made for file in plan.files for made in _names(staging / file.path, file)}
    for found in list(staging.rglob("*")):
        if not found.is_dir() and found not in wanted:
            found.unlink()


def _names(target: Path, file: Remote) -> tuple[Path, ...]:
    return target, part_of(target, file), tag_of(target, file)


def _take_over(staging: Path, final: Path, plan: Plan) -> None:
    """What an older or a broken copy has of it need not be fetched again; it is checked like all that lies there."""
    for file in plan.files:
        old, new = final / file.path, staging / file.path
        if not new.exists() and size_of(old) == file.size:
            new.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(old, new)
            except OSError:
                shutil.copyfile(old, new)


def _write(path: Path, made: Record) -> None:
    data = {"entry": plain(made.entry), "commit": made.commit, "files": [vars(file) for file in made.files]}
    with open(path, "w", encoding="utf-8") as out:
        json.dump(data, out, indent=1)
        out.flush()
        os.fsync(out.fileno())


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError:
        return ""


def _sync(folder: Path) -> None:
    """A rename outlives a power failure; Windows has no such call, and needs none."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _understood(entry: Entry | None, root: Path) -> Iterator[None]:
    """What the disk says, in our words."""
    try:
        yield
    except OSError as problem:
        if problem.errno in _FULL and entry is not None:
            raise _no_space(entry, root, str(problem.strerror)) from None
        raise AlphaloomError(
            "bad_folder", f"The models' folder {str(root)!r} cannot be used: {problem.strerror or problem}.", folder=str(root)
        ) from None


def _no_space(entry: Entry, root: Path, reason: str) -> AlphaloomError:
    return AlphaloomError(
        "no_space",
        f"{entry.id!r} does not fit on the disk of {str(root)!r}: {reason}. What has come is kept; make room and pull it "
        "again, or give another folder with --folder.",
        id=entry.id,
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
