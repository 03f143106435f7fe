"""Pictures that change by themselves, no faster than they may (see docs/protocol.md). No `bpy`.

The broker lets none flash. But what it sends apart may come together: a network that stood still, Blender busy with
something else. So each node's picture changes no sooner than `LIVE_PICTURE_S` after it has changed, whatever has come.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .shared import messages as m


@dataclass(frozen=True)
class Back:
    """A node shows its picture again; what was previewed did not become one."""

    node: str


class Calm:
    def __init__(self) -> None:
        self._changed: dict[str, float] = {}
        """When each node's picture has changed, in seconds of a clock that is never set back."""
        self._kept: dict[str, m.Picture | m.Preview | Back] = {}
        self._previewed: set[str] = set()
        """Nodes that show a preview."""

    def take(self, picture: m.Picture) -> None:
        """The newest picture of its node; what was kept is overtaken."""
        self._kept[picture.node] = picture

    def preview(self, preview: m.Preview) -> None:
        """The newest preview of its node. A picture that is kept goes before: it is shown in a moment."""
        if not isinstance(self._kept.get(preview.node), m.Picture):
            self._kept[preview.node] = preview

    def back(self, node: str) -> None:
        """There will be no picture of what was previewed."""
        if isinstance(self._kept.get(node), m.Picture):
            return
        self._kept.pop(node, None)
        if node in self._previewed:
            self._kept[node] = Back(node)

    def due(self, now: float) -> Iterator[m.Picture | m.Preview | Back]:
        """What is to be shown now. What somebody asked for waits for nothing, but others wait for it."""
        for node, kept in list(self._kept.items()):
            asked = isinstance(kept, m.Picture) and not kept.live
            if asked or now - self._changed.get(node, -math.inf) >= m.LIVE_PICTURE_S:
                del self._kept[node]
                self._changed[node] = now
                (self._previewed.add if isinstance(kept, m.Preview) else self._previewed.discard)(node)
                yield kept

    def keeps(self, node: str, blob: str) -> bool:
        """Whether that picture is there, and will be shown."""
        kept = self._kept.get(node)
        return isinstance(kept, m.Picture) and kept.blob == blob
