"""What the artist sees and presses. Operators only call plain functions, so that everything can be tested without a window."""

from . import batch, connection, eeg, material, nodes, preferences, queue, tasks, view

_PARTS = (preferences, connection, nodes, queue, eeg, tasks, material, view, batch)  # a panel comes after the one that it is in


def register() -> None:
    for part in _PARTS:
        part.register()


def unregister() -> None:
    for part in reversed(_PARTS):
        part.unregister()
