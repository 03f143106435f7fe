"""What the artist sees and presses. Operators only call plain functions, so that everything can be tested without a window."""

from . import arrange, child, connection, eeg, nodes, preferences, queue

_PARTS = (preferences, connection, nodes, child, arrange, queue, eeg)  # a panel comes after the one that it is in


def register() -> None:
    for part in _PARTS:
        part.register()


def unregister() -> None:
    for part in reversed(_PARTS):
        part.unregister()
