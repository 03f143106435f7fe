"""A map with its pictures as one file: a zip with `map.json` and `pictures/SHA256`.

`map.json` has the nodes, the links, how each picture was made, and under `alphaloom` the format's version. What comes from
outside is trusted in nothing: names, sizes, hashes, pictures and every field are checked before anything is changed.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import IO, Any

import pydantic
from pydantic_core import to_json

from protocol import check, edits
from protocol.errors import AlphaloomError
from protocol.model import Change, Job, Link, Map, Node, new_id

from . import shapes
from .rooms import Room
from .store import Stored

FORMAT = 1
MEDIA_TYPE = "application/zip"
MAX_MAP_BYTES = 32 * 1024 * 1024
MAX_LINKS = 200_000
MAX_ENTRIES = 3 * check.MAX_NODES + 1
CHUNK = 250
"""Changes that are made at once when a bundle comes in: others get their turn in between."""

_MAP = "map.json"
_PICTURE = re.compile(r"pictures/([0-9a-f]{64})")
_NODE, _LINK, _JOB = pydantic.TypeAdapter(Node), pydantic.TypeAdapter(Link), pydantic.TypeAdapter(Job)
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED = 0x1
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Content:
    title: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    """In the order in which a child's parents come."""
    made: tuple[Job, ...] = ()
    """How the pictures were made."""

    @property
    def pictures(self) -> set[str]:
        named = (blob for node in self.nodes for blob in (node.source, node.mask, node.depth, node.picture))
        return {blob for blob in named if blob is not None}


def content(title: str, map: Map, made: Iterable[Job], with_eeg: bool) -> Content:
    """What goes into a file. The EEG behind a picture is personal: it goes along only `with_eeg`."""
    shown = [job for job in made if job.node in map.nodes and job.picture == map.nodes[job.node].picture]
    return Content(
        title,
        tuple(map.nodes.values()),
        tuple(sorted(map.links.values(), key=lambda link: (link.order, link.id))),
        tuple(job if with_eeg else replace(job, modulation=None) for job in shown),
    )


def pack(file: IO[bytes], content: Content, read: Callable[[str], bytes]) -> None:
    """Blocks. `read` gets a blob; a picture that is gone is left out, and its node has none."""
    with zipfile.ZipFile(file, "w") as archive:
        gone = set()
        for blob in sorted(content.pictures):
            try:
                data = read(blob)
            except AlphaloomError:
                gone.add(blob)
                continue
            archive.writestr(zipfile.ZipInfo(f"pictures/{blob}", _EPOCH), data)  # pictures are compressed already
        nodes = [_without(node, gone) for node in content.nodes]
        body = {
            "alphaloom": FORMAT,
            "title": content.title,
            "nodes": nodes,
            "links": content.links,
            "made": [job for job in content.made if job.picture not in gone],
        }
        archive.writestr(zipfile.ZipInfo(_MAP, _EPOCH), to_json(body, indent=1), zipfile.ZIP_DEFLATED)


class Bundle:
    """A file from outside. Everything blocks, and raises AlphaloomError `bad_bundle`."""

    def __init__(self, file: IO[bytes], max_bytes: int, max_picture_bytes: int):
        """Names and sizes are checked here, before anything is unpacked."""
        try:
            self._archive = zipfile.ZipFile(file)
        except _BROKEN as problem:
            raise _bad(f"it is no zip file: {str(problem)[:200]}") from None
        entries = self._archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise _bad(f"it has {len(entries)} files; the most is {MAX_ENTRIES}")
        names = [entry.filename for entry in entries]
        if len(set(names)) < len(names):
            raise _bad("two of its files have one name")
        if _MAP not in names:
            raise _bad(f"{_MAP} is not in it")
        total = sum(entry.file_size for entry in entries)
        if total > max_bytes:
            raise _bad(f"unpacked it has {total} bytes; the most is {max_bytes}")
        for entry in entries:
            _check_entry(entry, MAX_MAP_BYTES if entry.filename == _MAP else max_picture_bytes)
        self.pictures = {found[1] for name in names if (found := _PICTURE.fullmatch(name))}
        self.content = _content(self._read(_MAP))

    def picture(self, blob: str) -> bytes:
        data = self._read(f"pictures/{blob}")
        if hashlib.sha256(data).hexdigest() != blob:
            raise _bad(f"the picture {blob[:12]}… has another content than its name says")
        return data

    def _read(self, name: str) -> bytes:
        entry = self._archive.getinfo(name)
        try:
            with self._archive.open(entry) as opened:
                data = opened.read(entry.file_size + 1)
        except _BROKEN as problem:
            raise _bad(f"{name} cannot be unpacked: {str(problem)[:200]}") from None
        if len(data) != entry.file_size:
            raise _bad(f"{name} is not as long as the file says")
        return data


