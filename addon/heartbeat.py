"""What Blender calls by itself: the timer that steps the session, and handlers for undo, files and saving."""

from __future__ import annotations

import bpy

from . import overlay, pictures
from . import scene as cards
from .core.shared import model
from .session import INTERVAL_S, session


def _timer() -> float:
    try:
        session.tick()
    except Exception as problem:  # a timer that raises is dropped by Blender, and the session with it
        session.connection.problem = f"{type(problem).__name__}: {problem}"
    _redraw_panels()
    return INTERVAL_S


_drawn = ""


def _redraw_panels() -> None:
    """Redraw the sidebar when what it says has changed."""
    global _drawn
    mirror, connection = session.mirror, session.connection
    open_jobs = sum(job.state not in model.ENDED for job in mirror.jobs.values())
    now = repr(
        (
            connection.state,
            connection.problem,
            mirror.edges,
            mirror.eeg,
            mirror.error,
            open_jobs,
            mirror.progress,
            mirror.pulling,
            mirror.places,
            session.news,
            mirror.performers,
            mirror.sham,
            overlay.changes,
            mirror.frame and int(mirror.frame.time),  # bars of features: once a second
        )
    )
    if now == _drawn:
        return
    _drawn = now
    redraw()


def redraw() -> None:
    """All 3D views with their sidebars."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


@bpy.app.handlers.persistent
def _before_saving(*_: object) -> None:
    """A file has finished pictures only, the next preview comes in a moment; and nothing that is gone."""
    pictures.hide_previews()
    cards.purge()
    session.note()


@bpy.app.handlers.persistent
def _after_undo(*_: object) -> None:
    session.undone()


@bpy.app.handlers.persistent
def _after_loading(*_: object) -> None:
    session.loaded_file()


_HANDLERS = (
    ("save_pre", _before_saving),
    ("undo_post", _after_undo),
    ("redo_post", _after_undo),
    ("load_post", _after_loading),
)


def register() -> None:
    session.loaded_file()
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    bpy.app.timers.register(_timer, persistent=True)


def unregister() -> None:
    for name, handler in _HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if handler in handlers:
            handlers.remove(handler)
    if bpy.app.timers.is_registered(_timer):
        bpy.app.timers.unregister(_timer)
    session.close()
