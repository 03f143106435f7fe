"""The task of the `broker` benchmark's Celery arm, and how Celery is set: as durable as it gets on Redis."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_track_started=True,  # ours tells of running, too
    broker_connection_retry_on_startup=True,
)


@app.task
def nothing(seed: int) -> dict[str, object]:
    """Gives a result as small as our edge's, whose picture has some 200 bytes."""
    return {"seed": seed, "picture": "0" * 200}
