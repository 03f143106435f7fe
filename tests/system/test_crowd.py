"""Many people on one map, some slow, some dropping out: all end with the same map."""

from pathlib import Path

import peers
import pytest
from bench_broker_arms.crowd import Crowd, digest
from conftest import Programs

from protocol import wire
from protocol.model import Map

FORGIVEN = {
    "nothing_to_undo",
    "nothing_to_redo",
    "unknown_node",  # somebody else has deleted it, or undone that it was made
    "unknown_link",
    "link_exists",  # somebody else has made it
}


async def all_agree(broker: str, size: int, seconds: float, rate: float) -> None:
    crowd = Crowd(broker, size, seed=4)
    async with crowd.present():
        await crowd.act(seconds, rate)
        await crowd.settle()
        truth = wire.build(Map, peers.get(broker, "/v1/rooms/main/map"))
        await crowd.catch_up(truth.revision)
        assert {digest(member.map) for member in crowd.members} == {digest(truth)}
    record = crowd.record
    print(f"{truth.revision} operations, {record.comebacks} comebacks, refused: {dict(record.errors)}")
    assert truth.revision > seconds * rate / 2 and len(truth.nodes) > 5
    assert record.comebacks and not record.gaps
    assert set(record.errors) <= FORGIVEN
    assert set(record.count.values()) == {crowd.fast}  # each operation reached each of them, once


async def test_slow_ones_dropouts_and_offline_edits_end_with_the_same_map(programs: Programs, tmp_path: Path) -> None:
    await all_agree(programs.broker(tmp_path / "data"), 30, 3, 40)


@pytest.mark.long
async def test_two_hundred_people_end_with_the_same_map_after_a_minute(programs: Programs, tmp_path: Path) -> None:
    await all_agree(programs.broker(tmp_path / "data"), 200, 60, 50)
