from pathlib import Path

import pytest

from broker.store import Store
from protocol.errors import AlphaloomError
from protocol.model import Job, Link, Map, Node, Rule, Settings


def test_what_was_stored_is_loaded_by_the_next_store(tmp_path: Path) -> None:
    nodes = (Node("a", "x", settings=Settings(seed=5)), Node("b"))
    store = Store(tmp_path)
    store.change(1, put=(*nodes, Link("l", "a", "b", "image")), rules=(Rule("alpha", "blend", 0.1),))
    for job in (Job("j1", "a"), Job("j2", "a", "done"), Job("j3", "b", "running")):
        store.put_job(job)
    store.close()
    map, rules, jobs = Store(tmp_path).load()
    assert map == Map({n.id: n for n in nodes}, {"l": Link("l", "a", "b", "image")}, 1)
    assert rules == (Rule("alpha", "blend", 0.1),)
    assert [job.id for job in jobs] == ["j1", "j3"]


def test_dropping_a_node_and_its_links(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.change(1, put=(Node("a"), Node("b"), Link("l", "a", "b")))
    store.change(2, drop=("a", "l"))
    assert store.load()[0] == Map({"b": Node("b")}, {}, 2)


def test_links_keep_their_order_when_one_is_put_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.change(1, put=tuple(Link(n, "a", "c", "blend") for n in "xyz"))
    store.change(2, put=(Link("x", "b", "c", "blend"),))
    assert list(store.load()[0].links) == ["x", "y", "z"]


def test_the_newest_picture_of_each_node(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, node, state in (("1", "a", "done"), ("2", "a", "done"), ("3", "b", "done"), ("4", "b", "failed")):
        store.put_job(Job(name, node, state))
    assert sorted(job.id for job in store.pictures()) == ["2", "3"]


def test_a_blob_is_named_by_its_hash(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = store.put_blob(b"abc")
    assert name == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert store.blob(name) == b"abc" and store.put_blob(b"abc") == name


@pytest.mark.parametrize("name", ["", "nothing", "a" * 64, "../alphaloom.sqlite"])
def test_an_unknown_blob_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        Store(tmp_path).blob(name)
    assert caught.value.code == "unknown_blob"


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AlphaloomError, match="--data"):
        Store(tmp_path / "file")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "alphaloom.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(AlphaloomError, match="--data"):
        Store(broken)
