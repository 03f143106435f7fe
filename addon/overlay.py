"""Marks that are drawn over the cards: who else has selected them, and bars of their jobs.

Design notes
- Drawing only uses plain numbers that `look` has left: it looks for nothing, and holds nothing of Blender's.
- `look` counts what has changed, and only then views are drawn anew.
- What cannot be drawn is not drawn: an error in a view's drawing would come back with each redraw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import blf
import bpy
import gpu
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix, Vector

from . import scene as cards
from .core.marks import Mark, marks
from .core.mirror import Mirror

Point = tuple[float, float, float]
Colour = tuple[float, float, float, float]

LINE, AIR = 3.0, 0.06
"""An outline's width in pixels, and between it and the card, or the next person's, in metres."""
BAR, BELOW = 0.07, 0.05
"""A bar's height, and how far it is below the card, in metres."""
BEHIND, DONE, WAITING = (0.05, 0.06, 0.08, 0.9), (0.35, 0.75, 1.0, 1.0), (0.45, 0.48, 0.55, 0.9)
MAX_NAME = 24
MOST = 100
"""Cards that are marked."""
FONT = 0
SIZE = 12.0


@dataclass(frozen=True)
class Drawing:
    """All in the world's metres."""

    outlines: tuple[tuple[Colour, tuple[Point, ...]], ...] = ()
    """Closed lines."""
    plates: tuple[tuple[Colour, tuple[Point, ...]], ...] = ()
    """Four corners each."""
    names: tuple[tuple[Colour, Point, int, str], ...] = ()
    """Above a point, in a line of its own each."""


shown = Drawing()
changes = 0
"""Of what is shown, so far."""
_batches: list[tuple[str, Colour, Any]] | None = None
_handles: list[Any] = []


def look(mirror: Mirror, own: str) -> None:
    """See what is to be drawn now."""
    global shown, changes, _batches
    now = drawing(marks(mirror, own))
    if now != shown:
        shown, changes, _batches = now, changes + 1, None


def drawing(wanted: dict[str, Mark]) -> Drawing:
    outlines, plates, names = [], [], []
    known = cards.bodies() if wanted else {}
    for ident, mark in islice(wanted.items(), MOST):
        card = known.get(ident) or cards.find("card", ident)
        if card is None or not card.visible_get():
            continue
        corner = _rectangle(card.matrix_world, AIR * len(mark.people))[3]
        for turn, (person, colour) in enumerate(mark.people):
            outlines.append(((*colour, 1.0), _rectangle(card.matrix_world, AIR * (turn + 1))))
            names.append(((*colour, 1.0), corner, turn, cards.shortened(person, MAX_NAME)))
        if mark.share is not None:
            plates += _bar(card.matrix_world, mark)
    return Drawing(tuple(outlines), tuple(plates), tuple(names))


def _rectangle(place: Matrix, air: float) -> tuple[Point, ...]:
    """Around a card, from the lower left corner on."""
    half, bottom = cards.UNIT / 2 + air, -cards.UNIT / 2 - cards.LABEL_HEIGHT - air
    return _placed(place, ((-half, bottom), (half, bottom), (half, half), (-half, half)))


def _bar(place: Matrix, mark: Mark) -> Iterator[tuple[Colour, tuple[Point, ...]]]:
    half, top = cards.UNIT / 2, -cards.UNIT / 2 - cards.LABEL_HEIGHT - BELOW - AIR * (len(mark.people) + 1)
    reach = -half + cards.UNIT * (mark.share or 0.0)
    for colour, right in ((BEHIND if mark.runs else WAITING, half), (DONE, reach)):
        if right > -half:
            yield colour, _placed(place, ((-half, top - BAR), (right, top - BAR), (right, top), (-half, top)))


def _placed(place: Matrix, corners: tuple[tuple[float, float], ...]) -> tuple[Point, ...]:
    return tuple(tuple(place @ Vector((x, -0.01, z))) for x, z in corners)


# -- with a window ----------------------------------------------------------------------------------------


def _draw_view() -> None:
    global shown, _batches
    if shown == Drawing() or not _is_wanted():
        return
    try:
        if _batches is None:
            _batches = list(_made(shown))
        gpu.state.blend_set("ALPHA")
        gpu.state.depth_test_set("LESS_EQUAL")
        for kind, colour, batch in _batches:
            shader = gpu.shader.from_builtin(kind)
            shader.uniform_float("color", colour)
            if kind == "POLYLINE_UNIFORM_COLOR":
                shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
                shader.uniform_float("lineWidth", LINE * bpy.context.preferences.system.ui_scale)
            batch.draw(shader)
    except Exception:  # see the module's notes
        shown = Drawing()
    finally:
        gpu.state.blend_set("NONE")
        gpu.state.depth_test_set("NONE")


def _made(what: Drawing) -> Iterator[tuple[str, Colour, Any]]:
    for colour, corners in what.outlines:
        shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
        sides = [corners[n] for side in range(4) for n in (side, (side + 1) % 4)]
        yield "POLYLINE_UNIFORM_COLOR", colour, batch_for_shader(shader, "LINES", {"pos": sides})
    for colour, (a, b, c, d) in what.plates:
        shader = gpu.shader.from_builtin("UNIFORM_COLOR")
        yield "UNIFORM_COLOR", colour, batch_for_shader(shader, "TRIS", {"pos": [a, b, c, a, c, d]})


def _draw_names() -> None:
    global shown
    if not shown.names or not _is_wanted():
        return
    try:
        context = bpy.context
        size = SIZE * context.preferences.system.ui_scale
        blf.size(FONT, size)
        for colour, place, line, name in shown.names:
            at = location_3d_to_region_2d(context.region, context.region_data, place)
            if at is not None:
                blf.color(FONT, *colour)
                blf.position(FONT, at.x, at.y + size * (0.4 + 1.2 * line), 0)
                blf.draw(FONT, name)
    except Exception:  # see the module's notes
        shown = Drawing()


def _is_wanted() -> bool:
    space = bpy.context.space_data
    return space is not None and space.type == "VIEW_3D" and space.overlay.show_overlays


def register() -> None:
    if not bpy.app.background:
        view = bpy.types.SpaceView3D
        _handles.append(view.draw_handler_add(_draw_view, (), "WINDOW", "POST_VIEW"))
        _handles.append(view.draw_handler_add(_draw_names, (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    global shown, _batches
    for handle in _handles:
        bpy.types.SpaceView3D.draw_handler_remove(handle, "WINDOW")
    _handles.clear()
    shown, _batches = Drawing(), None
