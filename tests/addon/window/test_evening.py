"""What an artist does at the map, by mouse and keys, in a real window with a real broker and edge."""

from collections.abc import Callable

from windows import SCREEN, Window

SESSION = "__import__('bl_ext.user_default.alphaloom.session', fromlist=['session']).session"
"""Inside Blender: the extension's session."""
NODES = f"{SESSION}.mirror.map.nodes"
SETTLED = f"not {SESSION}.mirror.pending and not len({SESSION}.connection.outbox)"


def connect(window: Window, broker: str) -> None:
    window.open_sidebar()
    window.write("alphaloom.broker", broker)
    window.push("alphaloom.connect")
    window.until(f"{SESSION}.mirror.loaded")


def first(window: Window) -> str:
    """The id of the map's only node."""
    (found,) = window.value(f"list({NODES})")
    return str(found)


def card(ident: str) -> str:
    return f"D.objects['Alphaloom Card {ident}']"


def look_at_the_map(window: Window) -> None:
    """From the front, all of it, as Numpad 1 and Home do."""
    x, y = middle(window)
    window.move(x, y)
    window.keys("KP_1", "Home")


def middle(window: Window) -> tuple[float, float]:
    """Of the 3D view, clear of the sidebar."""
    x, y, width, height = window.value("[(a.x, a.y, a.width, a.height) for a in C.screen.areas if a.type == 'VIEW_3D'][0]")
    return x + 0.35 * width, SCREEN[1] - y - 0.5 * height


def on_screen(window: Window, ident: str) -> tuple[float, float]:
    """Where the middle of a card is."""
    x, y = window.value(
        "(lambda a, r: (lambda p: (r.x + p.x, r.y + p.y))(__import__('bpy_extras.view3d_utils', fromlist=['x'])"
        f".location_3d_to_region_2d(r, a.spaces.active.region_3d, {card(ident)}.matrix_world.translation)))"
        "(*[(a, r) for a in C.screen.areas if a.type == 'VIEW_3D' for r in a.regions if r.type == 'WINDOW'][0])"
    )
    return x, SCREEN[1] - y


def test_connect_add_generate_drag_undo_redo_save_and_reload(programs, tmp_path, open_window: Callable[..., Window]) -> None:
    broker = programs.broker(tmp_path / "data")
    programs.edge(broker)
    window = open_window()
    connect(window, broker)
    window.shot("1-connected")

    window.write("alphaloom.prompt", "cracked turquoise glaze")
    window.push("alphaloom.add_node")
    window.until(f"len({NODES}) == 1 and {SETTLED}")
    node = first(window)
    look_at_the_map(window)
    window.click(*on_screen(window, node))
    window.until(f"C.view_layer.objects.active == {card(node)} and {card(node)}.select_get()")
    window.push("alphaloom.show_pictures")
    window.shot("2-selected")
    window.push("alphaloom.generate")
    window.until(f"{NODES}['{node}'].picture")
    window.until(f"any(i.get('alphaloom') == '{node}' and tuple(i.size) == (256, 256) for i in D.images)")
    window.shot("3-generated")

    x, y = on_screen(window, node)
    window.move(x, y)
    window.keys("g")
    window.move(x - 60, y + 40)
    window.move(x - 120, y + 80)
    window.keys("Return")
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
