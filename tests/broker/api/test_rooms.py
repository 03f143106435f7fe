"""Maps over HTTP: whoever changes one is answered when it is on disk."""

import time
from typing import Any

import httpx
import pytest
from peers import joined
from serving import Served

from protocol import edits, wire
from protocol import messages as m
from protocol.model import Change, Feature, Frame, Link, Map, Node, Operation, Rule
from signals import patch_files

ROOM = "/v1/rooms/main"


async def edit(broker: Served, id: str, *what: Change | Node | Link, room: str = ROOM, **more: Any) -> httpx.Response:
    changes = [wire.plain(one if isinstance(one, Change) else edits.create(one)) for one in what]
    return await broker.http.post(f"{room}/edits", json={"id": id, "changes": changes}, **more)


async def the_map(broker: Served, room: str = ROOM) -> Map:
    found: Map = wire.build(Map, (await broker.http.get(f"{room}/map")).json())
    return found


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_map_is_made_renamed_listed_and_deleted(broker: Served) -> None:
    made = await broker.http.post("/v1/rooms", json={"id": "garden", "title": "A garden"})
    assert made.status_code == 201 and made.json()["title"] == "A garden" and made.json()["revision"] == 0
    assert problem(await broker.http.post("/v1/rooms", json={"id": "garden"})) == (409, "room_exists")
    assert problem(await broker.http.post("/v1/rooms", json={"id": "no good"})) == (422, "invalid_request")
    assert (await broker.http.patch("/v1/rooms/garden", json={"title": "Moss"})).json()["title"] == "Moss"
    assert [room["id"] for room in (await broker.http.get("/v1/rooms")).json()] == ["main", "garden"]
    assert (await broker.http.delete("/v1/rooms/garden")).status_code == 204
    assert problem(await broker.http.get("/v1/rooms/garden")) == (404, "unknown_room")
    assert problem(await broker.http.delete("/v1/rooms/main")) == (409, "main_room")


async def test_an_edit_is_answered_and_heard_by_everybody_in_the_map(broker: Served) -> None:
    async with joined(broker.ws) as peer:
        await peer.hear(m.Snapshot)
        answer = await edit(broker, "e1", Node("a", "moss"), Node("b"), Link("l", "a", "b"))
        told = (await peer.hear(m.Edited)).operation
    assert answer.status_code == 200 and wire.build(Operation, answer.json()) == told
    found = await the_map(broker)
    assert found.nodes["a"] == Node("a", "moss") and found.links["l"].child == "b" and found.revision == 1
    view = (await broker.http.get(ROOM)).json()
    assert (view["nodes"], view["links"], view["revision"]) == (2, 1, 1)


async def test_an_edit_that_is_sent_again_is_done_once_and_one_that_cannot_be_changes_nothing(broker: Served) -> None:
    first = await edit(broker, "e1", Node("a"))
    assert (await edit(broker, "e1", Node("a"))).json() == first.json()
    assert problem(await edit(broker, "e2", Node("b"), Change("update", "node", "nowhere", {"x": 1}))) == (404, "unknown_node")
    assert problem(await edit(broker, "e3", Change("update", "node", "a", {"x": 1e99}))) == (422, "bad_value")
    assert problem(await edit(broker, "e4", Change("update", "node", "a", {"y": "x"}))) == (422, "bad_value")
    assert problem(await edit(broker, "e5", Node("a"), room="/v1/rooms/nowhere")) == (404, "unknown_room")
    assert (await the_map(broker)).revision == 1


async def test_what_was_missed_is_answered_by_revision(broker: Served) -> None:
    for number in range(5):
        await edit(broker, f"e{number}", Node(f"n{number}"))
    found = (await broker.http.get(f"{ROOM}/operations", params={"since": 2, "limit": 2})).json()
    assert found["revision"] == 5 and [one["revision"] for one in found["operations"]] == [3, 4]
    assert (await broker.http.get(f"{ROOM}/operations", params={"since": 5})).json()["operations"] == []
    assert (await broker.http.get(f"{ROOM}/operations", params={"since": 99})).json()["operations"] == []
    assert len((await broker.http.get(f"{ROOM}/operations")).json()["operations"]) == 5
    broker.hub.room("main").log.popleft()
    assert problem(await broker.http.get(f"{ROOM}/operations")) == (410, "operations_forgotten")
    assert len((await broker.http.get(f"{ROOM}/operations", params={"since": 1})).json()["operations"]) == 4


async def test_ones_own_edits_are_undone_and_redone(broker: Served) -> None:
    await edit(broker, "e1", Node("a", "moss"))
    undone = (await broker.http.post(f"{ROOM}/undo", json={"id": "u1"})).json()
    assert undone["undoes"] == 1 and (await the_map(broker)).nodes == {}
    assert problem(await broker.http.post(f"{ROOM}/undo", json={"id": "u2"})) == (409, "nothing_to_undo")
    assert (await broker.http.post(f"{ROOM}/redo", json={"id": "r1"})).json()["redoes"]
    assert (await the_map(broker)).nodes["a"].prompt == "moss"
    assert problem(await broker.http.post(f"{ROOM}/redo", json={"id": "r2"})) == (409, "nothing_to_redo")


