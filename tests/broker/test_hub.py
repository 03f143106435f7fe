"""The hub with a real store, without sockets."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from time import time

import pytest
from eeg import frame

from broker.hub import Edge, Hub
from broker.outbox import Outbox
from broker.store import Store
from protocol import messages as m
from protocol import wire
from protocol.errors import AlphaloomError
from protocol.model import Node, Performer, Rule
from signals import patch_files

MUSE = Performer("Muse", 256.0, {"TP9": "temporal"}, missing={"calm": "no posterior site"})


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    store = Store(tmp_path)
    made = Hub(store)
    await made.load()
    yield made
    store.close()


def a_client(hub: Hub) -> Outbox:
    client = Outbox()
    hub.join(client)
    return client


async def heard(client: Outbox, kind: type):
    while not isinstance(message := wire.decode(await client.get()), kind):
        pass
    return message


def play(hub: Hub, z: float, number: int = 1, seconds: float = 5.0) -> None:
    """A performer has played for some seconds until now."""
    start = time() - seconds
    for n in range(round(seconds * 10) + 1):
        now = start + n / 10
        hub.player.hear(number, frame(now, alpha=z), now)


async def test_a_job_carries_what_the_eeg_moved(hub: Hub) -> None:
    client, edge = a_client(hub), Edge(m.Hello(1, "edge", max_side=512))
    await hub.join_edge(edge)
    await hub.handle_client(client, m.SetPatch((Rule("alpha", "guidance", 2.0), Rule("alpha", "turbulent/calm", 1.0))))
    play(hub, 3.0)
    await hub.handle_client(client, m.PutNode(Node("n", "stone")))
    await hub.handle_client(client, m.Generate("n", "j"))
    request = (await heard(edge.outbox, m.Run)).request
    assert 5 < request.guidance <= 6 and request.phrases[0].text.startswith("stone, (calm)")
    modulation = hub.jobs["j"].modulation
    assert modulation is not None and modulation.streams == ("headset",) and not modulation.sham
    assert [move.target for move in modulation.moves] == ["guidance", "turbulent/calm"]


async def test_the_sham_is_told_to_everybody_and_stands_in_the_job(hub: Hub) -> None:
    client, edge = a_client(hub), Edge(m.Hello(1, "edge", max_side=512))
    await hub.join_edge(edge)
    with pytest.raises(AlphaloomError, match="--sham"):
        await hub.handle_client(client, m.SetSham(True))
    hub.player.recording = "yesterday"
    await hub.handle_client(client, m.SetSham(True))
    while not (await heard(client, m.Status)).sham:
        pass
    start = time() - 5
    for n in range(51):
        hub.player.hear_sham(frame(start + n / 10, alpha=3.0), start + n / 10)
    await hub.handle_client(client, m.PutNode(Node("n", "stone")))
    await hub.handle_client(client, m.Generate("n", "j"))
    modulation = hub.jobs["j"].modulation
    assert modulation is not None and modulation.sham and modulation.streams == ("yesterday",)
    late = a_client(hub)
    assert (await heard(late, m.Snapshot)).sham


async def test_frames_and_performers_go_to_everybody(hub: Hub) -> None:
    client = a_client(hub)
    hub.set_performer(1, None, "looking for 'Muse'")
    hub.set_performer(2, Performer("Unicorn", 250.0, {}), "")
    hub.set_performer(1, MUSE, "")
    statuses = [await heard(client, m.Status) for _ in range(3)]
    assert [s.eeg for s in statuses] == ["looking for 'Muse'", "looking for 'Muse'; Unicorn", "Muse; Unicorn"]
    assert [p.stream for p in statuses[2].performers] == ["Muse", "Unicorn"]
    hub.hear(1, frame(time(), alpha=1.0))
    assert (await heard(client, m.Features)).frame.features["alpha"].z == 1.0
    assert hub.eeg_report()["frames"][1]["signal"] == "good"


async def test_a_patch_with_a_feature_that_the_headset_lacks_is_taken_with_a_warning(hub: Hub) -> None:
    hub.set_performer(1, MUSE, "")
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


async def test_a_stored_patch_that_cannot_be_played_gives_way_to_the_default(hub: Hub, tmp_path: Path, caplog) -> None:
    hub.store.change(1, rules=(Rule("alpha", "speed", 1.0),))
    again = Hub(hub.store)
    with caplog.at_level(logging.WARNING):
        await again.load()
    assert again.player.patch == patch_files.load(patch_files.DEFAULT) and "'speed'" in caplog.text
