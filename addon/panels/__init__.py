"""What the artist sees and presses. Operators only call plain functions, so that everything can be tested without a window."""

from . import baseline, connection, eeg, nodes, patch, preferences, queue

_PARTS = (preferences, connection, nodes, queue, eeg, baseline, patch)  # a panel comes after the one that it is in


def register() -> None:
    for part in _PARTS:
        part.register()


def unregister() -> None:
    for part in reversed(_PARTS):
        part.unregister()
