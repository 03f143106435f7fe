"""Changes on their way to the disk. What depends on them is told afterwards, in their order.

Whoever changes something gives the journal what is to be written, and what is to be told once it is. While one batch is
written, the next gathers: under load many changes share one transaction, and alone none waits.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.errors import AlphaloomError

log = logging.getLogger("broker")

RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)
Call = Callable[[], None]


@dataclass
class _Step:
    """What is written together or not at all, and what is called then."""

    writes: tuple[Any, ...]
    calls: list[tuple[Call, Call | None]] = field(default_factory=list)
    """Each with what is called in its place where the writes are lost."""
    lost: bool = False


class Journal:
    def __init__(self, write: Callable[[Sequence[Any]], Any]):
        """`write` takes a batch, is awaited, and raises AlphaloomError `store_unavailable` where it may be tried again."""
        self._write = write
        self._waiting: list[_Step] = []
        self._writing: list[_Step] = []
        self._filled = asyncio.Event()
        self._trouble: AlphaloomError | None = None

    def need(self) -> None:
        """Raises AlphaloomError `store_unavailable` while nothing can be kept: nothing new is taken on then."""
        if self._trouble:
            raise self._trouble

    def write(self, *writes: Any) -> None:
        """All of them or none."""
        self._waiting.append(_Step(writes))
        self._filled.set()

    def then(self, call: Call, lost: Call | None = None) -> None:
        """Call once all that was to be written up to now is on disk; at once, if it is.

        Where what was given to `write` last can never be written, `lost` is called instead, or nothing.
        """
        if steps := self._waiting or self._writing:
            steps[-1].calls.append((call, lost))
        else:
            call()

    async def settled(self) -> None:
        """Until all that was to be written up to now is on disk.

        Raises AlphaloomError `store_unavailable` where the last of it can never be written.
        """
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def end(well: bool) -> None:
            if not kept.done():  # nobody waits any longer
                kept.set_result(well)

        self.then(lambda: end(True), lambda: end(False))
        if not await kept:
            raise AlphaloomError("store_unavailable", "What was changed could not be kept; the broker's log says why.")

    async def run(self) -> None:
        """Write until cancelled; see `close`."""
        while True:
            await self._filled.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits now."""
        self._filled.clear()
        batch, self._waiting = self._waiting, []
        self._writing = batch
        try:
            await self._insist(batch)
        except asyncio.CancelledError:  # it may be half-way: written twice it is the same
            self._waiting = batch + self._waiting
            raise
        finally:
            self._writing = []
        for step in batch:
            _tell(step)

    async def _insist(self, batch: Sequence[_Step]) -> None:
        tries = 0
        while True:
            try:
                await self._write([write for step in batch for write in step.writes])
            except AlphaloomError as error:
                if self._trouble is None:
                    log.error("nothing can be kept at the moment: %s", error.message)
                self._trouble = error
                await asyncio.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
            except Exception as problem:
                # One that can never be written must not keep back all the others.
                if len(batch) > 1:
                    for step in batch:
                        await self._insist([step])
                elif batch:
                    _lose(batch[0], problem)
                return
            else:
                if self._trouble:
                    log.warning("what had waited is kept now")
                self._trouble = None
                return


def _lose(step: _Step, problem: Exception) -> None:
    step.lost = True
    kinds = ", ".join(type(write).__name__ for write in step.writes)
    # Not the message: a database's says what was to be written, and that is people's prompts.
    where = "".join(traceback.format_tb(problem.__traceback__))
    log.error("%s cannot be kept, nobody is told of it: %s\n%s", kinds, type(problem).__name__, where)


def _tell(step: _Step) -> None:
    for call, lost in step.calls:
        try:
            if not step.lost:
                call()
            elif lost:
                lost()
        except Exception:
            log.exception("something could not be told")
