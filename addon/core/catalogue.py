"""Which models there are: what the broker's manifest offers and what the edges have. No `bpy`: answers in, lists out."""

from __future__ import annotations

import json
from dataclasses import dataclass

MODEL, LORA, CONTROLNET = "model", "lora", "controlnet"
"""Kinds, as a manifest calls them."""


@dataclass(frozen=True)
class Offer:
    """A model by its id, and what is to be said of it."""

    id: str
    kind: str = MODEL
    note: str = ""


class Catalogue:
    def __init__(self) -> None:
        self._manifest: dict[str, Offer] = {}
        self._at_edges: dict[str, str] = {}
        self.is_known = False
        """Whether both have been heard."""
        self.offers: tuple[Offer, ...] = ()
        """By kind, those that are loaded first."""

    def hear(self, models: bytes, edges: bytes) -> None:
        """What the broker answers at /v1/models and /v1/edges. Raises ValueError for what is neither."""
        try:
            found = {
                str(entry["id"]): Offer(str(entry["id"]), str(entry.get("kind", MODEL)), size(int(entry.get("size", 0))))
                for entry in json.loads(models)
            }
            there: dict[str, str] = {}
            for edge in json.loads(edges):
                there |= {name: there.get(name) or "on an edge" for name in edge["models"]}
                if edge["model"]:
                    there[edge["model"]] = "loaded"
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"The broker's list of models cannot be read: {problem!r}") from None
        self._manifest, self._at_edges, self.is_known = found, there, True
        offers = {name: Offer(name, found[name].kind if name in found else MODEL, note) for name, note in there.items()}
        offers |= {name: offer for name, offer in found.items() if name not in there}
        self.offers = tuple(sorted(offers.values(), key=lambda one: (one.note != "loaded", one.note != "on an edge", one.id)))

    def of(self, kind: str) -> list[Offer]:
        return [offer for offer in self.offers if offer.kind == kind]

    def problem(self, model: str) -> str:
        """Why nobody can make a picture with this model; empty where somebody can, or nothing is known."""
        if not model or not self.is_known:
            return ""
        kind = next((offer.kind for offer in self.offers if offer.id == model), "")
        if kind == MODEL:
            return ""
        if kind:
            return f"{model!r} is a {kind}, no model"
        return f"No edge has {model!r}, and no manifest names it"


def size(many: int) -> str:
    """What is to be downloaded before it can be used."""
    return (
        f"to be pulled, {many / 1e9:.1f} GB"
        if many >= 1e8
        else f"to be pulled, {many / 1e6:.0f} MB"
        if many
        else "to be pulled"
    )
