import json
from pathlib import Path

import pytest

from broker.store import Store
from protocol import wire
from protocol.errors import AlphaloomError
from protocol.model import Job, Link, Map, Modulation, Move, Node, Rule, Settings


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


def test_the_eeg_behind_a_job_is_kept(tmp_path: Path) -> None:
    job = Job("j", "n", "done", modulation=Modulation(2.0, ("headset",), (Move("alpha", 0.5, 2.0, "blend", 0.0, 1.0),), True))
    store = Store(tmp_path)
    store.put_job(job)
    assert store.job("j") == job


def test_what_the_first_version_stored_of_eeg_is_left_out_and_the_rest_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.change(1, put=(Node("a", "x"),), rules=(Rule("alpha", "blend", 0.1),))
    old = {"frame": {"time": 1.0, "features": {"alpha": 0.5}, "stream": "s"}, "moves": [{"parameter": "blend"}]}
    for name, state in (("j1", "queued"), ("j2", "done")):
        store.put_job(Job(name, "a", state, picture="blob"))
    with store._engine.begin() as db:
        rules = [{"feature": "alpha", "parameter": "blend", "amount": 0.1, "low": 0.1, "high": 0.6}]
        db.exec_driver_sql("UPDATE facts SET value = ? WHERE name = 'patch'", (json.dumps(rules),))
        for name in ("j1", "j2"):
            body = wire.plain(store.job(name)) | {"modulation": old}
            db.exec_driver_sql("UPDATE jobs SET body = ? WHERE id = ?", (json.dumps(body), name))
    map, found, jobs = store.load()
    assert map.nodes == {"a": Node("a", "x")} and found is None
    assert jobs == [Job("j1", "a", picture="blob")] and store.job("j2") == Job("j2", "a", "done", picture="blob")
    assert [job.id for job in store.pictures()] == ["j2"]


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
