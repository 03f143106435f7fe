import asyncio
import contextlib
import io
import itertools
import struct
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from broker import flash
from broker.dispatch import Edge
from broker.hub import Hub
from broker.live import Live
from broker.outbox import Outbox
from broker.people import Client
from broker.store import Store
from broker.who import Who
from protocol import edits, wire
from protocol import messages as m
from protocol.model import Feature, Frame, Link, Node, Rule, Settings, new_id
from signals.patch_files import Patch

WHO = Who("ann", "editor")
SMALL = Settings(64, 64)


def png(light: float, seed: int = 0) -> bytes:
    pixels = np.full((64, 64, 3), round(light * 255), np.uint8)
    pixels[0, 0] = seed
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


class World:
    """A real hub on a real store; the test is its edge, its clock and one of its people."""

    def __init__(self, hub: Hub):
        self.hub, self.now = hub, 1000.0
        hub.live = self.live = Live(hub, 10.0, lambda: self.now)
        hub.work.ledger.changed = self.live.follow
        self.client = Client(WHO, "main")
        hub.clients.add(self.client)
        self.edges: list[Edge] = []

    def join_edge(self, **more: object) -> Edge:
        edge = Edge(m.Hello(2, "edge", f"edge {len(self.edges)}", model="m", max_side=2048, **more))
        self.edges.append(edge)
        self.hub.work.join_edge(edge)
        return edge

    def put(self, *items: Node | Link) -> None:
        self.hub.edit(WHO, "main", m.Edit(new_id(), tuple(edits.create(item) for item in items)))

    def change(self, node: str, **fields: object) -> None:
        old = self.hub.rooms["main"].map.nodes[node]
        self.hub.edit(WHO, "main", m.Edit(new_id(), (edits.update(old, replace(old, **fields)),)))

    async def pass_time(self, seconds: float = 1.0) -> None:
        """In steps as the loop makes them."""
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            await self.live.step()

    async def order(self, edge: Edge) -> m.Run:
        return await said(edge.outbox, m.Run)

    async def make(self, edge: Edge, picture: bytes | None = None) -> m.Run:
        """Make the next picture."""
        run = await self.order(edge)
        await self.deliver(edge, run, picture or png(0.5, len(run.job)))
        return run

    async def deliver(self, edge: Edge, run: m.Run, picture: bytes) -> None:
        await self.hub.work.handle_edge(edge, m.Result(run.job, run.attempt, replace(run.request, steps=4), picture))
        await self.hub.work.close()  # it is stored

    def open(self) -> list[str]:
        return [job.state for job in self.hub.work.open.values()]


async def next_is_held(world: World, edge: Edge) -> None:
    """The next live picture would flash."""
    world.change("a", prompt="v1")
    await world.pass_time()
    await world.make(edge, png(0.0))
    (waiting,) = world.hub.gallery.screens.held
    assert not (await asyncio.wait([waiting], timeout=0.1))[0]
    waiting.cancel()


async def said(outbox: Outbox, kind: type) -> object:
    while not isinstance(message := wire.decode(await outbox.get()), kind):
        pass
    return message


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = Store(tmp_path)
    hub = Hub(store)
    await hub.load()
    journal = asyncio.create_task(hub.journal.run())
    yield World(hub)
    await hub.settled()
    journal.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await journal
    store.close()


async def test_a_live_node_is_made_once_and_anew_when_it_changes(world: World) -> None:
    edge = world.join_edge()
    world.put(Node("a", "moss", settings=SMALL, live=True))
    await world.pass_time()
    first = await world.make(edge)
    assert first.request.phrases[0].text == "moss"
    await world.pass_time()
    assert world.open() == []
    world.change("a", prompt="lichen")
    await world.pass_time()
    assert (await world.make(edge)).request.phrases[0].text == "lichen"


async def test_a_node_that_is_not_live_is_left_alone(world: World) -> None:
    world.put(Node("a", "moss", settings=SMALL))
    await world.pass_time()
    assert world.open() == []


