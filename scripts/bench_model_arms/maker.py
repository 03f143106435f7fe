"""Pictures of the embedded model by the edge's engine, as a request without wishes gets them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from PIL import Image

from edge import device as devices
from edge.engine import Engine
from edge.models import shelf
from edge.orders import Order, Picture
from protocol.model import Phrase, ResolvedRequest, Settings

NAME = "0" * 64
"""Of a source or a mask: a request has one where an order has its bytes."""


class Maker:
    """`folder`: of other weights in the embedded model's place."""

    def __init__(self, folder: str = "", side: int = 256):
        known = shelf.Shelf(pulls=False)
        model = known.find(shelf.EMBEDDED)
        self.engine = Engine(replace(model, source=folder or model.source), devices.choose())
        guidance = known.entry(shelf.EMBEDDED).defaults.guidance
        usual = Settings()
        self.request = ResolvedRequest(
            "txt2img", (), "", side, side, model.steps, guidance if guidance >= 0 else usual.guidance, usual.strength, 0,
            tiling="xy",
        )  # fmt: skip
        """What all requests have in common: the model's own steps and guidance, and seamless pictures."""

    def order(self, text: str, seed: int, **wishes: Any) -> Order:
        """`wishes` are fields of the request; source and mask are pictures (h, w, 3) and (h, w), uint8."""
        source, mask = (wishes.pop(name, None) for name in ("source", "mask"))
        names = {name: NAME for name, picture in (("source", source), ("mask", mask)) if picture is not None}
        request = replace(self.request, phrases=(Phrase(text),), seed=seed, **wishes, **names)
        return Order(request, *(None if picture is None else png(picture) for picture in (source, mask)))

    def pictures(self, orders: Sequence[Order]) -> list[np.ndarray]:
        """(h, w, 3) uint8 each."""
        return list(self._pictures(orders))

    def _pictures(self, orders: Sequence[Order]) -> Iterator[np.ndarray]:
        for start in range(0, len(orders), 8):
            ready = [self.engine.prepare(order) for order in orders[start : start + 8]]
            for _, same in groupby(ready, key=lambda one: one.shape):
                batch = list(same)
                most = self.engine.most(batch[0])
                for first in range(0, len(batch), most):
                    for made in self.engine.make(batch[first : first + most]):
                        if not isinstance(made, Picture):
                            raise made
                        yield made.pixels


def png(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()
