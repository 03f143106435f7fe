"""The map in a windowed Blender: where cards are, and what is asked of them most."""

from __future__ import annotations

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


def add_node(window: Window, prompt: str) -> str:
    """A first node by the sidebar's button, selected and looked at; its id."""
    window.write("alphaloom.prompt", prompt)
    window.push("alphaloom.add_node")
    window.until(f"len({NODES}) == 1 and {SETTLED}")
    node = first(window)
    look_at_the_map(window)
    window.click(*on_screen(window, node))
    window.until(f"C.view_layer.objects.active == {card(node)} and {card(node)}.select_get()")
    window.push("alphaloom.show_pictures")
    return node


def drag(window: Window, ident: str, *way: tuple[float, float]) -> None:
    """A card with G, by pixels."""
    x, y = on_screen(window, ident)
    window.move(x, y)
    window.keys("g")
    for dx, dy in way:
        window.move(x + dx, y + dy)
    window.keys("Return")