async def test_one_runs_and_one_waits_and_the_waiting_one_is_the_newest_when_it_begins(world: World) -> None:
    edges = world.join_edge(), world.join_edge()  # a second edge makes no second one of the same node
    world.put(Node("a", "v0", settings=SMALL, live=True))
    await world.pass_time()
    running = await world.order(edges[0])
    for n in range(1, 6):
        world.change("a", prompt=f"v{n}")
        await world.pass_time()
        assert sorted(world.open()) == ["queued", "running"]
    await world.deliver(edges[0], running, png(0.5))
    assert (await world.make(edges[0])).request.phrases[0].text == "v5"
    await world.pass_time()
    assert world.open() == []
    assert len(await world.hub.store.run(world.hub.store.jobs)) == 2


async def test_no_oftener_than_its_pictures_take_to_be_made(world: World) -> None:
    edge = world.join_edge()
    world.put(Node("a", "v0", settings=SMALL, live=True))
    made = 0
    for n in range(60):
        world.change("a", prompt=f"v{n}")
        await world.pass_time(0.1)
        if n % 20 == 10:  # each takes one to two seconds
            await world.make(edge)
            made += 1
    assert made == 3
    done = await world.hub.store.run(world.hub.store.jobs)
    assert len(done) <= made + 2


async def test_no_oftener_than_it_may(world: World) -> None:
    edge = world.join_edge()
    world.put(Node("a", "v0", settings=SMALL, live=True))
    made = 0
    for n in range(40):
        world.change("a", prompt=f"v{n}")
        await world.pass_time(0.05)
        if "running" in world.open():
            await world.make(edge)
            made += 1
    assert 18 <= made <= 21  # in two seconds at 10/s


async def test_a_child_by_image_is_made_anew_from_its_parents_new_picture(world: World) -> None:
    edge = world.join_edge()
    world.put(
        Node("a", "moss", settings=SMALL, live=True),
        Node("b", "wet", "", "img2img", SMALL, live=True),
        Link("ab", "a", "b", "image"),
    )
    await world.pass_time()
    await world.make(edge, png(0.3))
    for task in set(world.hub.gallery.screens.held):
        await task
    await world.pass_time()
    source = (await world.make(edge, png(0.4))).request.source
    assert source == world.hub.rooms["main"].map.nodes["a"].picture
    assert source is not None


async def test_a_child_is_made_though_its_live_parent_is_always_being_made(world: World) -> None:
    edge = world.join_edge()
    world.put(
        Node("a", "moss", settings=SMALL, live=True, picture=world.hub.store.blobs.put(png(0.2))),
        Node("b", "wet", "", "img2img", SMALL, live=True),
        Link("ab", "a", "b", "image"),
    )
    await world.pass_time()
    tasks = {(await world.make(edge)).request.task for _ in range(2)}
    assert tasks == {"txt2img", "img2img"}


async def test_what_plays_no_part_makes_nothing_anew(world: World) -> None:
    edge = world.join_edge()
    world.put(Node("a", "moss", settings=replace(SMALL, variation_seed=7, control_strength=0.5), live=True))
    await world.pass_time()
    request = (await world.make(edge)).request
    assert (request.variation_seed, request.control_strength) == (1, 1.0)
    await world.pass_time()
    assert world.open() == []
    world.change("a", settings=replace(SMALL, variation_seed=8))
    await world.pass_time()
    assert world.open() == []


async def test_moving_cards_asks_for_nothing(world: World) -> None:
    edge = world.join_edge()
    world.put(Node("a", "moss", settings=SMALL, live=True), Node("b", "x", settings=SMALL))
    await world.pass_time()
    await world.make(edge)
    for n in range(5):
        world.change("a", x=float(n))
        world.change("b", y=float(n), prompt=f"not its parent {n}")
        await world.pass_time()
    assert world.open() == []


async def test_the_eeg_makes_it_anew_when_it_has_moved_enough_to_be_seen(world: World) -> None:
    edge = world.join_edge()
    rule = Rule("alpha", "guidance", 2.5, deadband=0.0, slew=2.0, cutoff=10.0)
    world.hub.stage.set_patch(Patch("test", "", (rule,)))
    times = (time.time() + n / 50 for n in itertools.count())

    async def hear(z: float) -> None:
        for _ in range(20):
            world.hub.stage.hear(1, Frame(next(times), {"alpha": Feature(1.0, z, 1.0, 0.0)}, "s"))
        await world.pass_time()

    world.put(
        Node("a", "moss", settings=replace(SMALL, guidance=6.0), live=True),
        Node("b", "still", settings=replace(SMALL, modulate=False), live=True),
    )
    await hear(0.0)
    for _ in range(2):
        await world.make(edge)
    await world.pass_time()
    assert world.open() == []
    await hear(0.001)
    assert world.open() == []
    await hear(2.0)
    assert (await world.make(edge)).request.guidance > 7
    await world.pass_time()
    assert world.open() == []


