"""What the camera or the view sees, as guidance for a node: how far everything is, or how it looks.

Design notes
- Depth is looked up by lines of sight, a few at each tick: the same in a window and without one, and nothing freezes.
- A look needs the graphics card, for it is the view as it is drawn.
- Both are in the node's own size, through the same frame as projections; the map's own objects are not in them.
- What was begun belongs to a node by its id: it may be gone, or others may have changed it, when the picture is there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import bpy
from mathutils import Matrix

from . import scene as cards
from . import sight, sources, viewpoint
from .core import png
from .core.arrays import Array, np
from .core.shared import errors, model
from .session import session
from .translations import say
from .viewpoint import Viewpoint

MOST = 512
"""Lines of sight along the longer side; a larger map repeats them."""
AT_ONCE = 32
"""Lines of sight between two looks at the clock."""
FAR = 0.1
"""How bright the farthest thing is before nothing, which is black."""

current: Depth | None = None
said = ""
"""How the last one went."""


class Depth:
    """A depth map in the making."""

    def __init__(self, node: str, scene: int, seen: Viewpoint, width: int, height: int):
        """`scene` is its session_uid: names are the same in another file."""
        self.node, self.scene, self.seen, self.size = node, scene, seen, (width, height)
        share = min(1.0, MOST / max(width, height))
        self.columns, self.rows = max(1, round(width * share)), max(1, round(height * share))
        self._found = np.full((self.columns * self.rows, 3), np.nan)
        self._at = 0

    @property
    def progress(self) -> float:
        return self._at / len(self._found)

    def look(self, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, end: float) -> bool:
        """Look until about `end`; whether all has been looked at."""
        while self._at < len(self._found):
            which = np.arange(self._at, min(self._at + AT_ONCE, len(self._found)))
            u = (which % self.columns + 0.5) / self.columns
            v = 1 - (which // self.columns + 0.5) / self.rows
            for at, start, way in zip(which, *self.seen.rays(u, v), strict=True):
                hit = sight.look(scene, depsgraph, start, way)
                if hit is not None:
                    self._found[at] = hit
            self._at = int(which[-1]) + 1
            if time.perf_counter() > end:
                break
        return self._at == len(self._found)

    def picture(self) -> bytes:
        """White is near, black is nothing. Raises AlphaloomError `nothing_seen`."""
        there = ~np.isnan(self._found[:, 0])
        if not there.any():
            raise errors.AlphaloomError("nothing_seen", "Nothing is in sight: turn the view or the camera towards something.")
        depths = self.seen.depths(self._found[there])
        grey = np.zeros(len(self._found))
        grey[there] = near_is_white(depths, self.seen.is_flat, bool(there.all()))
        width, height = self.size
        rows = np.arange(height) * self.rows // height
        columns = np.arange(width) * self.columns // width
        return png.encode(np.rint(255 * grey.reshape(self.rows, self.columns)[rows][:, columns]).astype(np.uint8))


def near_is_white(depths: Array, is_flat: bool, is_full: bool) -> Array:
    """0..1, 1 is nearest; in perspective by the inverse, as depth models give it. Where it is not all there is in the picture,
    the farthest is still told from nothing."""
    values = -depths if is_flat else 1 / np.maximum(depths, 1e-6)
    low, high = values.min(), values.max()
    share = (values - low) / (high - low) if high > low else np.ones(len(values))
    return share if is_full else FAR + (1 - FAR) * share


# -- depth ------------------------------------------------------------------------------------------------


def begin_depth(context: bpy.types.Context, node: model.Node, source: str) -> None:
    """Begin to look. Raises AlphaloomError `busy`, `no_camera` or `bad_camera`."""
    global current
    if current is not None:
        raise errors.AlphaloomError("busy", "A depth map is being made: wait for its end.")
    width, height = node.settings.width, node.settings.height
    current = Depth(node.id, context.scene.session_uid, viewpoint.here(context, source, width, height), width, height)
    session.chores.append(_look)
    _say("")


def _look(end: float) -> bool:
    global current
    depth, current = current, None  # one that raises is not gone on with
    if depth is None:
        return True
    if bpy.context.scene.session_uid != depth.scene:
        _say(say("The depth map was given up: another scene is open."))
        return True
    shown = int(20 * depth.progress)
    if not depth.look(bpy.context.scene, bpy.context.evaluated_depsgraph_get(), end):
        session.news += int(20 * depth.progress) != shown
        current = depth
        return False
    try:
        give(depth.node, "depth", depth.picture())
    except errors.AlphaloomError as error:
        _say(error.message)
    return True


# -- the look ---------------------------------------------------------------------------------------------


def take_view(context: bpy.types.Context, node: model.Node, source: str) -> None:
    """Give what is seen to a node as its source. Raises AlphaloomError `no_window`, `no_graphics`, `no_camera` or
    `bad_camera`."""
    seen = viewpoint.view_of(context)
    if seen is None:
        raise errors.AlphaloomError("no_window", "This needs a 3D view in a window, and a graphics card.")
    width, height = node.settings.width, node.settings.height
    frame = viewpoint.here(context, source, width, height)
    give(node.id, "source", png.encode(_drawn(context, *seen, frame, width, height)))


def _drawn(
    context: bpy.types.Context,
    region: bpy.types.Region,
    space: bpy.types.SpaceView3D,
    frame: Viewpoint,
    width: int,
    height: int,
) -> Array:
    """(height, width, 3) of bytes, from the top row down."""
    import gpu  # not without a window

    try:
        screen = gpu.types.GPUOffScreen(width, height)
    except (RuntimeError, SystemError) as problem:
        raise errors.AlphaloomError("no_graphics", f"The graphics card cannot draw the view: {problem}.") from None
    try:
        with _map_hidden(context, space):
            view, window = Matrix(frame.view), Matrix(frame.window)
            layer = context.view_layer
            screen.draw_view3d(context.scene, layer, space, region, view, window, do_color_management=True)
        pixels = screen.texture_color.read()
        pixels.dimensions = width * height * 4
        return np.array(pixels, np.uint8).reshape(height, width, 4)[::-1, :, :3]
    finally:
        screen.free()


@contextlib.contextmanager
def _map_hidden(context: bpy.types.Context, space: bpy.types.SpaceView3D) -> Iterator[None]:
    """The view without overlays, and without cards."""
    overlays, owner = space.overlay.show_overlays, cards.collection(context.scene)
    hidden, selected = owner.hide_viewport, context.selected_objects
    space.overlay.show_overlays, owner.hide_viewport = False, True
    context.view_layer.update()
    try:
        yield
    finally:
        space.overlay.show_overlays, owner.hide_viewport = overlays, hidden
        context.view_layer.update()
        for item in selected:  # what is hidden is not selected any more
            item.select_set(True)


# -- to the broker ----------------------------------------------------------------------------------------


def give(ident: str, field: str, picture: bytes) -> None:
    """Upload a picture and make it a node's `depth` or `source`. Raises AlphaloomError `unknown_node`."""
    node = session.mirror.map.nodes.get(ident)
    if node is None:
        raise errors.AlphaloomError("unknown_node", "The node is on the map no more.", node=ident)
    more = {"task": "img2img"} if field == "source" and node.task == "txt2img" else {}
    sources.upload(ident, field, picture, more)
    if field == "source" and sources.goes_before(ident) is not None:
        _say(say("The view is the source, but the parent by the image link goes before it."))


def _say(text: str) -> None:
    global said
    said = text
    session.news += 1


def forget() -> None:
    global current
    current = None
    _say("")
    session.drop(_look)
