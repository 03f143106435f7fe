import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from broker import jobs
from broker.journal import Journal
from broker.ledger import Ledger
from broker.store import Store
from protocol.errors import AlphaloomError
from protocol.model import Job


@pytest.fixture
async def ledger(store: Store) -> AsyncIterator[Ledger]:
    journal = Journal(lambda batch: store.run(store.write, batch))
    task = asyncio.create_task(journal.run())
    yield Ledger(store, journal)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def ended(job: Job) -> Job:
    return jobs.cancel(job, 5.0)


async def test_a_job_is_counted_for_its_person_and_its_node_until_it_ends(ledger: Ledger) -> None:
    first, second = Job("a", "n", person="ann"), Job("b", "n", person="ann")
    for job in (first, second, replace(first, state="running")):
        ledger.put(job)
    assert ledger.of_person("ann") == 2 and [job.state for job in ledger.of_node("main", "n")] == ["running", "queued"]
    for job in (first, second):
        ledger.put(ended(job))
    assert ledger.of_person("ann") == 0 and ledger.of_node("main", "n") == [] and not ledger.open


async def test_each_state_is_told_once_it_is_on_disk(ledger: Ledger, store: Store) -> None:
    told: list[tuple[str, str]] = []
    ledger.told = lambda job: told.append((job.id, job.state))
    ledger.put(Job("a", ""))
    assert told == []
    ledger.put(ended(Job("a", "")))
    job = await ledger.end_of("a")
    assert job.state == "cancelled" and store.job("a") == job
    assert told == [("a", "queued"), ("a", "cancelled")]


async def test_who_waits_for_the_end_is_woken_by_it(ledger: Ledger) -> None:
    ledger.put(Job("a", ""))
    waiting = [asyncio.create_task(ledger.end_of("a")) for _ in range(2)]
    await asyncio.sleep(0)
    ledger.put(ended(Job("a", "")))
    assert [(await one).state for one in waiting] == ["cancelled", "cancelled"]
    with pytest.raises(AlphaloomError, match="No job"):
        await ledger.end_of("another")


async def test_a_job_that_has_just_ended_is_found_as_it_ended(ledger: Ledger) -> None:
    job = Job("a", "")
    ledger.put(job)
    ledger.put(ended(job))
    assert ledger.newest(job).state == "cancelled"
    assert (await ledger.find("a") or job).state == "cancelled"
    assert await ledger.find("b") is None


async def test_jobs_of_an_earlier_broker_are_found_on_disk(ledger: Ledger, store: Store) -> None:
    ledger.put(ended(Job("old", "")))
    await ledger.end_of("old")
    again = Ledger(store, ledger._journal)
    assert await again.find("old") is None  # it has not been told of it
    again.load(["old"])
    assert (await again.find("old") or Job("", "")).state == "cancelled"
