"""Small pictures in panels: asked of the broker when a panel wants one, decoded one a tick, and let go when they are many.

Design notes
- A panel only says what it wants to show, by `icon`; all else happens in the session's ticks.
- Blender decodes: the bytes go through an image of our own that is there only while some wait. Making and removing an image
  makes Blender look through all objects again, so one serves for all that come together.
"""

from __future__ import annotations

import collections
import functools

import bpy
import bpy.utils.previews

from . import materials
from .core import png
from .core.arrays import HAS_NUMPY, Array, np
from .core.shared import errors
from .session import session

SIDE = 128
MOST = 300
"""That are kept; those that were seen last."""
AT_ONCE = 4
"""Asked for at once."""
_WORKSHOP = "Alphaloom Thumbnail"

_previews: bpy.utils.previews.ImagePreviewCollection | None = None
_seen: collections.OrderedDict[str, None] = collections.OrderedDict()
"""Those that are there, the one that was wanted last at the end."""
_wanted: collections.OrderedDict[str, None] = collections.OrderedDict()
_asked: set[str] = set()
_arrived: collections.deque[tuple[str, bytes]] = collections.deque()
_failed: set[str] = set()


def icon(blob: str | None) -> int:
    """What draws this blob; 0 while it is not there, and then it is fetched."""
    if not blob or _previews is None or not HAS_NUMPY:
        return 0
    if blob in _previews:
        _seen.move_to_end(blob)
        return int(_previews[blob].icon_id)
    if blob not in _failed and blob not in _asked:
        _wanted[blob] = None
        _wanted.move_to_end(blob)
    return 0


def is_failed(blob: str) -> bool:
    """Whether the broker does not have it, or Blender cannot read it."""
    return blob in _failed


def step(_until: float) -> None:
    """Ask for a few more, decode one."""
    if session.connection.state != "online":
        _failed.clear()  # when the broker is back it may have them
    while _wanted and len(_asked) < AT_ONCE and session.connection.state == "online":
        blob, _ = _wanted.popitem()  # what was wanted last is what is seen now
        _asked.add(blob)
        session.ask("GET", f"/v1/blobs/{blob}/thumbnail?side={SIDE}", functools.partial(_hear, blob))
    if _arrived:
        _take(*_arrived.popleft())
        session.news += 1
        if not _arrived and not _asked:
            _close_workshop()


def _hear(blob: str, said: bytes | errors.AlphaloomError) -> None:
    if isinstance(said, bytes):
        _arrived.append((blob, said))
        return
    _asked.discard(blob)
    _failed.add(blob)
    session.news += 1


def _take(blob: str, data: bytes) -> None:
    _asked.discard(blob)
    pixels = _decoded(data)
    if pixels is None or _previews is None:
        _failed.add(blob)
        return
    if blob in _previews:
        return
    preview = _previews.new(blob)
    preview.image_size = pixels.shape[1::-1]
    preview.image_pixels_float.foreach_set(pixels.ravel())
    _seen[blob] = None
    while len(_seen) > MOST:
        oldest, _ = _seen.popitem(last=False)
        del _previews[oldest]


def _decoded(data: bytes) -> Array | None:
    """Pixels (height, width, 4) from the bottom row up, in a square: panels stretch what is none. None for no picture."""
    if not png.suffix(data):
        return None  # Blender would say so in the console
    image = _workshop() or bpy.data.images.new(_WORKSHOP, 8, 8)
    image[_WORKSHOP] = True
    materials.fill(image, data)
    width, height = image.size
    if not width or not height:
        return None
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    side = max(width, height)
    square = np.zeros((side, side, 4), np.float32)
    left, low = (side - width) // 2, (side - height) // 2
    square[low : low + height, left : left + width] = pixels.reshape(height, width, 4)
    return square


def _workshop() -> bpy.types.Image | None:
    return next((image for image in bpy.data.images if image.get(_WORKSHOP)), None)


def _close_workshop() -> None:
    image = _workshop()
    if image is not None:
        bpy.data.images.remove(image)


def _forget() -> None:
    """All of them: another broker may be next."""
    for waiting in (_seen, _wanted, _asked, _arrived, _failed):
        waiting.clear()
    if _previews is not None:
        _previews.clear()
    _close_workshop()
    session.news += 1


def register() -> None:
    global _previews
    _previews = bpy.utils.previews.new()
    session.chores.append(step)
    session.ended.append(_forget)


def unregister() -> None:
    global _previews
    session.drop(step)
    session.ended.remove(_forget)
    _forget()
    if _previews is not None:
        bpy.utils.previews.remove(_previews)
        _previews = None
