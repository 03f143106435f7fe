"""What an artist does at the map, by mouse and keys, in a real window with a real broker and edge."""

import io
import urllib.request
from collections.abc import Callable

import numpy as np
from map_window import NODES, SESSION, SETTLED, add_node, card, connect, drag, on_screen
from PIL import Image
from windows import Window


def picture(broker: str, blob: str) -> np.ndarray:
    """A blob's pixels, (height, width, channels)."""
    with urllib.request.urlopen(f"{broker.replace('ws:', 'http:')}/v1/blobs/{blob}") as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB")).astype(int)


def test_connect_add_generate_drag_undo_redo_paint_inpaint_save_and_reload(
    programs, tmp_path, open_window: Callable[..., Window]
) -> None:
    broker = programs.broker(tmp_path / "data")
    programs.edge(broker)
    window = open_window()
    connect(window, broker)
    window.shot("1-connected")

    node = add_node(window, "cracked turquoise glaze")
    window.shot("2-selected")
    window.push("alphaloom.generate")
    window.until(f"{NODES}['{node}'].picture")
    window.until(f"any(i.get('alphaloom') == '{node}' and tuple(i.size) == (256, 256) for i in D.images)")
    window.shot("3-generated")

    drag(window, node, (-60, 40), (-120, 80))
    window.until(f"{NODES}['{node}'].x < -0.1")
    moved = window.value(f"{NODES}['{node}'].x")
    window.shot("4-dragged")
    window.keys("ctrl+z")
    window.until(f"{NODES}['{node}'].x == 0 and {SETTLED}")
    window.keys("ctrl+shift+z")
    window.until(f"abs({NODES}['{node}'].x - {moved}) < 1e-3 and {SETTLED}")

    before = window.value(f"{NODES}['{node}'].picture")
    window.push("alphaloom.frame_all", across=0.7)
    window.push("alphaloom.paint_mask")
    window.until("C.mode == 'PAINT_TEXTURE'")
    x, y = on_screen(window, node)
    window.press(x - 40, y - 40, (x - 20, y - 20), (x, y), (x + 20, y - 20), (x + 40, y - 40))
    window.shot("5-painted")
    window.push("alphaloom.use_mask")
    window.until(f"C.mode == 'OBJECT' and {NODES}['{node}'].mask and {NODES}['{node}'].task == 'inpaint' and {SETTLED}")
    window.push("alphaloom.generate")
    window.until(f"{NODES}['{node}'].picture not in (None, '{before}')")
    old, mask, new = (
        picture(broker, blob) for blob in (before, *window.value(f"[{NODES}['{node}'].mask, {NODES}['{node}'].picture]"))
    )
    assert 0 < (mask > 0).mean() < 0.5
    assert np.array_equal(old[mask[..., 0] == 0], new[mask[..., 0] == 0]) and not np.array_equal(old, new)
    window.shot("6-inpainted")

    file = tmp_path / "evening.blend"
    window.do(f"with view(): bpy.ops.wm.save_as_mainfile(filepath={str(file)!r})")
    window.do(f"with view(): bpy.ops.wm.open_mainfile(filepath={str(file)!r})")
    window.until(f"{SESSION}.connection.state == 'online' and {card(node)}.users")
    assert window.value(f"len({NODES})") == 1
    assert window.value(f"[tuple(i.size) for i in D.images if i.get('alphaloom') == '{node}']") == [[256, 256]]
    window.shot("7-reloaded")
