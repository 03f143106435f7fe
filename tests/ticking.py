"""The stepped connection, without Blender: stepped until something is so."""

import time
from collections.abc import Callable

from addon.core.connection import Connection


def tick_until(connection: Connection, done: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, (connection.state, connection.problem)
        connection.tick()
        time.sleep(0.002)