async def test_what_cannot_be_made_is_told_once(world: World) -> None:
    world.join_edge()
    world.put(Node("a", settings=SMALL, live=True))
    await world.pass_time(5)
    world.change("a", negative="still no prompt")
    await world.pass_time(5)
    await world.hub.settled()
    messages = [wire.decode(await world.client.outbox.get()) for _ in range(len(world.client.outbox._waiting))]
    errors = [message for message in messages if isinstance(message, m.Error)]
    assert [(error.code, error.about) for error in errors] == [("no_prompt", "a")]


async def test_what_failed_is_not_tried_again_until_it_changes(world: World) -> None:
    edge = world.join_edge()
    world.put(Node("a", "moss", settings=SMALL, live=True))
    await world.pass_time()
    run = await world.order(edge)
    await world.hub.work.handle_edge(edge, m.JobFailed(run.job, run.attempt, "out_of_memory", "too large"))
    await world.pass_time(60)
    assert world.open() == []
    world.change("a", prompt="lichen")
    await world.pass_time()
    assert (await world.make(edge)).request.phrases[0].text == "lichen"


async def test_a_queue_that_is_full_loses_no_node(world: World) -> None:
    world.hub.work.limits = replace(world.hub.work.limits, of_person=3)
    edge = world.join_edge()
    names = {f"n{n}" for n in range(10)}
    world.put(*(Node(name, name, settings=SMALL, live=True) for name in sorted(names)))
    made = set()
    for _ in range(10):
        await world.pass_time(2)
        made.add((await world.make(edge)).request.phrases[0].text)
    assert made == names


async def test_what_is_live_no_longer_waits_for_nothing(world: World) -> None:
    world.put(Node("a", "moss", settings=SMALL, live=True))
    await world.pass_time()
    assert world.open() == ["queued"]
    world.change("a", live=False)
    await world.pass_time()
    assert world.open() == []


async def test_deleted_nodes_and_rooms_are_forgotten(world: World) -> None:
    admin = Who("root", "admin")
    world.hub.create_room(admin, "other")
    world.put(Node("a", "moss", settings=SMALL, live=True))
    world.hub.edit(WHO, "other", m.Edit("e", (edits.create(Node("b", "moss", settings=SMALL, live=True)),)))
    await world.pass_time()
    assert len(world.live) == 2
    world.hub.edit(WHO, "main", m.Edit("f", (edits.Change("delete", "node", "a"),)))
    world.hub.drop_room(admin, "other")
    await world.pass_time()
    assert len(world.live) == 0
    assert world.open() == []


async def test_pictures_that_would_flash_are_held_and_the_newest_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flash, "WINDOW_S", 1000.0)
    edge = world.join_edge()
    world.put(Node("a", "v0", settings=SMALL, live=True))

    async def show(n: int) -> str | None:
        world.change("a", prompt=f"v{n}")
        await world.pass_time()
        await world.make(edge, png(n % 2, n))
        return world.hub.store.blobs.put(png(n % 2, n))

    blobs = []
    for n in range(7):  # six transitions
        blobs.append(await show(n))
        await asyncio.gather(*world.hub.gallery.screens.held)
        assert world.hub.rooms["main"].map.nodes["a"].picture == blobs[-1]
    held = await show(7)
    (waiting,) = world.hub.gallery.screens.held
    assert not waiting.done()
    calm = await show(8)  # as light as the one that is seen
    await asyncio.gather(*world.hub.gallery.screens.held)
    assert world.hub.rooms["main"].map.nodes["a"].picture == calm
    await world.hub.settled()
    history = await world.hub.store.run(world.hub.store.history, "main", "a", 100, True)
    assert held in [job.picture for job in history]
    assert {job.state for job in history} == {"done"}


async def test_a_held_picture_is_shown_when_its_time_has_come(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "WINDOW_S", 0.3)
    edge = world.join_edge()
    world.put(Node("a", "v0", settings=SMALL, live=True))
    for n in range(12):
        world.change("a", prompt=f"v{n}")
        await world.pass_time()
        await world.make(edge, png(n % 2, n))
        await asyncio.gather(*world.hub.gallery.screens.held)
        assert world.hub.rooms["main"].map.nodes["a"].picture == world.hub.store.blobs.put(png(n % 2, n))


