"""The plot of EEG in the sidebar: a picture that is an icon, and icons of its colours for the legend.

Design notes
- An icon belongs to the sidebar alone: nothing of it is in the file, and the 3D view need not be drawn again for it.
- It is drawn four times a second, and only while somebody sees it: the panel says so each time that it is drawn.
"""

from __future__ import annotations

import math
import time

import bpy
import bpy.utils.previews

from .core import curves
from .core.arrays import HAS_NUMPY
from .core.history import History
from .session import session

EVERY_S = 0.25
_SEEN_S = 1.5
"""For so long what was drawn is taken to be seen still."""

_icons: bpy.utils.previews.ImagePreviewCollection | None = None
_seen_at = -math.inf
_shown: tuple[str, tuple[str, ...]] = ("", ())
"""The stream and the features that the panel shows."""


def icon(stream: str, features: tuple[str, ...]) -> int:
    """The plot of these features, for a panel that is being drawn."""
    global _seen_at, _shown
    _seen_at = time.monotonic()
    if _shown != (stream, features):
        _shown = (stream, features)
        draw()
    return int(_icons["plot"].icon_id) if _icons is not None else 0


def seen() -> None:
    """A panel that changes by itself is being drawn."""
    global _seen_at
    _seen_at = time.monotonic()


def swatch(number: int) -> int:
    """The icon of a lane's colour."""
    return int(_icons[f"lane {number % len(curves.COLOURS)}"].icon_id) if _icons is not None else 0


def draw() -> None:
    """Bring the picture up to date."""
    if _icons is not None:
        stream, features = _shown
        history = session.eeg.histories.get(stream) or History()
        now = time.monotonic()
        _icons["plot"].image_pixels.foreach_set(curves.picture([history.curve(name, now) for name in features]))


def _timer() -> float:
    if time.monotonic() - _seen_at < _SEEN_S and session.connection.state == "online":
        draw()
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                for region in area.regions if area.type == "VIEW_3D" else ():
                    if region.type == "UI":
                        region.tag_redraw()
    return EVERY_S


def register() -> None:
    global _icons
    if not HAS_NUMPY:
        return
    _icons = bpy.utils.previews.new()
    _icons.new("plot").image_size = (curves.SIDE, curves.SIDE)
    for number, colour in enumerate(curves.COLOURS):
        made, pixels = _icons.new(f"lane {number}"), curves.swatch(colour)
        made.icon_size = (curves.SWATCH, curves.SWATCH)
        made.icon_pixels.foreach_set(pixels)
    draw()
    bpy.app.timers.register(_timer, persistent=True)


def unregister() -> None:
    global _icons, _seen_at, _shown
    if bpy.app.timers.is_registered(_timer):
        bpy.app.timers.unregister(_timer)
    if _icons is not None:
        bpy.utils.previews.remove(_icons)
    _icons, _seen_at, _shown = None, -math.inf, ("", ())
