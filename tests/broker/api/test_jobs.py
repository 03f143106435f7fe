"""Pictures that are asked for over HTTP, made by an edge that speaks the real protocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from peers import Peer, joined
from picture_files import png
from serving import Served

from protocol import edits, wire
from protocol import messages as m
from protocol.model import Job, Node, Phrase, ResolvedRequest, Settings

REQUEST = ResolvedRequest("txt2img", (Phrase("moss"),), "", 64, 64, 2, 4.0, 1.0, 0)


@asynccontextmanager
async def an_edge(broker: Served, **more: Any) -> AsyncIterator[Peer]:
    async with joined(broker.ws, "edge", name="edge-1", model="m", max_side=512, **more) as edge:
        yield edge


async def ask(broker: Served, headers: dict[str, str] | None = None, **what: Any) -> httpx.Response:
    return await broker.http.post("/v1/jobs", json=what, headers=headers)


async def put_node(broker: Served, node: Node) -> None:
    change = wire.plain(edits.create(node))
    answer = await broker.http.post("/v1/rooms/main/edits", json={"id": f"put-{node.id}", "changes": [change]})
    assert answer.status_code == 200


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_nodes_picture_is_asked_for_made_and_kept_in_its_history(broker: Served) -> None:
    await put_node(broker, Node("n", "moss", settings=Settings(64, 64)))
    async with an_edge(broker) as edge:
        answer = await ask(broker, node="n", id="j")
        assert answer.status_code == 201 and answer.json()["id"] == "j"
        run = await edge.hear(m.Run)
        await edge.say(m.Progress("j", 1, 2, run.attempt), m.Result("j", run.attempt, run.request, png()))
        await broker.hub.ended("j")
    job = (await broker.http.get("/v1/jobs/j")).json()
    assert job["state"] == "done" and job["place"] is None and job["progress"] is None
    assert (await broker.http.get(f"/v1/blobs/{job['picture']}")).content == png()
    (shown,) = (await broker.http.get("/v1/rooms/main/nodes/n/history")).json()
    assert wire.build(Job, shown) == wire.build(Job, job)
    (picture,) = (await broker.http.get("/v1/rooms/main/session")).json()["pictures"]
    assert picture["id"] == "j"


async def test_a_picture_without_a_node_is_asked_for_by_its_request(broker: Served) -> None:
    async with an_edge(broker) as edge:
        answer = await ask(broker, request=wire.plain(REQUEST), priority=3)
        job = wire.build(Job, answer.json())
        assert job.node == "" and job.priority == 3 and len(job.id) == 32
        run = await edge.hear(m.Run)
        assert (run.job, run.request.phrases) == (job.id, REQUEST.phrases)


async def test_asking_twice_with_one_id_is_one_job(broker: Served) -> None:
    await put_node(broker, Node("n", "moss"))
    first, second = [await ask(broker, node="n", id="j") for _ in range(2)]
    assert first.json() == second.json() and second.status_code == 201
    assert len((await broker.http.get("/v1/jobs")).json()) == 1


async def test_a_job_says_where_it_stands_and_how_far_it_is(broker: Served) -> None:
    await put_node(broker, Node("n", "moss", settings=Settings(64, 64)))
    async with an_edge(broker) as edge, joined(broker.ws) as peer:
        for id in ("a", "b", "c"):
            await ask(broker, node="n", id=id)
        run = await edge.hear(m.Run)
        await edge.say(m.Progress("a", 1, 2, run.attempt))
        await peer.hear(m.Progress)
        places = [(await broker.http.get(f"/v1/jobs/{id}")).json()["place"] for id in ("a", "b", "c")]
        assert places == [None, {"position": 1, "seconds": None}, {"position": 2, "seconds": None}]
        assert (await broker.http.get("/v1/jobs/a")).json()["progress"] == {"step": 1, "steps": 2}
        await edge.say(m.Pulling("a", run.attempt, "large", 5, 10))
        await peer.hear(m.Pulling)
        assert (await broker.http.get("/v1/jobs/a")).json()["pulling"] == {"model": "large", "received": 5, "size": 10}


async def test_a_job_is_cancelled_and_one_that_has_ended_is_answered_as_it_is(broker: Served) -> None:
    await put_node(broker, Node("n", "moss"))
    await ask(broker, node="n", id="j")
    for _ in range(2):
        answer = await broker.http.delete("/v1/jobs/j")
        assert answer.status_code == 200 and answer.json()["state"] == "cancelled"
    assert problem(await broker.http.delete("/v1/jobs/nowhere")) == (404, "unknown_job")


async def test_jobs_are_listed_newest_first_and_filtered(broker: Served) -> None:
    await broker.http.post("/v1/rooms", json={"id": "attic"})
    await put_node(broker, Node("n", "moss"))
    for id in ("a", "b", "c"):
        await ask(broker, node="n", id=id)
    await ask(broker, request=wire.plain(REQUEST), id="d", room="attic")
    await broker.http.delete("/v1/jobs/b")

    async def listed(**how: Any) -> list[str]:
        return [job["id"] for job in (await broker.http.get("/v1/jobs", params=how)).json()]

    assert await listed() == ["d", "c", "b", "a"]
    assert await listed(state="cancelled") == ["b"] and await listed(room="attic") == ["d"]
    assert await listed(limit=2) == ["d", "c"] and await listed(before="c") == ["b", "a"]
    assert await listed(person="somebody") == []
    assert problem(await broker.http.get("/v1/jobs", params={"before": "nowhere"})) == (404, "unknown_job")
    assert problem(await broker.http.get("/v1/jobs", params={"state": "lost"})) == (422, "invalid_request")


async def test_what_cannot_be_asked_for_is_refused(broker: Served) -> None:
    await put_node(broker, Node("n", "moss"))
    refused = [
        ({"node": "nowhere"}, 404, "unknown_node"),
        ({"node": "n", "room": "nowhere"}, 404, "unknown_room"),
        ({"node": "n", "id": "no good"}, 422, "bad_id"),
        ({"node": "n", "priority": 99}, 422, "bad_value"),
        ({"request": wire.plain(REQUEST) | {"width": 65}}, 422, "bad_value"),
        ({"request": wire.plain(REQUEST) | {"task": "img2img", "source": "0" * 64}}, 404, "unknown_blob"),
        ({"request": wire.plain(REQUEST) | {"task": "dance"}}, 422, "invalid_request"),
        ({"request": 1}, 422, "invalid_request"),
    ]
    for what, status, code in refused:
        assert problem(await ask(broker, **what)) == (status, code), what


async def test_one_persons_jobs_are_theirs(guarded: Served) -> None:
    ann, bob, root = [await guarded.give(*who) for who in (("ann", "editor"), ("bob", "editor"), ("boss", "admin"))]
    await ask(guarded, ann, request=wire.plain(REQUEST), id="j")
    http = guarded.http
    assert (await http.get("/v1/jobs/j", headers=ann)).status_code == 200
    assert problem(await http.get("/v1/jobs/j", headers=bob)) == (404, "unknown_job")
    assert problem(await http.delete("/v1/jobs/j", headers=bob)) == (403, "not_yours")
    assert (await http.get("/v1/jobs", headers=bob)).json() == []
    assert problem(await http.get("/v1/jobs", params={"person": "ann"}, headers=bob)) == (403, "forbidden")
    assert problem(await ask(guarded, bob, request=wire.plain(REQUEST), id="j")) == (409, "job_exists")
    assert [job["id"] for job in (await http.get("/v1/jobs", params={"person": "ann"}, headers=root)).json()] == ["j"]
    assert (await http.delete("/v1/jobs/j", headers=root)).json()["state"] == "cancelled"


async def test_a_queue_that_is_full_says_so(guarded: Served) -> None:
    ann = await guarded.give("ann", "editor")
    guarded.hub.work.limits = type(guarded.hub.work.limits)(of_person=1)
    assert (await ask(guarded, ann, request=wire.plain(REQUEST))).status_code == 201
    assert problem(await ask(guarded, ann, request=wire.plain(REQUEST))) == (429, "queue_full")
