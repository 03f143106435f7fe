"""Which models there are: what the broker's manifest offers and what the edges have. No `bpy`: answers in, lists out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

MODEL = "model"
"""What a manifest calls one that makes pictures by itself; LoRAs and ControlNets are of other kinds."""


@dataclass(frozen=True)
class Offer:
    """A model by its id, and what is to be said of it."""

    id: str
    kind: str = MODEL
    note: str = ""


LOADED, THERE, NOWHERE = "loaded", "on an edge", "no edge can load it"


class Catalogue:
    def __init__(self, say: Callable[[str], str] = str) -> None:
        """`say` translates."""
        self._say = say
        self.is_known = False
        """Whether both have been heard."""
        self.offers: tuple[Offer, ...] = ()
        """Those that are loaded first, those on an edge behind them."""

    def hear(self, models: bytes, edges: bytes) -> None:
        """What the broker answers at /v1/models and /v1/edges. Raises ValueError for what is neither."""
        try:
            manifest = {
                str(entry["id"]): Offer(
                    str(entry["id"]), str(entry.get("kind", MODEL)), size(int(entry.get("size", 0)), self._say)
                )
                for entry in json.loads(models)
            }
            at_work = json.loads(edges)
            there: dict[str, str] = {}
            for edge in at_work:
                for name, fingerprint in edge["models"].items():  # without one, it may have to be pulled first
                    there[name] = there.get(name) or (THERE if fingerprint or name not in manifest else "")
            there |= {edge["model"]: LOADED for edge in at_work if edge["model"]}
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"The broker's list of models cannot be read: {problem!r}") from None
        offers = []
        for name in manifest.keys() | there.keys():
            known = manifest.get(name, Offer(name))
            is_lost = bool(at_work) and known.kind == MODEL and name not in there
            offers.append(replace(known, note=NOWHERE if is_lost else there.get(name) or known.note))
        self.is_known = True
        self.offers = tuple(
            sorted(offers, key=lambda one: (one.note != LOADED, one.note != THERE, one.note == NOWHERE, one.id))
        )

    def of(self, kind: str) -> list[Offer]:
        return [offer for offer in self.offers if offer.kind == kind]

    def problem(self, model: str) -> str:
        """Why nobody can make a picture with this model; empty where somebody can, or nothing is known."""
        if not model or not self.is_known:
            return ""
        known = next((offer for offer in self.offers if offer.id == model), None)
        if known is None:
            return f"No edge has {model!r}, and no manifest names it"
        if known.kind != MODEL:
            return f"{model!r} is a {known.kind}, no model"
        return f"No edge that is at work can load {model!r}" if known.note == NOWHERE else ""


def size(many: int, say: Callable[[str], str] = str) -> str:
    """What is to be downloaded before it can be used."""
    if not many:
        return say("to be pulled")
    size = f"{many / 1e9:.1f} GB" if many >= 1e8 else f"{many / 1e6:.0f} MB"
    return say("to be pulled, {size}").format(size=size)
