"""The patch, the sham and what is heard, over HTTP."""

import time
from pathlib import Path
from urllib.parse import quote

import httpx
from eeg import frame
from peers import joined
from serving import Served

from protocol import messages as m
from signals import patch_files


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_the_patch_that_plays_is_a_file_that_can_be_sent_back(broker: Served) -> None:
    answer = await broker.http.get("/v1/patch")
    assert answer.headers["content-type"] == "application/toml"
    assert patch_files.parse(answer.text, "patch") == broker.hub.player.patch
    storm = patch_files.dump(patch_files.load("storm"))
    async with joined(broker.ws) as peer:
        await peer.hear(m.Snapshot)
        answer = await broker.http.put("/v1/patch", content=storm)
        assert (await peer.hear(m.SetPatch)).rules == patch_files.load("storm").rules
    assert answer.status_code == 200 and answer.json()["name"] == "storm"
    assert (await broker.http.get("/v1/patch")).text == storm


async def test_presets_are_listed_and_played_by_name(broker: Served) -> None:
    presets = (await broker.http.get("/v1/patches")).json()
    assert [preset["name"] for preset in presets] == patch_files.presets()
    assert all(preset["description"] and preset["rules"] for preset in presets)
    answer = await broker.http.post("/v1/patches/storm/play")
    assert answer.status_code == 200 and answer.json()["name"] == "storm"
    assert broker.hub.player.patch == patch_files.load("storm")


async def test_a_preset_that_is_none_is_refused_and_no_file_is_read_for_it(broker: Served, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(patch_files.dump(patch_files.load("storm")))
    for name in ("hurricane", "mine.toml", quote(str(mine), safe="")):
        answer = await broker.http.post(f"/v1/patches/{name}/play")
        assert answer.status_code == 404, name
    assert problem(await broker.http.post("/v1/patches/hurricane/play")) == (404, "unknown_patch")
    assert broker.hub.player.patch.name == patch_files.DEFAULT


async def test_a_patch_that_is_none_is_refused_and_the_old_one_plays_on(broker: Served) -> None:
    before = (await broker.http.get("/v1/patch")).text
    for sent in (b"[[rule]]", b"\xff\xfe", b"name = ", b'[[rule]]\nfeature = "alpha"\ntarget = "speed"\namount = 1.0'):
        assert problem(await broker.http.put("/v1/patch", content=sent)) == (422, "bad_patch"), sent
    assert (await broker.http.get("/v1/patch")).text == before


async def test_what_is_heard_is_reported(broker: Served) -> None:
    broker.hub.stage.set_performer(1, None, "looking")
    broker.hub.stage.hear(1, frame(time.time(), alpha=1.0))
    report = (await broker.http.get("/v1/eeg")).json()
    assert report["eeg"] == "looking" and "alpha" in report["frames"]["1"]["features"]
    assert report["patch"]["name"] and not report["sham"]["on"]


async def test_the_sham_needs_a_recording_and_a_plain_word(broker: Served) -> None:
    assert problem(await broker.http.put("/v1/sham", json={"on": True})) == (409, "no_sham")
    for sent in (b"", b"{}", b'{"on": 1}', b"[]", b'"on"', b"[" * 9999):
        assert problem(await broker.http.put("/v1/sham", content=sent)) == (422, "bad_sham"), sent[:9]
    broker.hub.player.recording = "yesterday"
    assert (await broker.http.put("/v1/sham", content=b'{"on": true}')).json() == {"on": True}
    assert (await broker.http.get("/v1/eeg")).json()["sham"] == {"on": True, "recording": "yesterday", "frame": None}
