import asyncio
from typing import Any

import pytest
from desk import ANN, BOB, Desk
from picture_files import encoded, jpeg, png

from broker import flash
from broker.dispatch import Edge
from broker.people import Client
from broker.previews import MAX_BYTES
from broker.store import Store
from broker.who import Who
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Change, new_id

DARK, LIGHT = jpeg(32, 32, 20), jpeg(32, 32, 235)
HEAVY = encoded("JPEG", (256, 512), quality=100)
assert len(HEAVY) > MAX_BYTES


async def say(desk: Desk, edge: Edge, run: m.Run, payload: bytes, attempt: int | None = None) -> None:
    await desk.work.handle_edge(edge, m.Preview(run.job, payload, run.attempt if attempt is None else attempt, "another"))
    await desk.hub.gallery.previews.settled()


async def begun(desk: Desk, job: str = "j", node: str = "n", **fields: Any) -> tuple[Edge, m.Run]:
    edge = desk.edge(slots=4)
    desk.node(node, **fields)
    await desk.ask(job, node)
    return edge, await desk.heard(edge)


async def previews(desk: Desk, client: Client) -> list[m.Preview]:
    return [message for message in await desk.told(client) if isinstance(message, m.Preview)]


async def test_a_preview_goes_to_everybody_in_the_room_and_to_nobody_else(desk: Desk) -> None:
    desk.hub.create_room(ANN, "attic")
    viewer, elsewhere = desk.client(Who("vic", "viewer")), desk.client(ANN, "attic")
    edge, run = await begun(desk)
    await say(desk, edge, run, DARK)
    assert await previews(desk, viewer) == [m.Preview("j", DARK, 1, "n")]
    assert await previews(desk, elsewhere) == []


async def test_one_without_a_node_goes_to_who_asked(desk: Desk) -> None:
    mine, others = desk.client(ANN), desk.client(BOB)
    edge = desk.edge()
    await desk.ask("j")
    run = await desk.heard(edge)
    await say(desk, edge, run, DARK)
    assert await previews(desk, mine) == [m.Preview("j", DARK, 1)] and await previews(desk, others) == []
    assert desk.hub.gallery.previews.newest("j") == DARK
    await desk.answer(edge, run)
    await desk.end("j")
    assert desk.hub.gallery.previews.newest("j") is None


async def test_all_who_share_a_run_see_it(desk: Desk) -> None:
    edge = desk.edge(models={"m": "f"})
    for node in "ab":
        desk.node(node, prompt="same")
        await desk.ask(f"job {node}".replace(" ", "-"), node)
    client = desk.client()
    await say(desk, edge, await desk.heard(edge), DARK)
    assert {(one.job, one.node) for one in await previews(desk, client)} == {("job-a", "a"), ("job-b", "b")}


async def test_of_those_that_come_while_one_is_looked_at_the_newest_is_shown(desk: Desk) -> None:
    client = desk.client()
    edge, run = await begun(desk)
    shades = [jpeg(32, 32, 100 + n) for n in range(5)]
    for shade in shades:
        await desk.work.handle_edge(edge, m.Preview(run.job, shade, run.attempt))
    await desk.hub.gallery.previews.settled()
    client.put(m.Status(1, ""))  # a slow client: the second took the first one's place
    assert [one.payload for one in await previews(desk, client)] == [shades[-1]]
    assert desk.hub.gallery.screens._screens["main", "n"].last == 0


async def test_what_would_flash_is_dropped_and_what_is_calm_is_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "WINDOW_S", 1000.0)
    client = desk.client()
    edge, run = await begun(desk)
    seen = []
    for n in range(9):
        await say(desk, edge, run, (DARK, LIGHT)[n % 2])
        seen += await previews(desk, client)
    assert [one.payload for one in seen] == [DARK, LIGHT, DARK, LIGHT, DARK, LIGHT, DARK, DARK]  # six transitions, then calm


async def test_the_picture_before_and_the_one_after_count(desk: Desk, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "WINDOW_S", 1000.0)
    client = desk.client()
    edge, run = await begun(desk, picture=store.blobs.put(png(64, 64, 235)))
    for n in range(5):  # and as many transitions, with that from the light picture before
        await say(desk, edge, run, (DARK, LIGHT)[n % 2])
        assert len(await previews(desk, client)) == 1
    await desk.answer(edge, run, png(64, 64, 235))
    await desk.end("j")
    await asyncio.gather(*desk.hub.gallery.screens.held)
    await desk.ask("k", "n")
    run = await desk.heard(edge)
    await say(desk, edge, run, DARK)
    assert await previews(desk, client) == []
    await say(desk, edge, run, LIGHT)
    assert len(await previews(desk, client)) == 1


async def test_to_go_back_to_the_picture_before_counts(desk: Desk, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "WINDOW_S", 1000.0)
    client = desk.client()
    edge, run = await begun(desk, picture=store.blobs.put(png(64, 64, 235)))
    for n in range(3):
        await say(desk, edge, run, DARK)
        assert len(await previews(desk, client)) == 1
        desk.hub.cancel(ANN, run.job)
        await desk.work.handle_edge(edge, m.JobFailed(run.job, run.attempt, "cancelled", ""))
        await desk.ask(f"j{n}", "n")
        run = await desk.heard(edge)
    await say(desk, edge, run, DARK)
    assert await previews(desk, client) == []


async def test_a_live_nodes_jobs_have_none(desk: Desk) -> None:
    client = desk.client()
    edge, run = await begun(desk)
    desk.hub.edit(ANN, "main", m.Edit(new_id(), (Change("update", "node", "n", {"live": True}),)))
    await say(desk, edge, run, DARK)
    assert await previews(desk, client) == []


@pytest.mark.parametrize(
    "payload",
    [b"", png(32, 32), jpeg(32, 32)[:-100], jpeg(520, 8), HEAVY, b"\xff\xd8\xff" * 100],
    ids=["nothing", "PNG", "half", "wide", "heavy", "rubbish"],
)
async def test_what_is_no_small_jpeg_is_dropped_and_said_once(desk: Desk, payload: bytes, caplog: Any) -> None:
    client = desk.client()
    edge, run = await begun(desk)
    await say(desk, edge, run, payload)
    await say(desk, edge, run, payload)
    assert await previews(desk, client) == []
    assert sum("previews that are not shown" in record.message for record in caplog.records) == 1
    await say(desk, edge, run, DARK)
    assert len(await previews(desk, client)) == 1


async def test_an_attempt_that_is_over_has_no_preview(desk: Desk) -> None:
    client = desk.client()
    edge, run = await begun(desk)
    with pytest.raises(AlphaloomError) as caught:
        await say(desk, edge, run, DARK, attempt=2)
    assert caught.value.code == "not_your_job"
    await desk.work.handle_edge(edge, m.Preview(run.job, DARK, run.attempt))
    desk.hub.cancel(ANN, "j")
    await desk.hub.gallery.previews.settled()
    assert await previews(desk, client) == [] and not desk.hub.gallery.screens.was_previewed(("main", "other"))


async def test_a_preview_says_that_the_job_goes_on(desk: Desk) -> None:
    edge, run = await begun(desk)
    execution = edge.running["j"]
    execution.lease_end = before = 0.0
    await say(desk, edge, run, DARK)
    assert execution.lease_end > before
