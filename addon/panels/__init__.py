"""What the artist sees and presses. Operators only call plain functions, so that everything can be tested without a window."""

from . import (
    batch, connection, eeg, gallery, history, material, models, nodes, preferences, queue, servers, sources, tasks, view,
)  # fmt: skip

_PARTS = (
    preferences, connection, servers, nodes, models, sources, history, gallery, queue, eeg, tasks, material, view, batch,
)  # fmt: skip
"""A panel comes after the one that it is in."""


def register() -> None:
    for part in _PARTS:
        part.register()


def unregister() -> None:
    for part in reversed(_PARTS):
        part.unregister()
