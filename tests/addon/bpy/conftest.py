"""Inside Blender's Python: the extension registered in an empty file, and real programs to talk to.

A broker takes a second to start, so tests share two: `online` is a map of the test's own where nobody makes pictures, `making`
one where an edge does. What ends its broker, gives it edges or goes to another takes `alone`.
"""

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import bpy
import processes
import pytest
from others import Other

import addon
from addon.core.shared import model
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
    """As in a Blender that has just been started: a session keeps the map of before until it is opened again."""
    session.__init__()
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
    room = model.new_id()
    said = None
    for _ in processes.until(30, every=0.02):
        said = tell(broker, "GET", "/health")
        if said["edges"] == edges and not said["jobs"]:
            break
    else:
        pytest.fail(f"{edges} edges and no job were to be at work, and the broker says {said}")
    tell(broker, "POST", f"/v1/patches/{FIRST_PATCH}/play")
    tell(broker, "POST", "/v1/rooms", {"id": room})
    session.connection.room = room
    try:
        session.open(broker)
        tick_until(lambda: session.mirror.loaded and session.mirror.edges == edges)
        yield
    finally:
        session.close()
        tell(broker, "DELETE", f"/v1/rooms/{room}")


def tell(broker: str, method: str, path: str, body: object = None) -> Any:
    """Over HTTP and at once, as no session does it; the broker's answer."""
    connection = http.client.HTTPConnection(broker.removeprefix("ws://"), timeout=30)
    with closing(connection):
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
    assert answer.status < 300, (method, path, said)
    return json.loads(said or b"null")


@pytest.fixture
def other(online: str, ticks):
    made = Other(online, ticks)
    made.until(lambda: made.mirror.loaded)
    yield made
    made.connection.close()
