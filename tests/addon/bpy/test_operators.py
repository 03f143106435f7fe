"""Every operator, called from Python whatever is active: it is done, refused by its poll or says why, and never raises."""

import bpy
import pytest
from others import card, settled

from addon.core.shared import model
from addon.session import session

BESIDE = {"start_servers", "stop_servers", "connect", "disconnect"}
"""They begin and end what the others need."""


def names() -> list[str]:
    return sorted(set(dir(bpy.ops.alphaloom)) - BESIDE)


def raised() -> dict[str, str]:
    """What operators have raised, by their names: Blender makes an error of both, a report and a traceback."""
    found = {}
    for name in names():
        try:
            getattr(bpy.ops.alphaloom, name)("EXEC_DEFAULT", True)
        except RuntimeError as problem:
            if "Traceback" in str(problem):
                found[name] = str(problem)
    return found


def nothing_active() -> None:
    bpy.context.view_layer.objects.active = None


def a_cube() -> None:
    bpy.ops.mesh.primitive_cube_add()


def a_cube_in_edit_mode() -> None:
    bpy.ops.mesh.primitive_cube_add(enter_editmode=True)


def a_card_and_a_cube() -> None:
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.view_layer.update()
    card().select_set(True)
    bpy.context.view_layer.objects.active = card()


def a_card_in_edit_mode() -> None:
    nothing_active()
    bpy.context.view_layer.update()
    card().select_set(True)
    bpy.context.view_layer.objects.active = card()
    bpy.ops.object.mode_set(mode="EDIT")


STATES = (nothing_active, a_cube, a_cube_in_edit_mode, a_card_and_a_cube, a_card_in_edit_mode)


def test_there_are_operators() -> None:
    assert {"generate", "bake", "project", "use_mask"} <= set(names())


@pytest.mark.parametrize("state", STATES)
def test_no_operator_raises_with_a_broker(online: str, ticks, state) -> None:
    session.put(model.Node("n", "a\n\t🎨 'quoted' %s {x}"))
    ticks(lambda: card() is not None and settled())
    state()
    assert raised() == {}


@pytest.mark.parametrize("state", STATES)
def test_no_operator_raises_when_the_node_is_deleted_elsewhere_or_the_broker_is_gone(online: str, ticks, state) -> None:
    session.put(model.Node("n", "red"))
    ticks(lambda: card() is not None and settled())
    session.mirror.map = model.Map()
    state()
    assert raised() == {}
    session.close()
    assert raised() == {}