async def test_what_somebody_asks_for_is_shown_at_once_but_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "WINDOW_S", 1000.0)
    edge = world.join_edge()
    world.put(Node("a", "v0", settings=SMALL, live=True))
    await world.pass_time()
    await world.make(edge, png(0.0))
    for n in range(1, 10):
        await world.hub.generate(WHO, "main", m.Generate("a", f"job{n}"))
        await world.make(edge, png(n % 2, n))
        assert world.hub.rooms["main"].map.nodes["a"].picture == world.hub.store.blobs.put(png(n % 2, n))
        await asyncio.gather(*world.hub.gallery.screens.held)
    await next_is_held(world, edge)


async def test_what_the_disk_keeps_back_counts_when_it_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "WINDOW_S", 0.3)
    disk = asyncio.Event()
    write = world.hub.journal._write

    async def slow(batch: Sequence[Any]) -> None:
        await disk.wait()
        await write(batch)

    edge = world.join_edge()
    world.put(Node("a", "v0", settings=SMALL, live=True))
    await world.pass_time()
    for n in range(1, 4):
        await world.make(edge, png(n % 2, n))
        await asyncio.gather(*world.hub.gallery.screens.held)
        world.change("a", prompt=f"v{n}")
        await world.pass_time()
    await world.hub.settled()
    monkeypatch.setattr(world.hub.journal, "_write", slow)
    screens, shown = world.hub.gallery.screens, asyncio.Event()
    settled = screens._settled

    async def tell() -> None:
        shown.set()
        await settled()

    monkeypatch.setattr(screens, "_settled", tell)
    first, second = png(0.0, 4), png(1.0, 5)
    try:
        await world.make(edge, first)
        (telling,) = screens.held
        await shown.wait()  # else the second might be looked at sooner, and overtake it
        world.change("a", prompt="v4")
        await world.pass_time()
        await world.make(edge, second)
        done, _ = await asyncio.wait(screens.held, timeout=0.5)  # more than the window
        assert not done
        assert world.hub.rooms["main"].map.nodes["a"].picture == world.hub.store.blobs.put(first)
    finally:
        disk.set()  # or nothing that comes after would end
    await telling
    told = time.monotonic()
    assert screens._screens["main", "a"].guard._turned[-1][0] <= told
    await asyncio.gather(*screens.held)
    assert world.hub.rooms["main"].map.nodes["a"].picture == world.hub.store.blobs.put(second)


async def test_a_picture_that_somebody_chose_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "WINDOW_S", 1000.0)
    edge = world.join_edge()
    world.put(Node("a", "v0", settings=SMALL, live=True))
    await world.pass_time()
    await world.make(edge, png(0.0))
    for n in range(1, 8):
        world.change("a", picture=world.hub.store.blobs.put(png(n % 2, n)))
        await asyncio.gather(*world.hub.gallery.screens.held)
    await next_is_held(world, edge)


async def test_a_broken_picture_is_not_shown_and_keeps_none_back(world: World, caplog: pytest.LogCaptureFixture) -> None:
    edge = world.join_edge()
    world.put(Node("a", "v0", settings=SMALL, live=True))
    await world.pass_time()
    whole = png(0.5)
    half = zlib.compress(bytes(64 * 193))[:20]
    chunk = struct.pack(">I", len(half)) + b"IDAT" + half
    broken = whole[:33] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + bytes(20)
    with pytest.raises(SyntaxError):
        flash.look(broken)
    await world.hub.gallery.screens.count(("main", "a"), asyncio.sleep(0, broken))
    assert "cannot be looked at" in caplog.text
    await world.make(edge, whole)
    await asyncio.gather(*world.hub.gallery.screens.held)
    assert world.hub.rooms["main"].map.nodes["a"].picture == world.hub.store.blobs.put(whole)


async def test_the_loop_runs_until_it_is_cancelled(world: World) -> None:
    live = world.hub.live = Live(world.hub)
    world.hub.work.ledger.changed = live.follow
    edge = world.join_edge()
    loop = asyncio.create_task(live.run())
    world.put(Node("a", "moss", settings=SMALL, live=True))
    await world.make(edge)
    world.change("a", prompt="lichen")
    assert (await world.make(edge)).request.phrases[0].text == "lichen"
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop
