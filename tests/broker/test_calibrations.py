"""A baseline made while the broker runs: a real broker, real streams, steps of five seconds.

What takes the longest is done once, for all that is asked of it: three performers are calibrated at the same time.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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


@dataclass
class Led:
    """How a performer's calibration went."""

    steps: list[str]
    """Each once, in order."""
    report: dict[str, Any]
    """The last."""


@dataclass
class Evening:
    """A broker of three performers, who were calibrated at the same time."""

    client: httpx.Client
    again: Callable[[], httpx.Client]
    """The broker killed, and started on the same data."""
    begun: list[httpx.Response]
    twice: httpx.Response
    """What it said to who would begin again meanwhile."""
    relaxed: Led
    jaw: Led
    absent: Led


@pytest.fixture(scope="module")
def evening(start_programs, tmp_path_factory) -> Iterator[Evening]:
    programs, data = start_programs(), tmp_path_factory.mktemp("evening")
    names = [f"test-{os.getpid()}-{name}" for name in ("relaxed", "jaw", "absent")]
    for name in names[:2]:
        programs.synth(name, "--state", name.rsplit("-", 1)[1], name=name)
    clients = []

    def start() -> httpx.Client:
        broker = programs.broker(data, *(word for name in names for word in ("--eeg", name)), *UNLIMITED)
        clients.append(httpx.Client(base_url=address.parse(broker).http, trust_env=False, timeout=30))
        return clients[-1]

    def again() -> httpx.Client:
        programs.kill("broker")
        return start()

    client = start()
    for number in (1, 2):
        until(client, "", number)
    begun = [client.post(PATH, json={"performer": number, "seconds": 5}) for number in (1, 2, 3)]
    twice = client.post(PATH, json={"performer": 1, "seconds": 5})
    yield Evening(client, again, begun, twice, *follow(client, 3))
    for client in clients:
        client.close()


def follow(client: httpx.Client, performers: int) -> list[Led]:
    """Until all have ended."""
    all_led = [Led([], {}) for _ in range(performers)]
    while not all(led.steps and led.steps[-1] in ("done", "failed", "none") for led in all_led):
        for number, led in enumerate(all_led, 1):
            led.report = client.get(PATH, params={"performer": number}).json()
            if not led.steps or led.steps[-1] != led.report["step"]:
                led.steps.append(led.report["step"])
        time.sleep(0.05)  # HTTP has nothing to wait for
    return all_led


def until(client: httpx.Client, baseline: str, performer: int = 1) -> None:
    """Until the performer is heard with this baseline."""
    while client.get("/v1/eeg").json()["performers"].get(str(performer), {}).get("baseline") != baseline:
        time.sleep(0.05)


def test_one_calibration_at_a_time_for_each_performer(evening: Evening) -> None:
    assert [(said.status_code, said.json()["step"]) for said in evening.begun] == [(202, "waiting")] * 3
    assert (evening.twice.status_code, evening.twice.json()["code"]) == (409, "calibrating")


def test_it_counts_at_once_is_kept_for_the_next_start_and_can_be_deleted(evening: Evening) -> None:
    report = evening.relaxed.report
    assert evening.relaxed.steps == ["waiting", "open", "closed", "computing", "done"], report
    kept = Baseline.load(Path(report["file"]))
    assert (report["alpha_peak"], report["warnings"]) == (kept.alpha_peak, list(kept.warnings))
    until(evening.client, kept.hash)

    client = evening.again()
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


def test_a_jaw_that_is_clenched_all_the_time_makes_none_and_the_reason_is_said(evening: Evening) -> None:
    assert evening.jaw.steps[-1] == "failed" and evening.jaw.report["file"] == ""
    assert "clean" in evening.jaw.report["problem"]


def test_a_stream_that_never_comes_is_said(evening: Evening) -> None:
    assert evening.absent.steps == ["waiting", "failed"]
    assert "looking for the LSL stream" in evening.absent.report["problem"]


def test_who_or_what_cannot_be_calibrated_is_named(programs, tmp_path: Path, asked) -> None:
    client = asked()
    for body, words in (({"performer": 2}, "there are 1"), ({"seconds": 1}, "seconds"), ({"performer": 99}, "performer")):
        refused = client.post(PATH, json=body)
        assert refused.status_code in (404, 422) and words in refused.json()["message"], body
    deaf = programs.broker(tmp_path / "deaf", name="deaf")
    refused = httpx.post(address.parse(deaf).http + PATH, json={}, trust_env=False)
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_performer")
    assert "--no-eeg" in refused.json()["message"]
