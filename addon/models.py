"""The models that a node may ask for: fetched when the connection stands and whenever edges come or go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy

from .core.catalogue import MODEL, Catalogue
from .core.shared import errors
from .session import session
from .translations import say

catalogue = Catalogue(say)
problem = ""
"""Why the list could not be had."""
_heard_of = -1
"""The number of edges when it was asked for; -1: not yet."""


def refresh() -> None:
    """Ask again."""
    global _heard_of
    _heard_of = -1


def step(_until: float) -> None:
    global _heard_of
    if session.connection.state != "online" or session.mirror.edges == _heard_of or not session.mirror.loaded:
        return
    _heard_of = session.mirror.edges

    def then_edges(models: bytes | errors.AlphaloomError) -> None:
        session.ask("GET", "/v1/edges", lambda edges: _hear(models, edges))

    session.ask("GET", "/v1/models", then_edges)


def _hear(models: bytes | errors.AlphaloomError, edges: bytes | errors.AlphaloomError) -> None:
    global problem
    try:
        for said in (models, edges):
            if isinstance(said, errors.AlphaloomError):
                raise ValueError(said.message)
        assert isinstance(models, bytes) and isinstance(edges, bytes)
        catalogue.hear(models, edges)
        problem = ""
    except ValueError as why:
        problem = str(why)
    session.news += 1


def search(_owner: Any, _context: bpy.types.Context, typed: str) -> Iterator[tuple[str, str]]:
    """For a field: models whose id has what is typed, with what is to be said of each."""
    for offer in catalogue.of(MODEL):
        if typed.lower() in offer.id.lower():
            yield offer.id, say(offer.note)


def _forget() -> None:
    global catalogue, problem
    catalogue, problem = Catalogue(say), ""
    refresh()


def register() -> None:
    session.chores.append(step)
    session.ended.append(_forget)


def unregister() -> None:
    session.drop(step)
    session.ended.remove(_forget)
    _forget()