async def test_a_deleted_node_is_listed_until_it_is_restored_or_purged(broker: Served) -> None:
    await edit(broker, "e1", Node("a", "moss"), Node("b"), Node("c"), Link("l", "a", "b"))
    assert problem(await broker.http.post(f"{ROOM}/nodes/a/purge")) == (409, "not_deleted")
    await edit(broker, "e2", Change("delete", "node", "a"))
    await edit(broker, "e3", Change("delete", "node", "c"))
    deleted = (await broker.http.get(f"{ROOM}/deleted")).json()
    assert [(one["node"]["id"], one["revision"]) for one in deleted] == [("c", 3), ("a", 2)]
    await edit(broker, "e4", Change("restore", "node", "a"))
    assert (await the_map(broker)).links["l"].parent == "a"
    assert (await broker.http.post(f"{ROOM}/nodes/c/purge")).status_code == 204
    assert (await broker.http.get(f"{ROOM}/deleted")).json() == []
    assert problem(await broker.http.get(f"{ROOM}/nodes/c/history")) == (404, "unknown_node")


async def test_a_large_map_comes_whole(broker: Served) -> None:
    nodes = [Node(f"n{number}", "ö" * 20) for number in range(1200)]
    for start in range(0, 1200, 400):
        await edit(broker, f"e{start}", *nodes[start : start + 400])
    assert (await the_map(broker)).nodes == {node.id: node for node in nodes}


async def test_an_answer_says_what_is_on_disk(broker: Served) -> None:
    answer = await edit(broker, "e1", Node("a"))
    store = broker.hub.store
    (room,) = (await store.run(store.load)).rooms
    assert [one.operation.id for one in room.log] == ["e1"] and answer.status_code == 200


async def test_people_who_are_in_a_map_are_counted(broker: Served) -> None:
    async with joined(broker.ws) as peer:
        await peer.hear(m.Snapshot)
        assert (await broker.http.get(ROOM)).json()["people"] == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"id": 1}', b'{"id": "e", "changes": 1}', b'{"id": "e", "changes": [{"verb": "x"}]}', b"\xff", b"NaN",
     b'{"id": "\\ud800", "changes": []}', b"[" * 5000, b'{"id": "e", "changes": [' + b"9" * 5000 + b"]}"],
)  # fmt: skip
async def test_what_is_no_edit_is_answered_with_what_is_wrong(broker: Served, body: bytes) -> None:
    answer = await broker.http.post(f"{ROOM}/edits", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422) and set(answer.json()) == {"code", "message", "detail"}


async def test_what_would_be_run_for_a_node_is_answered_and_not_run(broker: Served) -> None:
    await edit(broker, "e1", Node("a", "fire"), Node("b", "ice"), Node("c"))
    await edit(broker, "e2", Link("l", "a", "c", "blend"), Link("k", "b", "c", "blend"))
    path = f"{ROOM}/nodes/c/request"
    found = (await broker.http.get(path)).json()
    assert found["phrases"] == [{"text": "fire", "share": 0.5}, {"text": "ice", "share": 0.5}] and found["seed"] == 0
    other = (await broker.http.get(path, params={"seed": 7, "blend": 0.25, "guidance": 0})).json()
    assert [phrase["share"] for phrase in other["phrases"]] == [0.75, 0.25]
    assert (other["seed"], other["guidance"]) == (7, 0)
    assert (await the_map(broker)).nodes["c"] == Node("c")
    assert (await broker.http.get("/v1/jobs")).json() == []


async def test_what_would_be_run_is_moved_by_the_eeg_where_that_is_asked_for(broker: Served) -> None:
    await edit(broker, "e1", Node("a", "fire"))
    broker.hub.stage.set_patch(patch_files.named((Rule("calm", "guidance", 3.0, slew=2.0),)))
    start = time.time()
    for n in range(50):
        feature = Feature(9.0, 9.0, 1.0, 0.0)
        broker.hub.player.hear(1, Frame(start - 5 + n / 10, {"calm": feature}, "s"), start - 5 + n / 10)
    still, moved = [(await broker.http.get(f"{ROOM}/nodes/a/request", params={"eeg": eeg})).json() for eeg in (False, True)]
    assert still["guidance"] == 4.0 and moved["guidance"] > 4.5
    assert {**moved, "guidance": 4.0} == still


async def test_what_would_be_run_for_a_node_that_cannot_be_made_is_refused(broker: Served) -> None:
    await edit(broker, "e1", Node("a"))
    path = f"{ROOM}/nodes/a/request"
    assert problem(await broker.http.get(path)) == (422, "no_prompt")
    assert problem(await broker.http.get(f"{ROOM}/nodes/nowhere/request")) == (404, "unknown_node")
    for wrong in ({"guidance": "nan"}, {"guidance": 31}, {"seed": -1}, {"blend": 1.01}, {"steps": 0}, {"steps": "many"}):
        assert problem(await broker.http.get(path, params=wrong)) == (422, "invalid_request")
