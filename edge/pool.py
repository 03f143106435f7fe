"""The engine that is loaded, and another when a job asks for another model."""

from __future__ import annotations

import gc
import logging
from collections import OrderedDict
from pathlib import Path

from protocol.model import ResolvedRequest

from . import memory
from .device import Device
from .engine import Engine
from .models.shelf import Model, Shelf

log = logging.getLogger("edge")


class Pool:
    """`kept` models stay loaded, those that were used last. Raises AlphaloomError where the first cannot be loaded."""

    def __init__(self, shelf: Shelf, device: Device, first: str, kept: int = 1):
        self._shelf, self.device, self.first = shelf, device, first
        self._kept = kept
        self._engines = OrderedDict[str, Engine]()
        self.tasks = self._load(shelf.find(first, "model")).tasks

    def of(self, request: ResolvedRequest) -> Engine:
        """Raises AlphaloomError `unknown_model`, `unsupported_model` or `out_of_memory`."""
        id = request.model or self.first
        if id in self._engines:
            self._engines.move_to_end(id)
            return self._engines[id]
        return self._load(self._shelf.find(id, "model"))

    def _load(self, model: Model) -> Engine:
        while len(self._engines) >= self._kept:
            id = next(iter(self._engines))
            del self._engines[id]  # nothing here may hold it while the other is loaded
            log.info("puts %s away for %s", id, model.id)
            gc.collect()  # pipelines and their components point at each other
            memory.release(self.device)
        engine = self._engines[model.id] = Engine(model, self.device, self._folder_of)
        return engine

    def _folder_of(self, id: str) -> Path:
        return Path(self._shelf.find(id).source)
