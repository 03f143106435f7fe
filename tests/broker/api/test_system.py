"""How the broker is, who works for it, and what it says of itself."""

import json
from typing import Any

import httpx
from peers import joined
from serving import Served

from protocol import VERSION
from protocol import messages as m
from protocol.errors import AlphaloomError

ANY = {"400", "401", "403", "413", "422", "429", "503"}


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_who_watches_over_it_hears_how_it_is(broker: Served) -> None:
    assert (await broker.http.get("/health")).json() == {
        "version": VERSION, "status": "ok", "edges": 0, "jobs": 0, "rooms": 1, "eeg": "off",
    }  # fmt: skip


async def test_without_a_token_one_hears_only_that_it_is_well(guarded: Served) -> None:
    answer = await guarded.http.get("/health")
    assert answer.status_code == 200 and answer.json()["status"] == "ok" and answer.json()["jobs"] is None
    ann = await guarded.give("ann", "viewer")
    assert (await guarded.http.get("/health", headers=ann)).json()["jobs"] == 0
    assert problem(await guarded.http.get("/health", headers={"Authorization": "Bearer wrong"})) == (401, "bad_token")


async def test_while_nothing_can_be_kept_it_is_not_well(broker: Served) -> None:
    broker.hub.journal._trouble = AlphaloomError("store_unavailable", "The disk is full.")
    answer = await broker.http.get("/health")
    assert answer.status_code == 503 and answer.json()["status"] == "no_store"
    assert problem(await broker.http.post("/v1/rooms", json={"id": "r"})) == (503, "store_unavailable")
    broker.hub.journal._trouble = None


async def test_edges_are_listed_and_told_to_finish(broker: Served) -> None:
    async with joined(broker.ws, "edge", name="one", model="m", models={"n": "f"}, max_side=512, slots=2) as edge:
        await edge.hear(m.Hello)
        (view,) = (await broker.http.get("/v1/edges")).json()
        assert (view["name"], view["models"], view["slots"], view["draining"]) == ("one", {"m": "", "n": "f"}, 2, False)
        assert (await broker.http.post("/v1/edges/one/drain")).json()[0]["draining"]
        await edge.hear(m.Drain)
    assert problem(await broker.http.post("/v1/edges/nowhere/drain")) == (404, "unknown_edge")


async def test_every_route_needs_a_token_and_the_role_that_it_needs(guarded: Served) -> None:
    tokens = {role: await guarded.give(role, role) for role in ("viewer", "editor", "edge", "admin")}
    needed = {
        "viewer": [
            *(("GET", f"/v1/rooms/main{path}") for path in ("", "/map", "/operations", "/deleted", "/session", "/export")),
            *(("GET", f"/v1/{path}") for path in ("rooms", "jobs", "jobs/j", "patch", "eeg", "edges")),
            ("GET", "/v1/rooms/main/nodes/n/history"),
        ],
        "editor": [
            *(("POST", f"/v1/rooms/main/{path}") for path in ("edits", "undo", "redo", "import", "nodes/n/purge")),
            *(("POST", "/v1/rooms"), ("PATCH", "/v1/rooms/main"), ("POST", "/v1/jobs"), ("DELETE", "/v1/jobs/j")),
            *(("POST", "/v1/blobs"), ("PUT", "/v1/patch"), ("PUT", "/v1/sham")),
        ],
        "admin": [("DELETE", "/v1/rooms/main"), ("POST", "/v1/edges/e/drain")],
    }
    bodies = {"/v1/rooms": {"id": "r"}, "/v1/rooms/main": {"title": ""}, "/v1/rooms/main/edits": {"id": "e", "changes": []}}
    may = {"viewer": {"viewer"}, "editor": {"viewer", "editor"}, "edge": set(), "admin": {"viewer", "editor", "admin"}}
    for need, routes in needed.items():
        for method, path in routes:
            sent = {"json": bodies.get(path, {"id": "x"})} if method in ("POST", "PATCH") else {}
            answer = await guarded.http.request(method, path, **sent)
            assert problem(answer) == (401, "token_needed"), (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            for role, headers in tokens.items():
                answer = await guarded.http.request(method, path, headers=headers, **sent)
                assert (answer.status_code == 403) is (need not in may[role]), (method, path, role, answer.text)
                assert answer.status_code < 500


async def test_no_token_is_taken_from_an_address(guarded: Served) -> None:
    token = (await guarded.give("ann", "admin"))["Authorization"].removeprefix("Bearer ")
    for name in ("token", "access_token", "Authorization"):
        assert problem(await guarded.http.get("/v1/rooms", params={name: token})) == (401, "token_needed")


async def test_the_api_describes_itself_and_all_that_may_go_wrong(broker: Served) -> None:
    described = (await broker.http.get("/openapi.json")).json()
    page = await broker.http.get("/docs")
    assert page.status_code == 200 and "https://" not in page.text  # it is read where there is no internet, too
    assert (await broker.http.get("/static-offline-docs/swagger-ui-bundle.js")).status_code == 200
    paths = {path for path in described["paths"] if path.startswith("/v1")}
    assert {"/v1/rooms/{room}/map", "/v1/jobs", "/v1/blobs/{name}/thumbnail", "/v1/edges/{name}/drain"} <= paths
    text = json.dumps(described)
    assert "HTTPValidationError" not in text and "Problem" in described["components"]["schemas"]
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            assert set(route["responses"]) >= ANY, (method, path)
            for status, answer in route["responses"].items():
                if status.startswith("4"):
                    assert _problem_of(answer), (method, path, status)
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def _problem_of(answer: dict[str, Any]) -> bool:
    return bool(answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Problem"})


async def test_what_is_not_there_and_what_is_not_for_it_are_problems_too(broker: Served) -> None:
    assert problem(await broker.http.get("/nowhere")) == (404, "not_found")
    answer = await broker.http.put("/health")
    assert problem(answer) == (405, "method_not_allowed") and answer.headers["allow"] == "GET"


async def test_a_mistake_of_ours_is_a_problem_and_says_nothing_of_the_inside(broker: Served, caplog: Any) -> None:
    broker.hub.rooms = None  # type: ignore[assignment]
    answer = await broker.http.get("/v1/rooms")
    assert problem(answer) == (500, "internal") and "None" not in answer.text and "Traceback" not in answer.text
    broker.hub.rooms = {}


async def test_prompts_are_not_in_the_log(broker: Served, caplog: Any) -> None:
    caplog.set_level("INFO")
    changes = [{"verb": "create", "kind": "node", "id": "n", "fields": {"prompt": "a secret garden"}}]
    await broker.http.post("/v1/rooms/main/edits", json={"id": "e", "changes": changes})
    await broker.http.post("/v1/rooms/main/edits", json={"id": "f", "changes": "a secret garden"})
    await broker.http.post("/v1/jobs", json={"node": "n"})
    async with joined(broker.ws) as peer:
        await peer.say('{"type": "Edit", "id": "a secret garden", "changes": 5}', '{"a secret garden')
        await peer.say(m.Edit("g", ()))
        await peer.socket.recv()
    assert "secret" not in caplog.text
