"""The hub with a real store, without sockets."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from time import time
from typing import Any

import pytest
from eeg import frame
from picture_files import png

from broker.dispatch import Edge
from broker.hub import Hub
from broker.people import Client
from broker.store import Store, writes
from broker.who import Who
from protocol import edits, wire
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Change, Map, Node, Performer, Rule, Settings, new_id
from signals import patch_files

ANN, BOB, ADMIN = Who("ann", "editor"), Who("bob", "editor"), Who("root", "admin")
MUSE = Performer("Muse", 256.0, {"TP9": "temporal"}, missing={"calm": "no posterior site"})


@pytest.fixture
async def hub(store: Store) -> AsyncIterator[Hub]:
    async for made in a_hub(store):
        yield made


async def a_hub(store: Store) -> AsyncIterator[Hub]:
    hub = Hub(store)
    await hub.load()
    running = asyncio.create_task(hub.run())
    yield hub
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await hub.close()


def a_client(hub: Hub, who: Who = ANN, room: str = "main", **back: Any) -> Client:
    client = Client(who, room)
    hub.join(client, m.Hello(2, who.role, **back))
    client.subscribe(20.0)
    return client


async def heard(client: Client | Edge, kind: type) -> Any:
    async with asyncio.timeout(10):
        while not isinstance(message := wire.decode(await client.outbox.get()), kind):
            pass
    return message


def an_edit(*changes: Change | Node) -> m.Edit:
    return m.Edit(new_id(), tuple(c if isinstance(c, Change) else edits.create(c) for c in changes))


# -- maps and people --


async def test_everybody_in_a_room_hears_what_is_done_there_and_nobody_else(hub: Hub) -> None:
    hub.create_room(ANN, "attic", "The attic")
    ann, bob = a_client(hub), a_client(hub, BOB, "attic")
    await hub.handle_client(ann, an_edit(Node("a")))
    await hub.handle_client(bob, an_edit(Node("b")))
    for client, node in ((ann, "a"), (bob, "b")):
        assert (await heard(client, m.Edited)).operation.changes[0].id == node
    assert set(hub.room("main").map.nodes) == {"a"}


async def test_who_joins_while_others_edit_ends_with_the_same_map(hub: Hub) -> None:
    first = a_client(hub)
    watchers = []
    for n in range(20):
        await hub.handle_client(first, an_edit(Node(f"n{n}")))
        watchers.append(a_client(hub, BOB))
    await hub.settled()
    for watcher in watchers:
        map, last = Map(), hub.room("main").map.revision
        while map.revision < last:
            message = wire.decode(await watcher.outbox.get())
            if isinstance(message, m.Snapshot):
                map = message.map
            elif isinstance(message, m.Edited):
                assert message.operation.revision == map.revision + 1
                map = edits.apply(map, message.operation)
        assert map == hub.room("main").map


async def test_who_comes_back_hears_what_was_missed_and_no_more(hub: Hub) -> None:
    first = a_client(hub)
    await hub.handle_client(first, an_edit(Node("a")))
    seen = (await heard(first, m.Edited)).operation
    hub.leave(first)
    hub.edit(BOB, "main", an_edit(Node("b")))
    back = await heard(a_client(hub, revision=seen.revision, operation=seen.id), m.Snapshot)
    assert back.map is None and [c.id for o in back.missed for c in o.changes] == ["b"]
    stranger = await heard(a_client(hub, revision=seen.revision, operation="of another past"), m.Snapshot)
    assert set(stranger.map.nodes) == {"a", "b"} and stranger.missed == ()


async def test_a_restart_remembers_maps_links_tombstones_and_what_was_missed(store: Store) -> None:
    async for hub in a_hub(store):
        hub.create_room(ANN, "attic", "The attic")
        hub.edit(
            ANN, "attic", an_edit(Node("a", "moss"), Node("b"), Change("create", "link", "ab", {"parent": "a", "child": "b"}))
        )
        first = hub.room("attic").log[-1].operation
        hub.edit(ANN, "attic", an_edit(Change("delete", "node", "a")))
        before = hub.room("attic").map
    async for hub in a_hub(store):
        room = hub.room("attic")
        assert (room.title, room.map) == ("The attic", before)
        assert len(room.missed(first.revision, first.id) or ()) == 1
        hub.undo(ANN, "attic", "u")
        assert set(room.map.links) == {"ab"} and room.map.nodes["a"].prompt == "moss"


async def test_what_was_done_before_is_told_to_who_asks_again_only(hub: Hub) -> None:
    ann, bob = a_client(hub), a_client(hub, BOB)
    edit = an_edit(Node("a"))
    for _ in range(2):
        await hub.handle_client(ann, edit)
    for _ in range(2):
        assert (await heard(ann, m.Edited)).operation.id == edit.id
    await heard(bob, m.Edited)
    hub.report(AlphaloomError("end", ""))
    assert (await heard(bob, m.Edited | m.Error)).code == "end"


async def test_the_end_of_a_job_is_told_once_also_if_it_ends_at_once(hub: Hub) -> None:
    ann, edge = a_client(hub), Edge(m.Hello(2, "edge", max_side=512, model="m", models={"m": "f"}))
    hub.work.join_edge(edge)
    await hub.handle_client(ann, an_edit(Node("n", "moss", settings=Settings(64, 64))))
    await hub.handle_client(ann, m.Generate("n", "first"))
    run = await heard(edge, m.Run)
    await hub.work.handle_edge(edge, m.Result(run.job, run.attempt, run.request, png(64, 64)))
    await hub.ended("first")
    await hub.handle_client(ann, m.Generate("n", "remembered"))
    await hub.settled()
    hub.report(AlphaloomError("end", ""))
    ends = []
    while not isinstance(message := await heard(ann, m.JobChanged | m.Error), m.Error):
        ends += [message.job.id] if message.job.state == "done" else []
    assert ends == ["first", "remembered"]


async def test_people_see_who_is_here_and_what_they_have_selected(hub: Hub) -> None:
    ann = a_client(hub)
    await hub.handle_client(ann, an_edit(Node("a")))
    await hub.settled()
    bob = a_client(hub, BOB)
    assert [p.person for p in (await heard(bob, m.Snapshot)).people] == ["ann"]
    assert (await heard(ann, m.Present)).presence.person == "bob"
    await hub.handle_client(bob, m.Select(("a", "nowhere")))
    assert (await heard(ann, m.Present)).presence.selected == ("a",)
    hub.leave(bob)
    assert not (await heard(ann, m.Present)).presence.here


async def test_a_viewer_looks_on_and_changes_nothing(hub: Hub) -> None:
    viewer = a_client(hub, Who("eve", "viewer"))
    for message in (
        an_edit(Node("a")), m.Undo("u"), m.Redo("r"), m.Generate("a", "j"), m.Cancel("j"), m.SetPatch(()), m.SetSham(True)
    ):  # fmt: skip
        with pytest.raises(AlphaloomError) as caught:
            await hub.handle_client(viewer, message)
        assert caught.value.code == "forbidden"
    await hub.handle_client(viewer, m.Select(()))


async def test_a_room_is_made_once_and_deleted_by_an_admin_who_shows_its_people_out(hub: Hub) -> None:
    hub.create_room(ANN, "attic")
    with pytest.raises(AlphaloomError, match="already"):
        hub.create_room(BOB, "attic")
    with pytest.raises(AlphaloomError, match="admin"):
        hub.drop_room(ANN, "attic")
    bob = a_client(hub, BOB, "attic")
    await hub.handle_client(bob, an_edit(Node("n")))
    await hub.handle_client(bob, m.Generate("n", "j"))
    hub.drop_room(ADMIN, "attic")
    assert (await heard(bob, m.Error)).code == "unknown_room" and not hub.work.open
    with pytest.raises(AlphaloomError, match="attic"):
        await hub.handle_client(bob, an_edit(Node("m")))
    with pytest.raises(AlphaloomError, match="stays"):
        hub.drop_room(ADMIN, "main")


async def test_a_source_that_was_never_uploaded_is_refused(hub: Hub) -> None:
    with pytest.raises(AlphaloomError, match="Upload it"):
        hub.edit(ANN, "main", an_edit(Node("a", source="a" * 64)))
    hub.edit(ANN, "main", an_edit(Node("a", source=hub.store.blobs.put(b"picture"))))


# -- EEG --


def play(hub: Hub, z: float, number: int = 1, seconds: float = 5.0) -> None:
    """A performer has played for some seconds until now."""
    start = time() - seconds
    for n in range(round(seconds * 10) + 1):
        now = start + n / 10
        hub.player.hear(number, frame(now, alpha=z), now)


async def test_a_job_carries_what_the_eeg_moved(hub: Hub) -> None:
    client, edge = a_client(hub), Edge(m.Hello(2, "edge", max_side=512))
    hub.work.join_edge(edge)
    await hub.handle_client(client, m.SetPatch((Rule("alpha", "guidance", 2.0), Rule("alpha", "turbulent/calm", 1.0))))
    play(hub, 3.0)
    await hub.handle_client(client, an_edit(Node("n", "stone")))
    await hub.handle_client(client, m.Generate("n", "j"))
    request = (await heard(edge, m.Run)).request
    assert 5 < request.guidance <= 6 and request.phrases[0].text.startswith("stone, (calm)")
    modulation = hub.work.open["j"].modulation
    assert modulation is not None and modulation.streams == ("headset",) and not modulation.sham
    assert [move.target for move in modulation.moves] == ["guidance", "turbulent/calm"]


async def test_the_sham_is_told_to_everybody_and_stands_in_the_job(hub: Hub) -> None:
    client, edge = a_client(hub), Edge(m.Hello(2, "edge", max_side=512))
    hub.work.join_edge(edge)
    with pytest.raises(AlphaloomError, match="--sham"):
        await hub.handle_client(client, m.SetSham(True))
    hub.player.recording = "yesterday"
    await hub.handle_client(client, m.SetSham(True))
    while not (await heard(client, m.Status)).sham:
        pass
    start = time() - 5
    for n in range(51):
        hub.player.hear_sham(frame(start + n / 10, alpha=3.0), start + n / 10)
    await hub.handle_client(client, an_edit(Node("n", "stone")))
    await hub.handle_client(client, m.Generate("n", "j"))
    modulation = hub.work.open["j"].modulation
    assert modulation is not None and modulation.sham and modulation.streams == ("yesterday",)
    late = a_client(hub)
    assert (await heard(late, m.Snapshot)).sham


async def test_frames_and_performers_go_to_everybody(hub: Hub) -> None:
    client = a_client(hub)
    hub.stage.set_performer(1, None, "looking for 'Muse'")
    hub.stage.set_performer(2, Performer("Unicorn", 250.0, {}), "")
    hub.stage.set_performer(1, MUSE, "")
    statuses = [await heard(client, m.Status) for _ in range(3)]
    assert [s.eeg for s in statuses] == ["looking for 'Muse'", "looking for 'Muse'; Unicorn", "Muse; Unicorn"]
    assert [p.stream for p in statuses[2].performers] == ["Muse", "Unicorn"]
    hub.stage.hear(1, frame(time(), alpha=1.0))
    assert (await heard(client, m.Features)).frame.features["alpha"].z == 1.0
    assert hub.stage.report()["frames"][1]["signal"] == "good"


async def test_a_patch_with_a_feature_that_the_headset_lacks_is_taken_with_a_warning(hub: Hub) -> None:
    hub.stage.set_performer(1, MUSE, "")
    client = a_client(hub)
    await hub.handle_client(client, m.SetPatch((Rule("calm", "blend", 0.3),)))
    error = await heard(client, m.Error)
    assert error.code == "idle_rule" and "no posterior site" in error.message
    assert hub.player.rules == (Rule("calm", "blend", 0.3),)


async def test_a_bad_patch_changes_nothing(hub: Hub) -> None:
    before = hub.player.patch
    with pytest.raises(AlphaloomError) as caught:
        await hub.handle_client(a_client(hub), m.SetPatch((Rule("alpha", "speed", 1.0),)))
    assert caught.value.code == "bad_patch" and hub.player.patch == before


async def test_a_stored_patch_that_cannot_be_played_gives_way_to_the_default(hub: Hub, caplog) -> None:
    hub.store.write([writes.PutFact("patch", (Rule("alpha", "speed", 1.0),))])
    again = Hub(hub.store)
    with caplog.at_level(logging.WARNING):
        await again.load()
    assert again.player.patch == patch_files.load(patch_files.DEFAULT) and "'speed'" in caplog.text
