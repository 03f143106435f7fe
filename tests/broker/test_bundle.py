"""A map as one file, and files that only look like one."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from picture_files import png

from broker import bundle
from broker.bundle import Bundle, Content
from broker.rooms import Room
from protocol import check, edits, wire
from protocol.errors import AlphaloomError
from protocol.model import Job, Link, Map, Modulation, Node, Phrase, ResolvedRequest

ONE, TWO = png(), png(grey=7)
FIRST, SECOND = (hashlib.sha256(data).hexdigest() for data in (ONE, TWO))
BLOBS = {FIRST: ONE, SECOND: TWO}
MIB = 1 << 20

MADE = Job(
    *("j", "a", "done"), person="ann", resolved=ResolvedRequest("txt2img", (Phrase("moss"),), "", 64, 64, 2, 4.0, 1.0, 0),
    picture=FIRST, modulation=Modulation(1.0, ("Muse",), ()),
)  # fmt: skip
NODES = {node.id: node for node in (Node("a", "moss ☃", picture=FIRST), Node("b", task="img2img", source=SECOND), Node("c"))}
LINKS = {"l2": Link("l2", "c", "b", order=1), "l1": Link("l1", "a", "b", order=2)}
MAP = Map(NODES, LINKS, 9)


def read(blob: str) -> bytes:
    if blob not in BLOBS:
        raise AlphaloomError("unknown_blob", "gone")
    return BLOBS[blob]


def packed(content: Content) -> io.BytesIO:
    file = io.BytesIO()
    bundle.pack(file, content, read)
    return file


def opened(file: io.BytesIO, max_bytes: int = MIB, max_picture: int = MIB) -> Bundle:
    file.seek(0)
    return Bundle(file, max_bytes, max_picture)


def test_what_is_packed_comes_out_again() -> None:
    content = bundle.content("A garden", MAP, [MADE], with_eeg=True)
    found = opened(packed(content))
    assert found.content == content and found.pictures == {FIRST, SECOND}
    assert found.picture(FIRST) == ONE and found.picture(SECOND) == TWO
    assert [link.id for link in found.content.links] == ["l2", "l1"], "a child's parents keep their order"


def test_the_file_is_a_zip_that_people_can_look_into_and_the_same_each_time() -> None:
    file = packed(bundle.content("A garden", MAP, [MADE], with_eeg=False))
    with zipfile.ZipFile(file) as archive:
        assert set(archive.namelist()) == {"map.json", f"pictures/{FIRST}", f"pictures/{SECOND}"}
        body = json.loads(archive.read("map.json"))
    assert body["alphaloom"] == bundle.FORMAT and body["title"] == "A garden"
    assert packed(bundle.content("A garden", MAP, [MADE], with_eeg=False)).getvalue() == file.getvalue()


def test_the_eeg_is_personal_and_goes_along_only_when_it_is_asked_for() -> None:
    assert b"Muse" not in zipfile.ZipFile(packed(bundle.content("", MAP, [MADE], with_eeg=False))).read("map.json")
    assert b"Muse" in zipfile.ZipFile(packed(bundle.content("", MAP, [MADE], with_eeg=True))).read("map.json")


def test_a_picture_that_is_gone_is_left_out_with_what_speaks_of_it() -> None:
    gone = "0" * 64
    nodes = {"a": Node("a", picture=gone), "b": Node("b", picture=SECOND, mask=gone)}
    job = wire.build(Job, wire.plain(MADE) | {"picture": gone})
    found = opened(packed(bundle.content("", Map(nodes), [job], with_eeg=False)))
    assert found.content.nodes == (Node("a"), Node("b", picture=SECOND)) and found.content.made == ()


def test_ids_stay_where_they_are_free_and_links_follow_those_that_do_not() -> None:
    content = bundle.content("", MAP, [MADE], with_eeg=False)
    same, chunks = bundle.fit(content, Map(), set())
    assert same == content
    room = Room("r")
    for number, chunk in enumerate(chunks):
        room.edit("ann", f"e{number}", chunk, 0.0)
    assert room.map.nodes == NODES and {(e.id, e.parent, e.child) for e in room.map.links.values()} == {
        ("l1", "a", "b"), ("l2", "c", "b"),
    }  # fmt: skip
    assert [parent.id for parent in room.map.parents("b", "prompt")] == ["c", "a"]
    other, chunks = bundle.fit(content, room.map, {"a", "b", "l1", "x"})
    a, b, c = (node.id for node in other.nodes)
    assert c == "c" and len({a, b} | NODES.keys()) == 5
    assert {(link.parent, link.child) for link in other.links} == {(c, b), (a, b)} and other.made[0].node == a


def test_a_large_map_is_brought_in_piece_by_piece() -> None:
    nodes = tuple(Node(f"n{number}") for number in range(2 * bundle.CHUNK + 1))
    _, chunks = bundle.fit(Content("", nodes, ()), Map(), set())
    assert [len(chunk) for chunk in chunks] == [bundle.CHUNK, bundle.CHUNK, 1]


@pytest.mark.parametrize(
    ("links", "code"),
    [
        ((Link("x", "a", "b"), Link("y", "b", "a")), "cycle"),
        ((Link("x", "a", "c", "image"), Link("y", "b", "c", "image")), "too_many_parents"),
    ],
)
def test_what_the_map_cannot_take_is_refused_before_anything_is_changed(links: tuple[Link, ...], code: str) -> None:
    with pytest.raises(AlphaloomError) as refused:
        bundle.fit(Content("", tuple(NODES.values()), links), Map(), set())
    assert refused.value.code == code


def test_a_map_that_would_be_too_full_is_refused() -> None:
    there = Map({f"n{number}": Node(f"n{number}") for number in range(check.MAX_NODES)})
    with pytest.raises(AlphaloomError) as refused:
        bundle.fit(Content("", (Node("more"),), ()), there, set())
    assert refused.value.code == "map_full"


# -- what comes from outside --


def body(**more: Any) -> dict[str, Any]:
    return {"alphaloom": 1, "title": "", "nodes": [{"id": "a", "picture": FIRST}], "links": [], "made": []} | more


def zipped(map_json: Any = None, entries: dict[str, bytes] | None = None, pack: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", pack) as archive:
        if map_json is not None:
            archive.writestr("map.json", map_json if isinstance(map_json, bytes | str) else json.dumps(map_json))
        for name, data in (entries if entries is not None else {f"pictures/{FIRST}": ONE}).items():
            archive.writestr(name, data)
    return file


def twice() -> io.BytesIO:
    file = zipped(body())
    with pytest.warns(UserWarning), zipfile.ZipFile(file, "a") as archive:
        archive.writestr("map.json", "{}")
    return file


def changed(file: io.BytesIO, at: bytes, to: bytes) -> io.BytesIO:
    data = file.getvalue()
    assert at in data
    return io.BytesIO(data.replace(at, to))


def lying(file: io.BytesIO) -> io.BytesIO:
    """The directory says that a picture is shorter than it is."""
    data = bytearray(file.getvalue())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (5).to_bytes(4, "little")
    return io.BytesIO(bytes(data))


def encrypted(file: io.BytesIO) -> io.BytesIO:
    data = bytearray(file.getvalue())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return io.BytesIO(bytes(data))


BAD: dict[str, tuple[Callable[[], io.BytesIO], str]] = {
    "nothing": (lambda: io.BytesIO(), "no zip"),
    "no zip": (lambda: io.BytesIO(b"PK\x03\x04 rubbish" * 9), "no zip"),
    "cut short": (lambda: io.BytesIO(zipped(body()).getvalue()[:-30]), "no zip"),
    "no map": (lambda: zipped(None), "map.json is not in it"),
    "a way out": (lambda: zipped(body(), {"../evil": b"x"}), "does not belong"),
    "an absolute path": (lambda: zipped(body(), {"/etc/passwd": b"x"}), "does not belong"),
    "another drive": (lambda: zipped(body(), {"C:\\x": b"x"}), "does not belong"),
    "a folder": (lambda: zipped(body(), {"pictures/": b""}), "does not belong"),
    "upper case": (lambda: zipped(body(), {f"pictures/{FIRST.upper()}": ONE}), "does not belong"),
    "two of one name": (twice, "one name"),
    "a bomb": (lambda: zipped(body(), {f"pictures/{FIRST}": bytes(2 * MIB)}), "unpacked"),
    "a picture too large": (lambda: zipped(body(), {f"pictures/{FIRST}": bytes(MIB - 2000)}), "the most is"),
    "another packing": (lambda: zipped(body(), pack=zipfile.ZIP_LZMA), "not usual"),
    "encrypted": (lambda: encrypted(zipped(body())), "encrypted"),
    "no JSON": (lambda: zipped(b"{"), "no JSON"),
    "deep JSON": (lambda: zipped("[" * 100_000), "no JSON"),
    "a list": (lambda: zipped([]), "format"),
    "a title that is none": (lambda: zipped(body(title=["x"])), "title"),
    "no format": (lambda: zipped({"nodes": []}), "format"),
    "a newer format": (lambda: zipped(body(alphaloom=2)), "update"),
    "nodes that are none": (lambda: zipped(body(nodes={})), "no list"),
    "a node that is none": (lambda: zipped(body(nodes=[1])), "a node"),
    "a node's bad field": (lambda: zipped(body(nodes=[{"id": "a", "settings": {"width": 63}}])), "width"),
    "a node without end": (lambda: zipped(body(nodes=[{"id": "a", "x": float("inf")}])), "x is inf"),
    "a bad id": (lambda: zipped(body(nodes=[{"id": "../a"}])), "is no id"),
    "two nodes of one id": (lambda: zipped(body(nodes=[{"id": "a"}, {"id": "a"}])), "one id"),
    "too many nodes": (lambda: zipped(body(nodes=[{"id": "a"}] * (check.MAX_NODES + 1))), "nodes; the most is"),
    "a link to nowhere": (lambda: zipped(body(links=[{"id": "l", "parent": "a", "child": "b"}])), "end"),
    "a picture's bad name": (lambda: zipped(body(nodes=[{"id": "a", "picture": "../x"}])), "SHA-256"),
    "a job of another picture": (lambda: zipped(body(made=[wire.plain(MADE) | {"picture": SECOND}])), "has not made"),
    "a job that made nothing": (lambda: zipped(body(made=[{"id": "j", "node": "a", "picture": FIRST}])), "has not made"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_is_refused_with_the_reason(name: str) -> None:
    make, words = BAD[name]
    with pytest.raises(AlphaloomError) as refused:
        opened(make(), max_picture=MIB // 2)
    assert refused.value.code == "bad_bundle" and words in refused.value.message


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: zipped(body(), {f"pictures/{FIRST}": TWO}), "another content"),
        (lambda: changed(zipped(body(), pack=zipfile.ZIP_STORED), ONE[-20:], bytes(20)), "cannot be unpacked"),
        (lambda: lying(zipped(body(), pack=zipfile.ZIP_STORED)), ""),
    ],
    ids=["another content", "torn", "lying"],
)
def test_a_picture_that_is_not_what_its_name_says_is_refused(make: Callable[[], io.BytesIO], words: str) -> None:
    with pytest.raises(AlphaloomError) as refused:
        opened(make()).picture(FIRST)
    assert refused.value.code == "bad_bundle" and words in refused.value.message


def test_what_is_unknown_in_a_file_is_left_out() -> None:
    found = opened(zipped(body(later={"x": 1}, nodes=[{"id": "a", "later": 1}]), {}))
    assert found.content.nodes == (Node("a"),)


def test_edits_of_a_bundle_are_creations() -> None:
    _, ((change,),) = bundle.fit(Content("", (Node("a", "moss"),), ()), Map(), set())
    assert change == edits.create(Node("a", "moss"))