def fit(content: Content, map: Map, taken: Collection[str]) -> tuple[Content, list[list[Change]]]:
    """The content with ids that are free, and the changes that bring it onto a map, so many at a time.

    Blocks. An id stays as it is where it can. Raises AlphaloomError for what the map cannot take; nothing is changed here.
    """
    items: tuple[Node | Link, ...] = (*content.nodes, *content.links)
    names = {item.id: item.id if item.id not in taken else new_id() for item in items}
    nodes = tuple(replace(node, id=names[node.id]) for node in content.nodes)
    links = tuple(
        replace(link, id=names[link.id], parent=names[link.parent], child=names[link.child]) for link in content.links
    )
    made = tuple(replace(job, node=names[job.node]) for job in content.made)
    fitted: tuple[Node | Link, ...] = (*nodes, *links)
    changes = [edits.create(item) for item in fitted]
    chunks = [changes[start : start + CHUNK] for start in range(0, len(changes), CHUNK)]
    _rehearse(map, chunks)
    return replace(content, nodes=nodes, links=links, made=made), chunks


def _rehearse(map: Map, chunks: Iterable[list[Change]]) -> None:
    room = Room("rehearsal")
    there: tuple[Node | Link, ...] = (*map.nodes.values(), *map.links.values())
    room.load(map.revision, [Stored(item) for item in there], ())
    for number, chunk in enumerate(chunks):
        room.edit("", f"rehearsal-{number}", chunk, 0.0)


def _check_entry(entry: zipfile.ZipInfo, limit: int) -> None:
    name = entry.filename
    if name != _MAP and not _PICTURE.fullmatch(name):
        raise _bad(f"{name[:80]!r} does not belong in it: there are only {_MAP} and pictures/SHA256")
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _bad(f"{name} is encrypted, or packed in a way that is not usual")
    if entry.file_size > limit:
        raise _bad(f"{name} has {entry.file_size} bytes unpacked; the most is {limit}")


def _content(data: bytes) -> Content:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise _bad(f"{_MAP} is no JSON: {problem}") from None
    if not isinstance(body, dict) or not isinstance(body.get("alphaloom"), int):
        raise _bad(f"{_MAP} does not say which 'alphaloom' format it is")
    if body["alphaloom"] > FORMAT:
        raise _bad(f"it is of format {body['alphaloom']}, and this broker knows {FORMAT}: update the broker")
    nodes = [_node(one) for one in _list(body, "nodes", check.MAX_NODES)]
    links = [_build(_LINK, one, "a link") for one in _list(body, "links", MAX_LINKS)]
    made = [_build(_JOB, one, "how a picture was made") for one in _list(body, "made", check.MAX_NODES)]
    title = body.get("title", "")
    if not isinstance(title, str):
        raise _bad("its 'title' is no text")
    title = title[:200].encode(errors="replace").decode()  # half a surrogate pair is no text
    found = Content(title, tuple(nodes), tuple(links))
    _check_ids(found)
    pictures = {node.id: node.picture for node in nodes}
    return replace(found, made=tuple(_check_made(job, pictures) for job in made))


def _node(value: Any) -> Node:
    node: Node = _build(_NODE, value, "a node")
    try:
        check.identifier(node.id)
        check.node(node)
    except AlphaloomError as error:
        raise _bad(f"node {node.id[:80]!r}: {error.message}") from None
    return node


def _check_ids(content: Content) -> None:
    for kind, items in (("nodes", content.nodes), ("links", content.links)):
        if len({item.id for item in items}) < len(items):
            raise _bad(f"two of its {kind} have one id")
    nodes = {node.id for node in content.nodes}
    for link in content.links:
        if not {link.parent, link.child} <= nodes:
            raise _bad(f"the link {link.id[:80]!r} has an end that is no node of it")
    for blob in content.pictures:
        if not re.fullmatch("[0-9a-f]{64}", blob):
            raise _bad(f"{blob[:80]!r} is not a picture's SHA-256")


def _check_made(job: Job, pictures: Mapping[str, str | None]) -> Job:
    if job.state != "done" or job.picture is None or job.resolved is None or pictures.get(job.node) != job.picture:
        raise _bad(f"job {job.id[:80]!r} has not made a picture of it")
    try:
        check.request(job.resolved)
    except AlphaloomError as error:
        raise _bad(f"job {job.id[:80]!r}: {error.message}") from None
    return job


def _list(body: dict[str, Any], name: str, most: int) -> list[Any]:
    found = body.get(name, [])
    if not isinstance(found, list):
        raise _bad(f"its {name!r} is no list")
    if len(found) > most:
        raise _bad(f"it has {len(found)} {name}; the most is {most}")
    return found


def _build(adapter: pydantic.TypeAdapter[Any], value: Any, what: str) -> Any:
    try:
        return adapter.validate_python(value)
    except pydantic.ValidationError as problem:
        where, why, got = shapes.first_of(problem)
        raise _bad(f"{what} in it: {where}: {why}, got {repr(got)[:80]}") from None


def _without(node: Node, gone: Collection[str]) -> Node:
    lost = {name: None for name in ("source", "mask", "depth", "picture") if getattr(node, name) in gone}
    return replace(node, **lost) if lost else node  # type: ignore[arg-type]


def _bad(reason: str) -> AlphaloomError:
    return AlphaloomError("bad_bundle", f"This file cannot be imported: {reason}.")
