"""The manifest, as edges and people read it."""

import asyncio
from pathlib import Path

import pytest
from serving import Served, served

from edge.models.manifest import from_broker
from protocol import manifest
from protocol.errors import AlphaloomError

ROOT = Path(__file__).resolve().parents[3]


async def test_the_well_known_models_are_served_as_they_stand_in_the_file(broker: Served) -> None:
    answer = await broker.http.get("/v1/models")
    assert manifest.parse(answer.json()) == manifest.load(ROOT / "broker/models.toml")
    ids = [entry["id"] for entry in answer.json()]
    assert {"texture-tiny", "sd-1.5", "sd-turbo", "sdxl-turbo", "lcm-lora-sd1", "depth-sdxl"} <= set(ids)


async def test_a_manifest_of_ones_own_takes_their_place_and_its_folders_stay_secret(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text('[[model]]\nid = "mine"\nsource = "./secret/place"\nlicence = "mine"\n')
    async with served(tmp_path / "data", models=file) as broker:
        answer = await broker.http.get("/v1/models")
        (entry,) = answer.json()
        assert (entry["id"], entry["source"], entry["licence"]) == ("mine", "", "mine") and "secret" not in answer.text


async def test_edges_and_viewers_may_read_it_and_nobody_without_a_token(guarded: Served) -> None:
    assert (await guarded.http.get("/v1/models")).status_code == 401
    for role in ("edge", "viewer"):
        answer = await guarded.http.get("/v1/models", headers=await guarded.give(role, role))
        assert answer.status_code == 200


async def test_an_edge_reads_it(guarded: Served) -> None:
    address = str(guarded.http.base_url).rstrip("/")
    token = (await guarded.give("e", "edge"))["Authorization"].removeprefix("Bearer ")
    entries = await asyncio.to_thread(from_broker, address, token)
    assert entries == manifest.load(ROOT / "broker/models.toml")
    with pytest.raises(AlphaloomError, match="answers 401") as refused:
        await asyncio.to_thread(from_broker, address)
    assert refused.value.code == "no_manifest"


@pytest.mark.parametrize("text", ["[[model]", "[[model]]\nid = 'a'", "x = 1"])
async def test_a_broker_with_a_bad_manifest_does_not_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "models.toml"
    file.write_text(text)
    with pytest.raises(AlphaloomError) as refused:
        async with served(tmp_path / "data", models=file):
            pass
    assert refused.value.code == "bad_manifest"


async def test_a_manifest_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(AlphaloomError, match=r"nowhere\.toml"):
        async with served(tmp_path / "data", models=tmp_path / "nowhere.toml"):
            pass
