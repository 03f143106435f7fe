"""What the engine is asked for, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from protocol.model import Modulation, ResolvedRequest

OnStep = Callable[[int, int], None]
"""Called after each diffusion step with (steps done, steps in all)."""
OnPreview = Callable[[bytes], None]
"""Called with a small JPEG of what there is so far."""


class Cancelled(Exception):
    """The job was cancelled between two steps."""


def _nobody(step: int, steps: int) -> None:
    pass


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Order:
    """One picture, its inputs as the bytes of PNG, JPEG or WebP files, and who is told of it."""

    request: ResolvedRequest
    source: bytes | None = None
    mask: bytes | None = None
    depth: bytes | None = None
    modulation: Modulation | None = None
    """For the picture's file; nothing is made of it."""
    on_step: OnStep = _nobody
    on_preview: OnPreview | None = None
    cancelled: Callable[[], bool] = _never


@dataclass(frozen=True)
class Picture:
    pixels: np.ndarray
    """(height, width, 3), uint8."""
    request: ResolvedRequest
    """With what was left to the edge filled in."""
    batch: int = 1
    """How many pictures were made at once."""
    position: int = 0
    """Which of them it was: the last bits of a sum depend on its place."""
    rung: int = 0
    """Of the memory's ladder."""
