"""How much and how often: token buckets and a count of connections. Pure but for the clock, which is given."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from protocol.errors import AlphaloomError

Clock = Callable[[], float]


class Bucket:
    """So many a second for long, `burst` of them at once."""

    __slots__ = ("_at", "_burst", "_clock", "_left", "_rate")

    def __init__(self, rate: float, burst: float, clock: Clock = time.monotonic):
        self._rate, self._burst, self._clock = rate, max(1.0, float(burst)), clock
        self._left, self._at = self._burst, clock()

    def take(self) -> float:
        """0.0 when one was taken; else the seconds until there is one to take, and none was taken."""
        self._fill()
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / self._rate

    def spend(self) -> float:
        """Take one in any case; the seconds to rest until it is paid for."""
        self._fill()
        self._left -= 1.0
        return max(0.0, -self._left / self._rate)

    @property
    def is_full(self) -> bool:
        self._fill()
        return self._left >= self._burst

    def _fill(self) -> None:
        now = self._clock()
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now


class Buckets:
    """A bucket for each name. Names come from outside: the ones unused for longest are forgotten, `most` are known."""

    def __init__(self, rate: float, burst: float, most: int = 10_000, clock: Clock = time.monotonic):
        self._rate, self._burst, self._most, self._clock = rate, burst, most, clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, name: str) -> float:
        """As Bucket.take."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(self._rate, self._burst, self._clock)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return bucket.take()

    def __len__(self) -> int:
        return len(self._buckets)


class Connections:
    """Counts what is open, and refuses what is too much."""

    def __init__(self, most: int):
        self.most = most
        self.open = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Raises AlphaloomError `too_many_connections`."""
        if self.open >= self.most:
            raise AlphaloomError(
                "too_many_connections",
                f"{self.open} connections are open, the most this broker takes. Try again later, or raise max_connections.",
                limit=self.most,
            )
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1
