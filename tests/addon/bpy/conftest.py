"""Inside Blender's Python: the extension registered in an empty file, and real programs to talk to."""

import os
import time
from collections.abc import Callable, Iterator

import bpy
import pytest
from others import Other

import addon
from addon.session import session


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Blender 4.5's module can hang when Python ends: everything is reported by now, so leave at once."""
    status = getattr(config, "alphaloom_status", None)
    if status is not None:
        print(flush=True)
        os._exit(status)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.alphaloom_status = int(exitstatus)


@pytest.fixture(autouse=True)
def empty_file() -> Iterator[None]:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon.register()
    yield
    addon.unregister()


def tick_until(done: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, (session.connection.state, session.connection.problem, session.mirror.error)
        session.tick()
        time.sleep(0.002)


@pytest.fixture
def ticks() -> Callable[..., None]:
    return tick_until


@pytest.fixture
def online(programs, tmp_path) -> str:
    """A session with a broker of its own; the broker's address."""
    broker = programs.broker(tmp_path / "data")
    session.open(broker)
    tick_until(lambda: session.mirror.loaded)
    return broker


@pytest.fixture
def other(online: str, ticks):
    made = Other(online, ticks)
    made.until(lambda: made.mirror.loaded)
    yield made
    made.connection.close()
