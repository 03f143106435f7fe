import asyncio

import pytest

from broker import arrivals
from broker.arrivals import Arrivals
from broker.outbox import Outbox
from broker.rooms import Room
from protocol import messages as m
from protocol import wire
from protocol.model import Job, Link, Map, Node


def a_room(nodes: int) -> Room:
    room = Room("main")
    there = {f"n{n}": Node(f"n{n}", 'said "map":null', x=n / 7) for n in range(nodes)}
    room.map = Map(there, {f"l{n}": Link(f"l{n}", f"n{n}", f"n{n + 1}") for n in range(nodes - 1)}, 7)
    return room


def snapshot(room: Room, map: bool = True) -> m.Snapshot:
    return m.Snapshot(room.map if map else None, (), (Job("j", "n1"),), 1, "", room='"map":null', operation="o")


async def sent(letter: object) -> m.Snapshot:
    outbox = Outbox()
    outbox.post(letter)  # type: ignore[arg-type]
    return wire.decode(await outbox.get())


@pytest.mark.parametrize("nodes", [0, 1, 3 * arrivals.PIECE])
async def test_a_snapshot_is_what_the_protocol_says(nodes: int) -> None:
    room = a_room(nodes)
    for with_map in (True, False):
        assert await sent(Arrivals().letter(room, snapshot(room, with_map))) == snapshot(room, with_map)


async def test_a_map_is_encoded_once_however_many_arrive_and_anew_when_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = 0
    items = arrivals._items

    async def counted(*args: object) -> str:
        nonlocal encoded
        encoded += 1
        return await items(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(arrivals, "_items", counted)
    room, desk = a_room(20), Arrivals()
    await asyncio.gather(*(sent(desk.letter(room, snapshot(room))) for _ in range(10)))
    assert encoded == 2  # nodes and links
    room.map = Map({}, {}, 8)
    assert (await sent(desk.letter(room, snapshot(room)))).map == room.map
    assert encoded == 4


async def test_others_have_their_turn_while_a_map_is_encoded() -> None:
    room, turns = a_room(10 * arrivals.PIECE), 0
    task = asyncio.create_task(sent(Arrivals().letter(room, snapshot(room))))
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 20
