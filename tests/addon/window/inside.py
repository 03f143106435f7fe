"""Runs inside a windowed Blender: lines of Python come from a test over a socket, their values go back.

    blender --python inside.py -- PORT

What a hand does (mouse, keys) does not go this way: the test sends it to the X server.
"""

import json
import socket
import sys
import traceback

import bpy

_socket = socket.create_connection(("127.0.0.1", int(sys.argv[-1])))
_socket.setblocking(False)
_known: dict = {"bpy": bpy, "C": bpy.context, "D": bpy.data}
_buffer = b""


def view(**more):
    """A context override for the 3D view."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    return bpy.context.temp_override(window=window, area=area, region=region, **more)


_known["view"] = view


def _said(line):
    code, is_value = json.loads(line)
    try:
        if is_value:
            return {"value": eval(code, _known)}
        exec(code, _known)
        return {"value": None}
    except Exception:
        return {"error": traceback.format_exc()}


def _hear():
    global _buffer
    try:
        while data := _socket.recv(65536):
            _buffer += data
    except BlockingIOError:
        pass
    while b"\n" in _buffer:
        line, _, _buffer = _buffer.partition(b"\n")
        answer = json.dumps(_said(line), default=repr).encode() + b"\n"
        _socket.setblocking(True)
        _socket.sendall(answer)
        _socket.setblocking(False)
    return 0.02


preferences = bpy.context.preferences
preferences.view.show_splash = False
preferences.view.smooth_view = 0
preferences.filepaths.use_auto_save_temporary_files = False
bpy.app.timers.register(_hear, persistent=True)
