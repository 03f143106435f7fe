"""Performers, patch and sham of a real broker process, with real streams."""

import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import mne
import pylsl
import pytest
from conftest import PYTHON, ROOT
from peers import edit, get, joined, put

from protocol import messages as m
from protocol import wire
from protocol.model import Node, Rule
from signals import patch_files


@pytest.fixture
def broker(programs, tmp_path: Path) -> str:
    return programs.broker(tmp_path / "data")


async def test_a_missing_eeg_stream_is_reported_and_the_broker_goes_on(programs, tmp_path: Path, stream_name: str) -> None:
    broker = programs.broker(tmp_path / "data", "--eeg", stream_name)
    async with joined(broker) as peer:
        while stream_name not in (await peer.hear(m.Status)).eeg:
            pass
        await peer.edit(Node("n"))


async def test_eeg_reaches_clients_and_jobs(programs, tmp_path: Path, stream_name: str) -> None:
    programs.synth(stream_name, "--state", "relaxed")
    broker = programs.broker(tmp_path / "data", "--eeg", stream_name)
    async with joined(broker, frames_hz=10) as client, joined(broker, "edge", max_side=512) as edge:
        frame = (await client.hear(m.Features)).frame
        assert frame.stream == stream_name and frame.features["alpha"].value > 0.1
        await _until_the_patch_moves(client, broker)
        await client.say(edit(Node("n", "stone")), m.Generate("n", "j"))
        assert (await edge.hear(m.Run)).request.phrases[0].text.startswith("stone, (calm)")
        while (job := (await client.hear(m.JobChanged)).job).state != "running":
            pass
        assert job.modulation.moves[0].feature == "alpha" and job.modulation.streams == (stream_name,)
    eeg = get(broker, "/v1/eeg")
    assert eeg["performers"]["1"]["rate"] == 256 and eeg["frames"]["1"]["quality"] and not eeg["sham"]["on"]


async def test_two_performers_are_heard_each_by_its_number_and_together(programs, tmp_path: Path, stream_name: str) -> None:
    names = [f"{stream_name[:50]}-{n}" for n in (1, 2)]
    for name, state in zip(names, ("relaxed", "aroused"), strict=True):
        programs.synth(name, "--state", state, name=name)
    broker = programs.broker(tmp_path / "data", "--eeg", names[0], "--eeg", names[1])
    async with joined(broker, frames_hz=10) as client:
        heard: set[str] = set()
        together: set[str] = set()
        while heard != set(names) or together != set(names):
            frame = (await client.hear(m.Features)).frame
            heard.add(frame.stream)
            if "synchrony" in frame.features:
                together.add(frame.stream)
    performers = get(broker, "/v1/eeg")["performers"]
    assert [performers[n]["stream"] for n in ("1", "2")] == names


async def test_a_stream_that_is_lost_comes_back_and_the_status_says_both(programs, tmp_path: Path, stream_name: str) -> None:
    programs.synth(stream_name)
    broker = programs.broker(tmp_path / "data", "--eeg", stream_name)
    async with joined(broker, frames_hz=10) as client:

        async def until(signal: str, heard: bool) -> None:
            """Both come, in whatever order: a frame with this signal, and a status that has the stream or a reason."""
            frame = status = None
            while (frame and frame.signal) != signal or status is None or (status.eeg == stream_name) != heard:
                message = wire.decode(await client.socket.recv())
                frame = message.frame if isinstance(message, m.Features) else frame
                status = message if isinstance(message, m.Status | m.Snapshot) else status

        await until("good", True)
        programs.kill("synth")
        await until("lost", False)
        programs.synth(stream_name)
        await until("good", True)


async def _until_the_patch_moves(client: Any, broker: str) -> None:
    """A first frame moves little: the slew limit lets no parameter leap."""
    while max(abs(rule["position"]) for rule in get(broker, "/v1/eeg")["patch"]["rules"]) < 0.3:
        await client.hear(m.Features)


PATCH = 'name = "mine"\ndescription = "gold"\n[[rule]]\nfeature = "alpha"\ntarget = "blue/gold"\namount = 1.2\n'


async def test_a_patch_is_put_and_got_as_toml_and_outlives_the_broker(programs, tmp_path: Path) -> None:
    data = tmp_path / "data"
    broker = programs.broker(data)
    async with joined(broker) as client:
        assert put(broker, "/v1/patch", PATCH) == (200, {"name": "mine", "rules": 1, "warnings": []})
        rules = (await client.hear(m.SetPatch)).rules
    text = urllib.request.urlopen(broker.replace("ws", "http") + "/v1/patch").read().decode()
    assert patch_files.parse(text, "got") == patch_files.parse(PATCH, "put")
    programs.kill("broker")
    async with joined(programs.broker(data)) as again:
        assert (await again.hear(m.Snapshot)).patch == rules


def test_a_bad_patch_is_refused_with_rule_field_and_value(broker: str) -> None:
    status, body = put(broker, "/v1/patch", PATCH.replace("blue/gold", "speed"))
    assert (status, body["code"]) == (422, "bad_patch")
    assert body["detail"] | {"source": 0} == {"source": 0, "rule": 1, "field": "target", "value": "speed"}
    assert put(broker, "/v1/patch", "#" * 70_000)[0] == 413
    assert put(broker, "/v1/patch", PATCH, Origin="https://evil.example")[0] == 403
    assert get(broker, "/v1/eeg")["patch"]["name"] == patch_files.DEFAULT


