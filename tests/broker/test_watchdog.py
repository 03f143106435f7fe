import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from broker import watchdog
from broker.watchdog import Watchdog, WatchedLoop


def watched(work: Callable[[], Coroutine[Any, Any, None]]) -> Watchdog:
    """What the watchdog says of a loop that does this."""
    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        runner.run(work())
        found = watchdog.of(runner.get_loop())
    assert found is not None
    return found


def spin(seconds: float) -> None:
    """Use the CPU for so long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def test_another_loop_has_none() -> None:
    assert watchdog.of() is None


def test_a_callback_that_computes_is_measured_in_wall_and_cpu_time() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        spin(0.06)
        await asyncio.sleep(0)

    seen = watched(work).overall
    assert seen.cpu_ms >= 60
    assert seen.wall_ms >= seen.cpu_ms


def test_a_callback_that_waits_is_measured_in_wall_time_alone() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251
        await asyncio.sleep(0)

    seen = watched(work).overall
    assert seen.wall_ms >= 200
    assert seen.cpu_ms < 200


def test_timers_readers_and_other_threads_calls_are_callbacks_too() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        dog = watchdog.of()
        assert dog is not None
        for call in (
            lambda done: loop.call_later(0, done),
            lambda done: loop.call_soon_threadsafe(done),
            lambda done: loop.call_soon(done),
        ):
            await asyncio.sleep(0)
            dog.read()
            ended = asyncio.Event()

            def done(ended: asyncio.Event = ended) -> None:
                spin(0.05)
                ended.set()

            call(done)
            await ended.wait()
            assert dog.read().cpu_ms >= 50

    watched(work)


def test_many_short_callbacks_make_a_long_turn_and_no_long_callback() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        for _ in range(100):
            loop.call_soon(spin, 0.002)
        await asyncio.sleep(0.001)

    seen = watched(work)
    assert seen.overall.turn_ms >= 200
    assert seen.overall.cpu_ms < 200
    assert sum(seen.histogram.counts[1:]) >= 100
    assert seen.histogram.sum >= 0.2


def test_waiting_for_sockets_and_timers_blocks_nothing() -> None:
    async def work() -> None:
        await asyncio.sleep(0.3)

    seen = watched(work)
    assert seen.histogram.sum < 0.3
    assert sum(seen.histogram.counts) > 0


def test_what_was_read_is_not_read_again() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        spin(0.05)
        await asyncio.sleep(0)
        dog = watchdog.of()
        assert dog is not None
        assert dog.read().cpu_ms >= 50
        await asyncio.sleep(0)
        assert dog.read().cpu_ms < 50 <= dog.worst_ms

    watched(work)


def test_a_blocked_loops_stack_is_logged_once_without_values(caplog: pytest.LogCaptureFixture) -> None:
    logged = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.set()

    def slow_part(prompt: str) -> bool:
        return logged.wait(30)

    async def work() -> None:
        await asyncio.sleep(0)
        assert slow_part("a " + "secret moss")

    listener = Listener()
    logging.getLogger("broker").addHandler(listener)
    try:
        watched(work)
    finally:
        logging.getLogger("broker").removeHandler(listener)
    (record,) = [record for record in caplog.records if record.name == "broker"]
    assert "has been blocked for" in record.getMessage()
    assert "slow_part" in record.getMessage()
    assert "secret moss" not in record.getMessage().replace('slow_part("a " + "secret moss")', "")


def test_a_loop_may_run_again_and_its_thread_ends_with_it() -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        for _ in range(3):
            runner.run(work())
    for thread in [thread for thread in threading.enumerate() if thread.name == "watchdog"]:
        thread.join(10)
        assert not thread.is_alive()
