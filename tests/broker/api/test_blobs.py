"""Pictures by their hash."""

import hashlib
import io

import httpx
import pytest
from picture_files import png
from PIL import Image
from serving import Served

from broker.api.blobs import Side
from broker.store import pictures

NAME = hashlib.sha256(png()).hexdigest()


def drawn(kind: str, side: int = 300) -> bytes:
    made = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(made, kind)
    return made.getvalue()


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(("kind", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
async def test_a_picture_is_uploaded_and_fetched_under_its_hash_for_ever(broker: Served, kind: str, media_type: str) -> None:
    data = drawn(kind)
    answer = await broker.http.post("/v1/blobs", content=data)
    assert answer.status_code == 201
    assert answer.json() == {
        "blob": hashlib.sha256(data).hexdigest(), "media_type": media_type, "width": 300, "height": 300,
    }  # fmt: skip
    assert (
        await broker.http.post("/v1/blobs", content=data, headers={"Content-Type": "application/json"})
    ).json() == answer.json()
    found = await broker.http.get(f"/v1/blobs/{answer.json()['blob']}")
    assert found.content == data and found.headers["content-type"] == media_type
    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert found.headers["x-content-type-options"] == "nosniff" and "sandbox" in found.headers["content-security-policy"]


async def test_who_has_it_already_is_told_so(broker: Served) -> None:
    await broker.http.post("/v1/blobs", content=png())
    tag = (await broker.http.get(f"/v1/blobs/{NAME}")).headers["etag"]
    for known in (tag, f'"other", W/{tag}'):
        answer = await broker.http.get(f"/v1/blobs/{NAME}", headers={"If-None-Match": known})
        assert answer.status_code == 304 and answer.content == b"" and answer.headers["etag"] == tag
    assert (await broker.http.get(f"/v1/blobs/{NAME}", headers={"If-None-Match": '"other"'})).status_code == 200
    nowhere = "0" * 64
    answer = await broker.http.get(f"/v1/blobs/{nowhere}", headers={"If-None-Match": f'"{nowhere}"'})
    assert problem(answer) == (404, "unknown_blob")


async def test_a_thumbnail_is_small_and_stays(broker: Served) -> None:
    name = (await broker.http.post("/v1/blobs", content=drawn("PNG", 1000))).json()["blob"]
    for side in (64, 256):
        answer = await broker.http.get(f"/v1/blobs/{name}/thumbnail", params={"side": side})
        assert answer.headers["content-type"] == "image/webp" and "immutable" in answer.headers["cache-control"]
        assert Image.open(io.BytesIO(answer.content)).size == (side, side)
        known = {"If-None-Match": answer.headers["etag"]}
        again = await broker.http.get(f"/v1/blobs/{name}/thumbnail", params={"side": side}, headers=known)
        assert again.status_code == 304
    assert problem(await broker.http.get(f"/v1/blobs/{name}/thumbnail", params={"side": 100}))[0] == 422
    assert problem(await broker.http.get(f"/v1/blobs/{'0' * 64}/thumbnail")) == (404, "unknown_blob")


async def test_what_is_no_picture_is_refused_and_nothing_of_it_is_kept(broker: Served) -> None:
    for data in (b"", b"MZ no picture", b"<svg/>", drawn("PNG")[:-100], drawn("GIF")):
        assert problem(await broker.http.post("/v1/blobs", content=data)) == (422, "bad_picture"), data[:10]
    assert not [path for path in broker.hub.store.blobs.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["x", "0" * 63, "0" * 63 + "g", "..%2f..%2falphaloom.sqlite", "A" * 64])
async def test_a_name_that_is_no_hash_is_none(broker: Served, name: str) -> None:
    assert (await broker.http.get(f"/v1/blobs/{name}")).status_code in (404, 422)


async def test_where_a_token_is_needed_no_cache_on_the_way_may_keep_pictures(guarded: Served) -> None:
    ann, edge = await guarded.give("ann", "editor"), await guarded.give("worker", "edge")
    await guarded.http.post("/v1/blobs", content=png(), headers=ann)
    for who in (ann, edge):
        answer = await guarded.http.get(f"/v1/blobs/{NAME}", headers=who)
        assert answer.content == png() and answer.headers["cache-control"].startswith("private")
    assert problem(await guarded.http.get(f"/v1/blobs/{NAME}")) == (401, "token_needed")
    assert problem(await guarded.http.post("/v1/blobs", content=png(), headers=edge)) == (403, "forbidden")


def test_the_sides_that_are_offered_are_those_that_are_made() -> None:
    assert tuple(Side) == pictures.SIDES
