"""All pictures of the map: in reading order, and as files of one's own."""

from __future__ import annotations

import collections
import functools
from collections.abc import Collection
from pathlib import Path

from . import materials
from .core import png
from .core.shared import errors, model
from .session import session
from .translations import say

MOST_NAME = 48
"""Characters of a file's name."""

_waiting: collections.deque[tuple[str, str, Path]] = collections.deque()
"""Node, blob and folder of each picture that is still to be saved."""
_is_asked = False
_saved: list[Path] = []
_failed: list[str] = []
_read: tuple[model.Map, list[model.Node]] = (model.Map(), [])
"""The map that was read last, in its order."""


def shown(known: model.Map) -> list[model.Node]:
    """The nodes that have a picture, as one reads the map: row by row, from the left."""
    global _read
    if _read[0] is not known:  # a panel asks at each drawing, and maps are large
        found = (node for node in known.nodes.values() if node.picture)
        _read = known, sorted(found, key=lambda node: (-round(node.y), node.x, node.id))
    return _read[1]


def save(folder: Path, idents: Collection[str]) -> int:
    """Write the pictures of these nodes to `folder`, a little at a time; how many. `report` says how far it is.

    Raises AlphaloomError `bad_folder` or `no_picture`.
    """
    if not folder.is_dir():
        raise errors.AlphaloomError("bad_folder", f"{str(folder)!r} is no folder. Choose one, or make it.", folder=str(folder))
    wanted = [node for node in shown(session.mirror.map) if node.id in idents]
    if not wanted:
        raise errors.AlphaloomError("no_picture", "None of these cards has a picture yet. Generate one first.")
    if not _waiting:
        _saved.clear()
        _failed.clear()
    _waiting.extend((node.id, str(node.picture), folder) for node in wanted)
    return len(wanted)


def report() -> str:
    """How far saving is, or what came of it; empty where nothing was to be saved."""
    if not (_waiting or _saved or _failed or _is_asked):
        return ""
    rest = len(_waiting) + _is_asked
    if rest:
        said = [say("{count} saved, {rest} to go").format(count=len(_saved), rest=rest)]
    elif _saved:
        said = [say("{count} saved in {folder}").format(count=len(_saved), folder=_saved[-1].parent)]
    else:
        said = []
    if _failed:
        said.append(say("Not saved: {count} ({reason})").format(count=len(_failed), reason=_failed[0]))
    return ". ".join(said)


def step(_until: float) -> None:
    """Save one picture: as it is in the .blend, or as the broker has it."""
    global _is_asked
    if not _waiting or _is_asked:
        return
    node, blob, folder = _waiting.popleft()
    image = materials.image(materials.PICTURE, node)
    name = _name(node)
    if image is not None and image.get("alphaloom_blob") == blob and image.packed_file is not None:
        _write(folder, name, bytes(image.packed_file.data))
    else:
        _is_asked = True
        session.ask("GET", f"/v1/blobs/{blob}", functools.partial(_hear, folder, name))
    session.news += 1


def _hear(folder: Path, name: str, said: bytes | errors.AlphaloomError) -> None:
    global _is_asked
    _is_asked = False
    if isinstance(said, bytes):
        _write(folder, name, said)
    else:
        _failed.append(said.message)
    session.news += 1


def _write(folder: Path, name: str, data: bytes) -> None:
    number = 1
    while True:
        path = folder / (name + (f"-{number}" if number > 1 else "") + (png.suffix(data) or ".bin"))
        try:
            with path.open("xb") as file:
                file.write(data)
            _saved.append(path)
        except FileExistsError:
            number += 1
            continue
        except OSError as problem:
            _failed.append(str(problem))
        return


def _name(node: str) -> str:
    """A file's name from a node's words: letters and digits of any script."""
    known = session.mirror.map.nodes.get(node)
    prompt = known.prompt if known is not None else ""
    words = "".join(letter if letter.isalnum() else " " for letter in prompt)
    return "-".join(words.split())[:MOST_NAME].strip("-") or f"picture-{node[:8]}"


def _forget() -> None:
    global _is_asked
    if _is_asked or _waiting:
        _failed.extend([say("The connection was closed.")] * (len(_waiting) + _is_asked))
    _waiting.clear()
    _is_asked = False


def register() -> None:
    session.chores.append(step)
    session.ended.append(_forget)


def unregister() -> None:
    session.drop(step)
    session.ended.remove(_forget)
    _forget()
    _saved.clear()
    _failed.clear()
