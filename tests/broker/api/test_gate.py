"""Names, origins, how often and how much, before anything looks at what is asked."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from serving import Served, served
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from broker.api.gate import address_of, body_limit
from broker.settings import Settings

EVIL = "https://evil.example"


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/json" and set(answer.json()) == {"code", "message", "detail"}
    return answer.status_code, answer.json()["code"]


async def test_only_names_of_this_machine_are_answered(broker: Served) -> None:
    names = ["evil.example", "evil.example:4444", "127.0.0.1.evil.example", "a b", "[::2]", "@localhost", "x" * 999]
    for host in names:
        assert code(await broker.http.get("/health", headers={"Host": host})) == (400, "unknown_host"), host
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:4444", "[::1]:4444", "[::1]"):
        assert (await broker.http.get("/health", headers={"Host": host})).status_code == 200, host


async def test_other_names_are_answered_where_they_were_allowed(tmp_path: Path) -> None:
    async with served(tmp_path, allowed_hosts=("maps.example.org", "*.example.net")) as broker:
        for host, status in [
            ("maps.example.org", 200),
            ("Maps.Example.Org:80", 200),
            ("a.example.net", 200),
            ("example.net", 400),
        ]:
            assert (await broker.http.get("/health", headers={"Host": host})).status_code == status, host


async def test_pages_from_elsewhere_change_nothing(broker: Served) -> None:
    for method, path in [("POST", "/v1/blobs"), ("PUT", "/v1/patch"), ("DELETE", "/v1/rooms/x"), ("POST", "/nowhere")]:
        for origin in (EVIL, "null", "http://127.0.0.1:1", "x"):
            answer = await broker.http.request(method, path, headers={"Origin": origin})
            assert code(answer) == (403, "foreign_origin"), (method, path, origin)


async def test_our_own_pages_may_and_programs_say_no_origin(broker: Served) -> None:
    own = str(broker.http.base_url).rstrip("/")
    for headers in ({"Origin": own}, {}):
        answer = await broker.http.post("/v1/rooms", json={"id": f"r{len(headers)}"}, headers=headers)
        assert answer.status_code == 201


async def test_a_page_that_was_allowed_may_and_its_browser_is_told(tmp_path: Path) -> None:
    async with served(tmp_path, allowed_origins=("https://maps.example.org",)) as broker:
        headers = {"Origin": "https://maps.example.org"}
        answer = await broker.http.post("/v1/rooms", json={"id": "r"}, headers=headers)
        assert answer.status_code == 201 and answer.headers["access-control-allow-origin"] == headers["Origin"]
        ask = headers | {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
        assert (await broker.http.options("/v1/patch", headers=ask)).status_code == 200
        answer = await broker.http.post("/v1/rooms", json={"id": "s"}, headers={"Origin": EVIL})
        assert code(answer) == (403, "foreign_origin") and "access-control-allow-origin" not in answer.headers
        async with connect(broker.ws + "/v1/ws", proxy=None, origin="https://maps.example.org"):  # type: ignore[arg-type]
            pass


async def test_a_page_from_elsewhere_hears_nothing_on_a_websocket(broker: Served) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(broker.ws + "/v1/ws", proxy=None, origin=EVIL):  # type: ignore[arg-type]
            pass
    assert refused.value.response.status_code == 403 and b"foreign_origin" in refused.value.response.body


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1024):
        yield bytes(1024)


async def test_what_is_too_large_is_refused_whether_or_not_it_says_how_large_it_is(broker: Served) -> None:
    json = {"Content-Type": "application/json"}
    for method, path in [("POST", "/v1/jobs"), ("PUT", "/v1/patch"), ("POST", "/v1/rooms/main/edits"), ("PUT", "/v1/sham")]:
        size = body_limit(path, Settings()) + 2048
        for body in (bytes(size), chunks(size)):
            answer = await broker.http.request(method, path, content=body, headers=json)
            assert code(answer) == (413, "message_too_large"), (method, path)


async def test_a_picture_and_a_file_have_limits_of_their_own(tmp_path: Path) -> None:
    async with served(tmp_path, max_binary_bytes=65536, max_bundle_bytes=1 << 20) as broker:
        for path, limit in (("/v1/blobs", 65536), ("/v1/rooms/main/import", 1 << 20)):
            assert code(await broker.http.post(path, content=chunks(limit + 2048))) == (413, "message_too_large")
            assert code(await broker.http.post(path, content=chunks(limit)))[0] == 422


async def test_who_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    async with served(tmp_path, requests_per_s=0.1, requests_burst=3) as broker:
        answers = [await broker.http.get("/health") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert code(answers[3])[1] == "too_many_requests" and 1 <= int(answers[3].headers["retry-after"]) <= 10


async def test_every_answer_tells_browsers_to_take_it_for_nothing_else(broker: Served) -> None:
    for path in ("/health", "/nowhere", "/v1/rooms/main/map"):
        headers = (await broker.http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert "server" not in headers


@pytest.mark.parametrize(
    ("client", "name"),
    [
        (("192.0.2.1", 1), "192.0.2.1"),
        (("2001:db8:1:2:3::4", 1), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1), "fe80::/64"),
        (("::ffff:192.0.2.1", 1), "192.0.2.1"),
        (("strange:name", 1), "strange:name"),
        (None, ""),
    ],
)
def test_whom_limits_count_as_one(client: tuple[str, int] | None, name: str) -> None:
    assert address_of({"type": "http", "client": client}) == name
