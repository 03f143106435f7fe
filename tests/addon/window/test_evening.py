"""What an artist does at the map, by mouse and keys, in a real window with a real broker and edge."""

from collections.abc import Callable

from map_window import NODES, SESSION, SETTLED, add_node, card, connect, drag
from windows import Window


def test_connect_add_generate_drag_undo_redo_save_and_reload(programs, tmp_path, open_window: Callable[..., Window]) -> None:
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

    file = tmp_path / "evening.blend"
    window.do(f"with view(): bpy.ops.wm.save_as_mainfile(filepath={str(file)!r})")
    window.do(f"with view(): bpy.ops.wm.open_mainfile(filepath={str(file)!r})")
    window.until(f"{SESSION}.connection.state == 'online' and {card(node)}.users")
    assert window.value(f"len({NODES})") == 1
    assert window.value(f"[tuple(i.size) for i in D.images if i.get('alphaloom') == '{node}']") == [[256, 256]]
    window.shot("5-reloaded")
