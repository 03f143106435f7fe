import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from broker.journal import Journal
from protocol.errors import AlphaloomError


class Disk:
    """Keeps what it is given once it is let; refuses while it is `full`."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.full = False
        self.refused = asyncio.Event()

    async def write(self, batch) -> None:
        await self.gate.wait()
        if self.full:
            self.refused.set()
            raise AlphaloomError("store_unavailable", "The disk is full.")
        for bad in {"poison", "a poem"}.intersection(batch):
            raise ValueError(bad)
        self.batches.append(list(batch))


@pytest.fixture
async def disk() -> Disk:
    return Disk()


@pytest.fixture
async def journal(disk: Disk) -> AsyncIterator[Journal]:
    made = Journal(disk.write)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_told_has_been_written_and_comes_in_order(journal: Journal, disk: Disk) -> None:
    told: list[tuple[str, int]] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: told.append((name, sum(map(len, disk.batches))))

    for n in range(3):
        journal.write(f"w{n}")
        journal.then(note(f"t{n}"))
    assert told == []
    await journal.settled()
    assert [name for name, _ in told] == ["t0", "t1", "t2"] and all(written == 3 for _, written in told)
    journal.then(note("at once"))
    assert told[-1][0] == "at once"


async def test_what_comes_while_one_batch_is_written_shares_the_next(journal: Journal, disk: Disk) -> None:
    disk.gate.clear()
    journal.write("first")
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it is at the gate now
    for n in range(100):
        journal.write(str(n))
    disk.gate.set()
    await journal.settled()
    assert [len(batch) for batch in disk.batches] == [1, 100]


async def test_who_has_nothing_to_write_waits_for_what_is_being_written_only(journal: Journal, disk: Disk) -> None:
    disk.gate.clear()
    journal.write("slow")
    await asyncio.sleep(0)
    waiting = asyncio.create_task(journal.settled())
    await asyncio.sleep(0)
    assert not waiting.done()
    disk.gate.set()
    await asyncio.wait_for(waiting, 5)


async def test_while_the_disk_is_full_nothing_new_is_taken_on_and_nothing_is_lost(journal: Journal, disk: Disk) -> None:
    disk.full = True
    journal.write("kept")
    await disk.refused.wait()
    with pytest.raises(AlphaloomError) as caught:
        journal.need()
    assert caught.value.code == "store_unavailable"
    disk.full = False
    await journal.settled()
    journal.need()
    assert disk.batches == [["kept"]]


async def test_one_that_cannot_be_written_does_not_keep_back_the_others(journal: Journal, disk: Disk, caplog) -> None:
    for what in ("a", "poison", "b"):
        journal.write(what)
    await journal.settled()
    assert disk.batches == [["a"], ["b"]] and "ValueError" in caplog.text


async def test_of_what_can_never_be_written_nobody_is_told_and_its_words_are_not_logged(
    journal: Journal, disk: Disk, caplog
) -> None:
    told: list[str] = []
    disk.gate.clear()
    journal.write("a")
    journal.then(lambda: told.append("a"))
    journal.write("with it", "a poem")
    journal.then(lambda: told.append("poem"))
    journal.then(lambda: told.append("whole"), lambda: told.append("lost"))
    lost = asyncio.create_task(journal.settled())
    await asyncio.sleep(0)
    journal.write("b")
    journal.then(lambda: told.append("b"))
    disk.gate.set()
    await journal.settled()
    assert told == ["a", "lost", "b"] and disk.batches == [["a"], ["b"]]
    with pytest.raises(AlphaloomError) as caught:
        await lost
    assert caught.value.code == "store_unavailable" and "a poem" not in caplog.messages[0]


async def test_a_listener_that_came_while_something_was_written_and_fails_ends_nothing(
    journal: Journal, disk: Disk, caplog
) -> None:
    told = []
    disk.gate.clear()
    journal.write("w")
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it is at the gate now
    journal.then(lambda: 1 / 0)
    journal.then(lambda: told.append("after"))
    disk.gate.set()
    await journal.settled()
    assert told == ["after"] and "ZeroDivisionError" in caplog.text
    journal.write("next")
    await journal.settled()
    assert disk.batches == [["w"], ["next"]]


async def test_a_listener_that_fails_does_not_keep_back_the_others(journal: Journal, disk: Disk, caplog) -> None:
    told = []
    journal.write("w")
    journal.then(lambda: 1 / 0)
    journal.then(lambda: told.append("after"))
    await journal.settled()
    assert told == ["after"] and "ZeroDivisionError" in caplog.text


async def test_what_was_being_written_when_the_broker_closes_is_written(disk: Disk) -> None:
    journal, told = Journal(disk.write), []
    task = asyncio.create_task(journal.run())
    disk.gate.clear()
    journal.write("half-way")
    journal.then(lambda: told.append("told"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    journal.write("waiting")
    disk.gate.set()
    await journal.flush()
    assert disk.batches == [["half-way", "waiting"]] and told == ["told"]
