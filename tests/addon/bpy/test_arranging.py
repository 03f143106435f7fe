"""The map put in order and framed, and children by one key."""

import bpy
import pytest
from others import card, place, settled

from addon import arranging
from addon import scene as cards
from addon.core import layout
from addon.core.shared import model
from addon.panels import child
from addon.session import session

HEAP = [model.Node(ident, ident) for ident in ("a", "b", "c", "d")]
LINKS = [model.Link("l", "a", "b"), model.Link("k", "a", "c")]


def select(*idents: str) -> None:
    bpy.context.view_layer.update()  # what is new can be selected then
    for item in bpy.context.view_layer.objects:
        item.select_set(item.alphaloom.kind == "card" and item.alphaloom.ident in idents)
    bpy.context.view_layer.objects.active = card(idents[0]) if idents else None


def heap(other, ticks) -> None:
    """Four cards on top of each other."""
    session.put(*HEAP, *LINKS)
    other.until(lambda: len(other.mirror.map.links) == 2)
    ticks(settled)


def overlap(a: str, b: str) -> bool:
    (x, y), (u, v) = place(a), place(b)
    return abs(x - u) < layout.WIDTH and abs(y - v) < layout.HEIGHT


def test_tidy_puts_all_cards_in_order_as_one_edit_and_one_undo_takes_it_back(other, ticks) -> None:
    heap(other, ticks)
    bpy.ops.ed.undo_push(message="a heap")
    before = other.mirror.map.revision
    assert bpy.ops.alphaloom.tidy("EXEC_DEFAULT", True) == {"FINISHED"}
    other.until(lambda: other.mirror.map.revision > before)
    ticks(settled)
    assert other.mirror.map.revision == before + 1
    assert not any(overlap(a.id, b.id) for a in HEAP for b in HEAP if a.id < b.id)
    assert place("a")[0] < min(place("b")[0], place("c")[0])
    bpy.ops.ed.undo()
    other.until(lambda: {(node.x, node.y) for node in other.mirror.map.nodes.values()} == {(0, 0)})


def test_tidy_moves_only_what_is_selected_and_covers_nothing(other, ticks) -> None:
    heap(other, ticks)
    select("a", "b")
    assert arranging.tidy(cards.selected()) == 2
    ticks(settled)
    assert place("c") == place("d") == (0, 0)
    assert not any(overlap(a, b) for a, b in (("a", "b"), ("a", "c"), ("b", "c"), ("a", "d"), ("b", "d")))


def test_what_is_tidy_is_not_moved_again(other, ticks) -> None:
    heap(other, ticks)
    assert arranging.tidy() > 0
    ticks(settled)
    assert arranging.tidy() == 0


def test_the_buttons_say_why_they_cannot_be_pressed(online: str) -> None:
    assert not bpy.ops.alphaloom.tidy.poll() and not bpy.ops.alphaloom.frame_all.poll()
    assert not bpy.ops.alphaloom.add_child.poll()


def test_the_bounds_are_those_of_all_cards() -> None:
    for ident, x, y in (("a", -2, 1), ("b", 3, -4)):
        cards.put_card(bpy.context.scene, model.Node(ident, x=x, y=y))
    bpy.context.view_layer.update()
    low, high = arranging.bounds()
    unit = cards.UNIT
    assert tuple(low) == pytest.approx((-2.5 * unit, cards.FRONT, -4.5 * unit - cards.LABEL_HEIGHT))
    assert tuple(high) == pytest.approx((3.5 * unit, cards.FRONT, 1.5 * unit))


def test_a_child_by_key_is_linked_and_selected_so_that_the_next_goes_on_from_it(other, ticks) -> None:
    session.put(model.Node("n"))
    other.until(lambda: other.node("n").id == "n")
    select("n")
    assert bpy.ops.alphaloom.add_child("EXEC_DEFAULT", True, prompt="child", link="image") == {"FINISHED"}
    assert cards.selected() == (bpy.context.active_object.alphaloom.ident,)
    grandchild = child.add_child(bpy.context, "grandchild", "prompt")
    other.until(lambda: len(other.mirror.map.links) == 2)
    ticks(settled)
    (above,) = other.mirror.map.parents(grandchild.id, "prompt")
    assert above.prompt == "child" and above.task == "img2img"
    assert [node.id for node in other.mirror.map.parents(above.id, "image")] == ["n"]
    assert cards.selected() == (grandchild.id,) and bpy.context.active_object == card(grandchild.id)


def test_tab_is_blenders_own_where_no_card_is_selected(other, ticks) -> None:
    session.put(model.Node("n"))
    ticks(settled)
    cube = bpy.data.objects.new("Cube", None)
    bpy.context.scene.collection.objects.link(cube)
    select("n")
    assert bpy.ops.alphaloom.add_child.poll()
    select()
    cube.select_set(True)
    bpy.context.view_layer.objects.active = cube
    assert not bpy.ops.alphaloom.add_child.poll()
