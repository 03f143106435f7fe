"""A real broker answers whatever is asked of its API as /openapi.json says that it does, and never with 5xx."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from conftest import PYTHON, ROOT, Programs
from peers import edit, get, joined, working_edge

from protocol import address
from protocol import messages as m
from protocol.model import Node

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
LONG = [pytest.mark.long, pytest.mark.timeout(3600)]
DRAIN = "/v1/edges/{name}/drain"
UNLIMITED = ("--no-eeg", "--requests-per-s", "1e6", "--requests-burst", "1000000")


def admin(data: Path) -> str:
    command = [PYTHON, "-m", "broker", "token", "add", "tester", "--role", "admin", "--data", str(data)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


async def schemathesis(broker: str, token: str, out: Path, examples: int, *which: str) -> str:
    """What it found; empty if nothing."""
    location = f"{address.parse(broker).http}/openapi.json"
    child = await asyncio.create_subprocess_exec(
        *(PYTHON, "-m", "schemathesis.cli", "run", location, "--checks", ",".join(CHECKS), "--seed", "1", "--no-color"),
        *("--max-examples", str(examples), "--phases", "examples,coverage,fuzzing,stateful", "--suppress-health-check", "all"),
        *("-H", f"Authorization: Bearer {token}", "--generation-database", "none", *which),
        cwd=out,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await child.communicate()
    print(said.decode()[-1500:])
    return said.decode() if child.returncode else ""


@pytest.mark.parametrize("examples", [5, pytest.param(300, marks=LONG)])
async def test_the_api_is_as_it_says(programs: Programs, tmp_path: Path, examples: int) -> None:
    data = tmp_path / "data"
    token = admin(data)
    broker = programs.broker(data, *UNLIMITED)
    async with working_edge(broker), joined(broker) as client:
        await client.hear(m.Snapshot)
        await client.say(edit(Node("a", "x"), Node("b", "y")), m.Generate("a", "j"))
        await client.job("j", "done")
        # Without an edge pictures are refused, by a 503 that is right.
        found = await schemathesis(broker, token, tmp_path, examples, "--exclude-path", DRAIN)
        assert not found, found
        found = await schemathesis(broker, token, tmp_path, examples, "--include-path", DRAIN)
        assert not found, found
        health = await asyncio.to_thread(get, broker, "/health")
        assert health["status"] == "ok"
    log = (programs.logs / "broker.log").read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]
