"""The `addon` benchmark: each part for real, small."""

import sys
from collections.abc import Iterator

import bench_addon
import environments
import pytest
from bench_turns import Arm

BLENDERS = [environments.ROOT / f".venv-blender-{line}/bin/python" for line in environments.BLENDERS]
MADE = next((python for python in BLENDERS if python.exists()), None)

pytestmark = pytest.mark.skipif(MADE is None, reason="no environment with Blender's module has been made yet")


@pytest.fixture
def blender() -> Iterator[Arm]:
    with Arm("Blender", [MADE, bench_addon.ARMS / "blender.py"]) as arm:
        yield arm


@pytest.fixture
def broker() -> Iterator[Arm]:
    with Arm("fake broker", [sys.executable, bench_addon.ARMS / "fake_broker.py", "30"]) as arm:
        yield arm


def values(found: list[dict]) -> dict[str, float]:
    return {result["name"].strip(): result["value"] for result in found}


def test_pictures_are_shown_while_ticks_are_timed(broker: Arm, blender: Arm) -> None:
    found = bench_addon.ticks(broker, blender, 0.5)
    assert len(found) == 4 * len(bench_addon.FORMATS)
    assert all(result["value"] > 0 for result in found)


def test_builds_changes_and_naive_ways_are_timed(broker: Arm, blender: Arm) -> None:
    broker.hear()
    found = values([*bench_addon.edits(blender, 1, 30), *bench_addon.naive(broker, blender, 1)])
    assert {f"a map of 30 nodes: {name} heard, median" for name in ("update", "new", "deletion")} <= found.keys()
    assert found["image.pixels[:] = of what is decoded already, by ours"] > 0
    assert all(value > 0 for value in found.values())
