"""What nobody needs any longer goes, from memory as from the disk."""

import time
from pathlib import Path

from serving import served

from broker import house
from broker.settings import Settings
from broker.who import Who
from protocol import edits
from protocol import messages as m
from protocol.model import Change, Link, Node

ANN = Who("ann", "editor")


def test_what_is_kept_is_what_was_set() -> None:
    kept = house.retention(Settings(keep_live_hours=2, keep_jobs_days=3, keep_deleted_days=4, cache_hours=5, cache_mb=6))
    assert (kept.live_s, kept.jobs_s, kept.purge_s) == (7200, 3 * 86400, 4 * 86400)
    assert (kept.cache_s, kept.cache_bytes, kept.blob_grace_s) == (5 * 3600, 6 << 20, 86400)


async def test_the_links_of_such_a_node_go_with_it(tmp_path: Path) -> None:
    async with served(tmp_path) as broker:
        hub = broker.hub
        hub.edit(ANN, "main", m.Edit("e", (*map(edits.create, (Node("a"), Node("b"), Link("ab", "a", "b"))),)))
        hub.edit(ANN, "main", m.Edit("f", (Change("delete", "node", "a"),)))
        await hub.settled()
        gone = await house.clean(hub, house.retention(Settings(keep_deleted_days=1)), time.time() + 2 * 86400)
        assert gone.links == (("main", "ab"),) and hub.room("main").deleted == {}


async def test_a_node_that_was_deleted_long_ago_can_no_longer_be_brought_back(tmp_path: Path) -> None:
    async with served(tmp_path) as broker:
        hub = broker.hub
        hub.edit(ANN, "main", m.Edit("e", (edits.create(Node("a")), edits.create(Node("b")))))
        hub.edit(ANN, "main", m.Edit("f", (Change("delete", "node", "a"),)))
        await hub.settled()
        deleted = hub.room("main").deleted["node", "a"].time
        kept = house.retention(Settings(keep_deleted_days=1))
        assert (await house.clean(hub, kept, deleted + 3600)).nodes == ()
        assert (await house.clean(hub, kept, deleted + 2 * 86400)).nodes == (("main", "a"),)
        assert hub.room("main").deleted == {} and set(hub.room("main").map.nodes) == {"b"}
        assert (await broker.http.get("/v1/rooms/main/deleted")).json() == []
