"""What the artist sees and presses. Operators only call plain functions, so that everything can be tested without a window."""

from . import connection, eeg, gallery, history, models, nodes, preferences, queue, servers, sources

_PARTS = (preferences, connection, servers, nodes, models, sources, history, gallery, queue, eeg)
"""A panel comes after the one that it is in."""


def register() -> None:
    for part in _PARTS:
        part.register()


def unregister() -> None:
    for part in reversed(_PARTS):
        part.unregister()
