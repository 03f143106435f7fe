"""The patch, the sham and what is heard, over HTTP."""

import time

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
