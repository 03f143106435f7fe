import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from broker.dispatch import Edge
from broker.hub import Hub
from broker.metrics import MAX_CODES, Metrics
from broker.people import Client
from broker.store import Store
from broker.watchdog import Watchdog
from broker.who import Who
from protocol import edits
from protocol import messages as m
from protocol.model import Job, Node, ResolvedRequest

ANN = Who("ann the person", "editor")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    store = Store(tmp_path)
    made = Hub(store)
    await made.load()
    yield made
    await made.journal.flush()
    store.close()


def read(metrics: Metrics) -> dict[str, float]:
    """Samples by name and labels, as Prometheus parses them."""
    body, kind = metrics.render()
    assert kind.startswith("text/plain")
    return {
        sample.name + "".join(f" {k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


async def test_what_the_hub_holds_is_looked_up(hub: Hub) -> None:
    metrics = Metrics(hub)
    nodes = Node("a", "a secret prompt"), Node("b", "moss", live=True)
    hub.edit(ANN, "main", m.Edit("e1", tuple(edits.create(node) for node in nodes)))
    await hub.generate(ANN, "main", m.Generate("a", "job1"))
    hub.clients.add(Client(ANN, "main"))
    hub.work.join_edge(Edge(m.Hello(2, "edge", "gpu", model="other", max_side=64, slots=3, tasks=())))
    seen = read(metrics)
    assert seen["alphaloom_jobs_open state=queued"] == 1
    assert seen["alphaloom_jobs_open state=running"] == 0
    assert seen["alphaloom_nodes"] == 2
    assert seen["alphaloom_live_nodes"] == 1
    assert seen["alphaloom_rooms"] == 1
    assert seen["alphaloom_clients"] == 1
    assert seen["alphaloom_edges draining=false"] == 1
    assert seen["alphaloom_edge_slots"] == 3
    assert seen["alphaloom_cache_entries"] == seen["alphaloom_cache_bytes"] == 0


async def test_no_person_room_or_prompt_is_told(hub: Hub) -> None:
    metrics = Metrics(hub)
    hub.create_room(ANN, "secret-room")
    hub.edit(ANN, "secret-room", m.Edit("e1", (edits.create(Node("a", "a secret prompt")),)))
    metrics.follow(await hub.generate(ANN, "secret-room", m.Generate("a", "job1")))
    metrics.error("a secret prompt, as a code")
    body, _ = metrics.render()
    assert b"ann" not in body
    assert b"secret" not in body


async def test_jobs_are_counted_as_they_end(hub: Hub) -> None:
    metrics = Metrics(hub)
    asked = Job("j", "a", created=time.time() - 7)
    request = ResolvedRequest("txt2img", (), "", 64, 64, 1, 1.0, 1.0, 0)
    running = replace(asked, state="running", attempt=1, resolved=request)
    again = replace(running, attempt=2)
    for job in (asked, running, asked, again, replace(again, state="done")):
        metrics.follow(job)
    metrics.follow(replace(asked, state="done", cached=True))
    metrics.follow(replace(asked, state="superseded", live=True))
    seen = read(metrics)
    assert seen["alphaloom_jobs_ended_total live=false state=done"] == 2
    assert seen["alphaloom_jobs_ended_total live=true state=superseded"] == 1
    assert seen["alphaloom_job_wait_seconds_count"] == 1
    assert seen["alphaloom_job_wait_seconds_sum"] >= 7
    assert seen["alphaloom_job_run_seconds_count"] == 1
    assert seen["alphaloom_cache_lookups_total result=hit"] == 1
    assert seen["alphaloom_cache_lookups_total result=miss"] == 1


async def test_what_happens_is_counted(hub: Hub) -> None:
    metrics = Metrics(hub)
    metrics.operation()
    metrics.heard()
    metrics.said(200)
    metrics.error("no_prompt")
    metrics.blob("in", 1000)
    metrics.frame()
    seen = read(metrics)
    assert seen["alphaloom_operations_total"] == 1
    assert seen["alphaloom_messages_total direction=in"] == 1
    assert seen["alphaloom_messages_total direction=out"] == 200
    assert seen["alphaloom_errors_total code=no_prompt"] == 1
    assert seen["alphaloom_blob_bytes_total direction=in"] == 1000
    assert seen["alphaloom_eeg_frames_total"] == 1


async def test_error_codes_do_not_grow_without_bound(hub: Hub) -> None:
    metrics = Metrics(hub)
    for n in range(2 * MAX_CODES):
        metrics.error(f"code_{n}")
    codes = [name for name in read(metrics) if name.startswith("alphaloom_errors_total")]
    assert len(codes) <= MAX_CODES + 1


async def test_the_watchdogs_figures_are_told(hub: Hub) -> None:
    dog = Watchdog()
    for now in (10.0, 10.25, 10.2504):
        dog.began(now)
    seen = read(Metrics(hub, dog))
    assert seen["alphaloom_loop_worst_seconds of=wall"] == pytest.approx(0.25)
    assert seen["alphaloom_loop_callback_seconds_bucket le=0.001"] == 1
    assert seen["alphaloom_loop_callback_seconds_bucket le=0.2"] == 1
    assert seen["alphaloom_loop_callback_seconds_bucket le=0.5"] == 2
    assert seen["alphaloom_loop_callback_seconds_count"] == 2
    assert seen["alphaloom_loop_callback_seconds_sum"] == pytest.approx(0.2504)


async def test_two_brokers_in_one_process_count_apart(hub: Hub) -> None:
    one, other = Metrics(hub), Metrics(hub)
    one.operation()
    assert read(one)["alphaloom_operations_total"] == 1
    assert read(other)["alphaloom_operations_total"] == 0
