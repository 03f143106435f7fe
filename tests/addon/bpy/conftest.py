"""Inside Blender's Python: the extension registered in an empty file, and real programs to talk to."""

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import processes
import pytest
from others import Other

import addon
from addon.core.shared import address, model
from addon.session import session

FIRST_PATCH = "drift"
"""What a broker plays that was told nothing else."""


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


@pytest.fixture(scope="session")
def waiting_room(lasting_programs, tmp_path_factory) -> str:
    """A broker without an edge: what is asked for waits."""
    return lasting_programs.broker(tmp_path_factory.mktemp("waiting"), name="waiting")


@pytest.fixture(scope="session")
def workshop(lasting_programs, tmp_path_factory) -> str:
    """A broker with an edge that makes pictures of nothing."""
    broker = lasting_programs.broker(tmp_path_factory.mktemp("workshop"), name="workshop")
    lasting_programs.noop_edge(broker)
    return broker


@pytest.fixture
def online(waiting_room: str) -> Iterator[str]:
    """A session on a map of its own, where nobody makes pictures; the broker's address."""
    with map_of_its_own(waiting_room, edges=0):
        yield waiting_room


@pytest.fixture
def making(workshop: str) -> Iterator[str]:
    """A session on a map of its own, and an edge at work; the broker's address."""
    with map_of_its_own(workshop, edges=1):
        yield workshop


@pytest.fixture
def alone(programs, tmp_path: Path) -> str:
    """A session with a broker of its own, "broker" of `programs`, that may be ended and given edges; the broker's address."""
    broker = programs.broker(tmp_path / "data")
    session.open(broker)
    tick_until(lambda: session.mirror.loaded)
    return broker


@contextmanager
def map_of_its_own(broker: str, edges: int) -> Iterator[None]:
    """On a broker that other tests have, too: what goes over all its maps is as on the first day, and the map goes with its
    jobs afterwards."""
    http, room = address.parse(broker).http, model.new_id()
    said = None
    for _ in processes.until(30, every=0.02):
        said = processes.get(f"{http}/health")
        if said["edges"] == edges and not said["jobs"]:
            break
    else:
        pytest.fail(f"{edges} edges and no job were to be at work, and the broker says {said}")
    tell(http, "POST", f"/v1/patches/{FIRST_PATCH}/play")
    tell(http, "POST", "/v1/rooms", {"id": room})
    session.connection.room = room
    session.open(broker)
    tick_until(lambda: session.mirror.loaded and session.mirror.edges == edges)
    try:
        yield
    finally:
        session.close()
        session.connection.room = model.MAIN_ROOM
        tell(http, "DELETE", f"/v1/rooms/{room}")


def tell(http: str, method: str, path: str, body: object = None) -> None:
    data = json.dumps(body).encode() if body is not None else b""
    request = urllib.request.Request(http + path, data, {"Content-Type": "application/json"}, method=method)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30).close()


@pytest.fixture
def other(online: str, ticks):
    made = Other(online, ticks)
    made.until(lambda: made.mirror.loaded)
    yield made
    made.connection.close()
