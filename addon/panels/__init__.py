"""What the artist sees and presses. Operators only call plain functions, so that everything can be tested without a window."""

from . import (
    arrange,
    baseline,
    batch,
    child,
    connection,
    eeg,
    gallery,
    history,
    material,
    models,
    nodes,
    patch,
    preferences,
    queue,
    servers,
    sources,
    tasks,
    view,
)  # fmt: skip

_PARTS = (
    preferences, connection, servers, nodes, child, models, sources, history, arrange, gallery, queue, eeg, baseline, patch,
    tasks, material, view, batch,
)  # fmt: skip
"""A panel comes after the one that it is in."""


def register() -> None:
    for part in _PARTS:
        part.register()


def unregister() -> None:
    for part in reversed(_PARTS):
        part.unregister()
