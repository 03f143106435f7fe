"""The map in a saved .blend: what is written beside the cards, and how they and the broker's map become one again."""

from __future__ import annotations

import math
from dataclasses import replace

import bpy

from . import materials
from . import scene as cards
from .core import saved
from .core.shared import model
from .hands import as_in_panel

LEFT = "Alphaloom of Another Map"
"""The collection of cards that belong to no map that is known here."""


def note(known: model.Map, truth: model.Map) -> None:
    """Write beside each card and link what the broker has of it. `known` is what is shown, `truth` the broker's."""
    with cards.at_once():
        for kind, shown, heard in (("card", known.nodes, truth.nodes), ("link", known.links, truth.links)):
            for ident, item in shown.items():  # type: ignore[attr-defined]
                found = cards.find(kind, ident)
                if found is not None:
                    found.alphaloom.noted = saved.note(heard.get(ident, item), ident not in heard)  # type: ignore[attr-defined]


def unheard(known: model.Map, is_file: bool) -> list[model.Change]:
    """What the scene has and the broker has not heard. Of a file just opened (`is_file`) the whole map, where the broker has
    none. What is noted is used up."""
    with cards.at_once():
        found = [each for ident, kind in cards.idents().items() if (each := _saved(cards.find(kind, ident), ident)) is not None]
    return saved.unheard(known, saved.anew(found) if is_file and not known.nodes else found)


def _saved(item: bpy.types.Object | None, ident: str) -> saved.Saved | None:
    said = saved.read(item.alphaloom.noted) if item is not None and item.alphaloom.noted else None
    if item is None or said is None or said[0].id != ident:
        return None
    item.alphaloom.noted = ""
    then, mine = said
    return saved.Saved(then, _as_shown(then, item) if isinstance(then, model.Node) else then, mine)


def _as_shown(then: model.Node, card: bpy.types.Object) -> model.Node:
    x, y = (_place(now, was) for now, was in ((card.location.x, then.x), (card.location.z, then.y)))
    return replace(as_in_panel(then, card.alphaloom), x=x, y=y)


def _place(now: float, was: float) -> float:
    return was if math.isclose(now / cards.UNIT, was, abs_tol=1e-3) else round(now / cards.UNIT, 4)


def set_aside() -> str:
    """Leave all cards of the scene to the artist: they are of another map. What is to be said of it."""
    idents = cards.idents()
    materials.release_all(idents)
    count = sum(kind == "card" for kind in idents.values())
    cards.release_map(LEFT)
    return f"The {count} cards of this file are not on the broker's map: they stay as yours, in the collection {LEFT!r}."
