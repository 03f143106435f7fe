"""Maps as files, out of one broker and into another."""

import io
import zipfile
from pathlib import Path

import httpx
import pytest
from picture_files import png
from serving import Served, served

from broker.who import Who
from protocol import edits
from protocol import messages as m
from protocol.model import Change, Link, Node, Phrase, ResolvedRequest

ROOM = "/v1/rooms/main"
ANN = Who("ann", "editor")


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def a_map(broker: Served) -> bytes:
    """A map with two pictures, exported."""
    one, two = [(await broker.http.post("/v1/blobs", content=data)).json()["blob"] for data in (png(), png(grey=9))]
    items = (Node("a", "moss", picture=one), Node("b", task="img2img", source=two), Link("l", "a", "b"))
    broker.hub.edit(ANN, "main", m.Edit("e", tuple(edits.create(item) for item in items)))
    answer = await broker.http.get(f"{ROOM}/export")
    assert answer.headers["content-type"] == "application/zip" and "main" in answer.headers["content-disposition"]
    return answer.content


async def test_a_map_goes_into_another_broker_with_its_pictures(broker: Served, tmp_path: Path) -> None:
    await broker.http.patch(ROOM, json={"title": "A garden"})
    file = await a_map(broker)
    map = broker.hub.room("main").map
    async with served(tmp_path / "other") as other:
        answer = await other.http.post("/v1/rooms/garden/import", content=file)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"room": "garden", "revision": 1, "nodes": 2, "links": 1, "pictures": 2}
        room = other.hub.room("garden")
        assert room.title == "A garden" and room.map.nodes == map.nodes
        for blob in (map.nodes["a"].picture, map.nodes["b"].source):
            assert (await other.http.get(f"/v1/blobs/{blob}")).content == (await broker.http.get(f"/v1/blobs/{blob}")).content
    async with served(tmp_path / "other") as again:
        assert again.hub.room("garden").map.nodes == map.nodes


async def test_how_a_picture_was_made_goes_along_into_the_history(broker: Served) -> None:
    from peers import joined

    request = ResolvedRequest("txt2img", (Phrase("moss"),), "", 64, 64, None, 4.0, 1.0, 0)
    async with joined(broker.ws, "edge", name="e", model="m", max_side=512) as edge:
        node = Node("n", "moss")
        broker.hub.edit(ANN, "main", m.Edit("e", (edits.create(node), Change("update", "node", "n", {"settings.width": 64}),
                                                  Change("update", "node", "n", {"settings.height": 64}))))  # fmt: skip
        await broker.hub.generate(ANN, "main", m.Generate("n", "j"))
        run = await edge.hear(m.Run)
        await edge.say(m.Result("j", run.attempt, run.request, png()))
        await broker.hub.ended("j")
    file = (await broker.http.get(f"{ROOM}/export")).content
    assert (await broker.http.post("/v1/rooms/copy/import", content=file)).status_code == 200
    (made,) = (await broker.http.get("/v1/rooms/copy/nodes/n/history")).json()
    assert made["resolved"]["phrases"] == [{"text": "moss", "share": 1.0}] and made["id"] != "j"
    assert made["resolved"]["model"] == "m" and made["person"] == "local" and request.task == made["resolved"]["task"]
    assert len((await broker.http.get("/v1/rooms/copy/session")).json()["pictures"]) == 1


async def test_what_is_there_already_stays_and_the_import_can_be_undone(broker: Served) -> None:
    file = await a_map(broker)
    before = broker.hub.room("main").map
    answer = await broker.http.post(f"{ROOM}/import", content=file)
    after = broker.hub.room("main").map
    assert answer.json()["nodes"] == 2 and len(after.nodes) == 4 and before.nodes.items() < after.nodes.items()
    await broker.http.post(f"{ROOM}/undo", json={"id": "u"})
    assert broker.hub.room("main").map.nodes == before.nodes


async def test_a_file_that_cannot_be_changes_nothing(broker: Served) -> None:
    file = await a_map(broker)
    other = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file)) as known, zipfile.ZipFile(other, "w") as archive:
        for name in known.namelist():
            archive.writestr(name, known.read(name) if name == "map.json" else b"<svg/>")
    for sent in (b"", b"rubbish", file[:-9], other.getvalue()):
        assert problem(await broker.http.post("/v1/rooms/new/import", content=sent)) == (422, "bad_bundle")
    assert set(broker.hub.rooms) == {"main"} and broker.hub.room("main").map.revision == 1


async def test_a_picture_that_is_neither_in_the_file_nor_here_is_missed(broker: Served, tmp_path: Path) -> None:
    file = await a_map(broker)
    bare = io.BytesIO()
    with zipfile.ZipFile(bare, "w") as archive:
        archive.writestr("map.json", zipfile.ZipFile(io.BytesIO(file)).read("map.json"))
    assert (await broker.http.post("/v1/rooms/new/import", content=bare.getvalue())).status_code == 200
    async with served(tmp_path / "other") as other:
        assert problem(await other.http.post("/v1/rooms/new/import", content=bare.getvalue())) == (422, "bad_bundle")
        assert set(other.hub.rooms) == {"main"}


@pytest.mark.parametrize("room", ["no good", "x" * 65])
async def test_a_room_of_no_name_is_not_made(broker: Served, room: str) -> None:
    assert (await broker.http.post(f"/v1/rooms/{room}/import", content=await a_map(broker))).status_code == 422


async def test_there_is_nothing_to_export_of_a_map_that_is_not_there(broker: Served) -> None:
    assert problem(await broker.http.get("/v1/rooms/nowhere/export")) == (404, "unknown_room")