def test_the_sham_needs_a_recording_and_a_true_or_false(broker: str) -> None:
    json_body = {"Content-Type": "application/json"}
    status, body = put(broker, "/v1/sham", '{"on": true}', **json_body)
    assert (status, body["code"]) == (409, "no_sham") and "--sham" in body["message"]
    assert put(broker, "/v1/sham", '{"on": "maybe"}', **json_body)[0] == 422
    assert put(broker, "/v1/sham", '{"on": false}', **json_body) == (200, {"on": False})


async def test_a_patch_file_is_read_again_when_it_is_saved_and_a_broken_edit_changes_nothing(programs, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(PATCH)
    broker = programs.broker(tmp_path / "data", "--no-eeg", "--patch", str(file))
    async with joined(broker) as client:
        assert (await client.hear(m.Snapshot)).patch[0].target == "blue/gold"
        file.write_text(PATCH.replace("blue/gold", "speed"))
        with pytest.raises(AssertionError, match="speed"):
            await client.hear(m.SetPatch)
        assert get(broker, "/v1/eeg")["patch"]["rules"][0]["target"] == "blue/gold"
        file.write_text(PATCH.replace("blue/gold", "teal/gold"))
        assert (await client.hear(m.SetPatch)).rules[0].target == "teal/gold"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--patch", "nowhere"], ["'nowhere'", "drift, mirror, storm"]),
        (["--baseline", "nowhere.json"], ["nowhere.json"]),
        (["--baseline", "a.json", "--baseline", "b.json"], ["2 baselines", "--eeg"]),
        (["--sham", "nowhere.edf"], ["nowhere.edf"]),
    ],
    ids=lambda value: value[0].strip("-'") if value[0].startswith("--") else "",
)
def test_what_is_named_and_cannot_be_used_is_one_line_and_a_failure(
    tmp_path: Path, options: list[str], words: list[str]
) -> None:
    command = [PYTHON, "-m", "broker", "0", "--data", str(tmp_path), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in words)


async def test_a_recording_can_drive_instead_of_the_live_stream(programs, tmp_path: Path, stream_name: str) -> None:
    from signals.synth import CHANNELS, RATE, SyntheticEEG

    file = tmp_path / "yesterday_raw.fif"
    raw = mne.io.RawArray(SyntheticEEG(0, "aroused").read(20 * 256).T * 1e-6, mne.create_info(list(CHANNELS), RATE, "eeg"))
    raw.save(file, verbose="error")
    programs.synth(stream_name, "--state", "relaxed")
    broker = programs.broker(tmp_path / "data", "--eeg", stream_name, "--sham", str(file))
    async with joined(broker, frames_hz=10) as client, joined(broker, "edge", max_side=512) as edge:
        await client.hear(m.Features)
        await client.say(m.SetPatch((Rule("alpha", "cold/warm", 1.0),)), m.SetSham(True))
        while not (await client.hear(m.Status)).sham:
            pass
        while get(broker, "/v1/eeg")["patch"]["rules"][0]["position"] > -0.3:  # relaxed alone would go up
            assert (await client.hear(m.Features)).frame.stream == stream_name
        await client.say(edit(Node("n", "stone")), m.Generate("n", "j"))
        assert (await edge.hear(m.Run)).request.phrases[0].text.startswith("stone, (cold)")
        while (job := (await client.hear(m.JobChanged)).job).state != "running":
            pass
        assert job.modulation.sham and job.modulation.streams == ("yesterday_raw",)


async def test_markers_are_events_of_the_first_performers_frames(programs, tmp_path: Path, stream_name: str) -> None:
    programs.synth(stream_name)
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(f"{stream_name}-m", "Markers", 1, 0, pylsl.cf_string, stream_name))
    broker = programs.broker(tmp_path / "data", "--eeg", stream_name, "--markers", f"{stream_name}-m")
    async with joined(broker, frames_hz=10) as client:
        told: list[Any] = []
        while not told:  # until the broker has found the markers' stream, nobody hears them
            outlet.push_sample(["scene two"])
            told = [e for e in (await client.hear(m.Features)).frame.events if e.kind == "marker"]
        assert told[0].text == "scene two"


async def test_a_stream_of_unknown_unit_is_refused_until_it_is_stated(programs, tmp_path: Path, stream_name: str) -> None:
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(stream_name, "EEG", 1, 100, pylsl.cf_float32, stream_name))
    refused = programs.broker(tmp_path / "one", "--eeg", stream_name, name="refused")
    async with joined(refused) as client:
        while "--unit" not in (await client.hear(m.Status)).eeg:
            pass
    stated = programs.broker(tmp_path / "two", "--eeg", stream_name, "--unit", "mV", name="stated")
    async with joined(stated) as client:
        while not (performers := (await client.hear(m.Status)).performers):
            pass
        assert performers[0].unit == "mV"
    del outlet
