"""Pictures of live nodes, no faster than they may change (see docs/protocol.md). No `bpy`.

The broker lets none flash. But what it sends apart may come together: a network that stood still, Blender busy with
something else. So each node's picture changes no sooner than `LIVE_PICTURE_S` after it has changed, whatever has come.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from .shared import messages as m


class Calm:
    def __init__(self) -> None:
        self._changed: dict[str, float] = {}
        """When each node's picture has changed, in seconds of a clock that is never set back."""
        self._kept: dict[str, m.Picture] = {}

    def take(self, picture: m.Picture) -> None:
        """The newest picture of its node; what was kept is overtaken."""
        self._kept[picture.node] = picture

    def due(self, now: float) -> Iterator[m.Picture]:
        """What is to be shown now. What somebody asked for waits for nothing, but others wait for it."""
        for node, picture in list(self._kept.items()):
            if not picture.live or now - self._changed.get(node, -math.inf) >= m.LIVE_PICTURE_S:
                del self._kept[node]
                self._changed[node] = now
                yield picture

    def keeps(self, node: str, blob: str) -> bool:
        """Whether that picture is there, and will be shown."""
        return node in self._kept and self._kept[node].blob == blob
