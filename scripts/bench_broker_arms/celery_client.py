"""An arm of the `broker` benchmark: somebody who asks a Celery worker for nothing."""

from __future__ import annotations

import itertools
import time
from collections import deque

import bench_turns
from celery_tasks import nothing

_seeds = itertools.count()


def trips(count: int) -> list[float]:
    seconds = []
    for seed in itertools.islice(_seeds, count):
        begin = time.perf_counter()
        nothing.delay(seed).get(timeout=60)
        seconds.append(time.perf_counter() - begin)
    return seconds


def window(seconds: float, outstanding: int) -> float:
    opened = deque(nothing.delay(seed) for seed in itertools.islice(_seeds, outstanding))
    begin, done = time.perf_counter(), 0
    while (now := time.perf_counter()) < begin + seconds:
        opened.popleft().get(timeout=60)
        done += 1
        opened.append(nothing.delay(next(_seeds)))
    for result in opened:
        result.get(timeout=60)
    return done / (now - begin)


if __name__ == "__main__":
    for question in bench_turns.questions():
        if "trips" in question:
            bench_turns.answer(trips(question["trips"]))
        else:
            bench_turns.answer(window(question["seconds"], question["window"]))
