"""A baseline made while the broker runs: a real broker, a real stream, steps of five seconds."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from protocol import address
from signals.baseline import Baseline

PATH = "/v1/eeg/baseline"
UNLIMITED = ("--requests-per-s", "1e6", "--requests-burst", "1000000")


@pytest.fixture
def asked(programs, tmp_path: Path, stream_name: str):
    """Starts a broker for `stream_name`, again and again on the same data; a client of its HTTP."""
    clients = []

    def start(*options: str) -> httpx.Client:
        broker = programs.broker(tmp_path / "data", "--eeg", stream_name, *UNLIMITED, *options)
        clients.append(httpx.Client(base_url=address.parse(broker).http, trust_env=False, timeout=30))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def steps_of(client: httpx.Client) -> tuple[list[str], dict[str, Any]]:
    """The steps until it has ended, in order, and the report then."""
    steps: list[str] = []
    while True:
        report = client.get(PATH).json()
        if not steps or steps[-1] != report["step"]:
            steps.append(report["step"])
        if report["step"] in ("done", "failed", "none"):
            return steps, report
        time.sleep(0.05)  # HTTP has nothing to wait for


def until(client: httpx.Client, baseline: str) -> None:
    """Until the performer is heard with this baseline."""
    while client.get("/v1/eeg").json()["performers"].get("1", {}).get("baseline") != baseline:
        time.sleep(0.05)


def test_it_counts_at_once_is_kept_for_the_next_start_and_can_be_deleted(programs, asked, stream_name: str) -> None:
    programs.synth(stream_name, "--state", "relaxed")
    client = asked()
    until(client, "")
    begun = client.post(PATH, json={"performer": 1, "seconds": 5})
    assert begun.status_code == 202 and begun.json()["step"] == "waiting"
    again = client.post(PATH, json={"performer": 1, "seconds": 5})
    assert (again.status_code, again.json()["code"]) == (409, "calibrating")
    steps, report = steps_of(client)
    assert steps == ["waiting", "open", "closed", "computing", "done"], report
    kept = Baseline.load(Path(report["file"]))
    assert (report["alpha_peak"], report["warnings"]) == (kept.alpha_peak, list(kept.warnings))
    until(client, kept.hash)

    programs.kill("broker")
    client = asked()
    until(client, kept.hash)
    assert client.get(PATH).json()["step"] == "none" and client.get(PATH).json()["made"] == kept.made
    assert client.delete(PATH).json()["file"] == ""
    assert not Path(report["file"]).exists()
    until(client, "")
    gone = client.delete(PATH)
    assert (gone.status_code, gone.json()["code"]) == (404, "no_baseline")


def test_called_off_it_leaves_nothing_and_can_begin_again(programs, asked, stream_name: str, tmp_path: Path) -> None:
    programs.synth(stream_name)
    client = asked()
    until(client, "")
    client.post(PATH, json={"seconds": 5})
    while client.get(PATH).json()["step"] != "open":
        time.sleep(0.05)
    assert client.delete(PATH).json()["step"] == "none"
    assert client.post(PATH, json={"seconds": 5}).json()["step"] == "waiting"
    assert not (tmp_path / "data" / "baselines").exists()


def test_a_jaw_that_is_clenched_all_the_time_makes_none_and_the_reason_is_said(programs, asked, stream_name: str) -> None:
    programs.synth(stream_name, "--state", "jaw")
    client = asked()
    until(client, "")
    client.post(PATH, json={"seconds": 5})
    steps, report = steps_of(client)
    assert steps[-1] == "failed" and report["file"] == ""
    assert "clean" in report["problem"]


def test_a_stream_that_never_comes_is_said(asked) -> None:
    client = asked()
    client.post(PATH, json={"seconds": 5})
    steps, report = steps_of(client)
    assert steps == ["waiting", "failed"] and "looking for the LSL stream" in report["problem"]


def test_who_or_what_cannot_be_calibrated_is_named(programs, tmp_path: Path, asked) -> None:
    client = asked()
    for body, words in (({"performer": 2}, "there are 1"), ({"seconds": 1}, "seconds"), ({"performer": 99}, "performer")):
        refused = client.post(PATH, json=body)
        assert refused.status_code in (404, 422) and words in refused.json()["message"], body
    deaf = programs.broker(tmp_path / "deaf", name="deaf")
    refused = httpx.post(address.parse(deaf).http + PATH, json={}, trust_env=False)
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_performer")
    assert "--no-eeg" in refused.json()["message"]
