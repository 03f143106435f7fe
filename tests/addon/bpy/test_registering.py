"""The extension comes and goes, in whatever Python Blender has."""

import subprocess
import sys
from pathlib import Path

import bpy

import addon
from addon.heartbeat import _timer
from addon.session import session

ROOT = Path(__file__).resolve().parents[3]
_WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None
import addon, os
addon.register()
import bpy
from addon.core import recording
from addon.core.shared import errors
try:
    recording.at_frames([0.0, 1.0], 1.0, 24.0)
except errors.AlphaloomError as error:
    print(error.code, flush=True)
os._exit(0)  # Blender 4.5's module can hang when Python ends
"""


def traces() -> dict[str, object]:
    """What an extension may leave behind."""
    handlers = {n: len(h) for n in dir(bpy.app.handlers) if isinstance(h := getattr(bpy.app.handlers, n), list)}
    classes = sorted(name for name in dir(bpy.types) if "alphaloom" in name.lower())
    return {
        "handlers": handlers,
        "classes": classes,
        "properties": [hasattr(t, "alphaloom") for t in (bpy.types.Object, bpy.types.Scene, bpy.types.WindowManager)],
        "timer": bpy.app.timers.is_registered(_timer),
        "drivers": sorted(bpy.app.driver_namespace),
        "data": [len(getattr(bpy.data, kind)) for kind in ("objects", "images", "materials", "collections", "meshes")],
    }


def test_it_registers_and_unregisters_a_hundred_times_without_a_trace() -> None:
    addon.unregister()
    try:
        before = traces()
        for _ in range(100):
            addon.register()
            addon.unregister()
        assert traces() == before
        assert not before["classes"] and session.connection.state == "offline"
    finally:
        addon.register()


def test_a_blender_without_numpy_has_the_map_and_says_what_is_missing_where_it_is_needed() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_NUMPY], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().endswith("no_numpy"), done.stderr
