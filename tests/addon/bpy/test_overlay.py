"""What is drawn over the cards, as plain numbers, and who is told what one has selected."""

import bpy
import pytest
from others import card, settled

from addon import overlay
from addon import scene as cards
from addon.core.marks import COLOURS, Mark
from addon.core.shared import messages as m
from addon.core.shared import model
from addon.session import session

HALF, BOTTOM = cards.UNIT / 2, -cards.UNIT / 2 - cards.LABEL_HEIGHT


def put(x: float = 0.0) -> None:
    cards.put_card(bpy.context.scene, model.Node("n", x=x))
    bpy.context.view_layer.update()


def bounds(corners) -> tuple[float, float, float, float]:
    across, up = [corner[0] for corner in corners], [corner[2] for corner in corners]
    return pytest.approx((min(across), max(across), min(up), max(up)), abs=1e-4)


def test_an_outline_goes_around_the_card_in_the_persons_colour_with_the_name() -> None:
    put(x=2.0)
    drawn = overlay.drawing({"n": Mark(people=(("ada", COLOURS[0]), ("bob", COLOURS[1])))})
    (first, inner), (second, outer) = drawn.outlines
    assert (first[:3], second[:3]) == (COLOURS[0], COLOURS[1])
    for number, outline in ((1, inner), (2, outer)):
        air, middle = number * overlay.AIR, 2 * cards.UNIT
        assert (middle - HALF - air, middle + HALF + air, BOTTOM - air, HALF + air) == bounds(outline)
        assert all(corner[1] < cards.FRONT for corner in outline)
    assert [(line, name) for _, _, line, name in drawn.names] == [(0, "ada"), (1, "bob")]


def test_a_bar_lies_below_the_card_and_is_filled_as_far_as_the_job_is() -> None:
    put()
    (_, behind), (colour, done) = overlay.drawing({"n": Mark(share=0.25, runs=True)}).plates
    top = BOTTOM - overlay.BELOW - overlay.AIR
    assert (-HALF, HALF, top - overlay.BAR, top) == bounds(behind)
    assert (-HALF, -HALF + 0.25 * cards.UNIT, top - overlay.BAR, top) == bounds(done) and colour == overlay.DONE
    ((colour, _),) = overlay.drawing({"n": Mark(share=0.0)}).plates
    assert colour == overlay.WAITING


def test_marks_follow_a_card_and_are_not_drawn_where_it_is_hidden_or_gone() -> None:
    put()
    marked = {"n": Mark(share=0.5, runs=True)}
    before = overlay.drawing(marked)
    card().location.x += 1
    bpy.context.view_layer.update()
    assert overlay.drawing(marked) != before
    card().hide_set(True)
    assert overlay.drawing(marked) == overlay.drawing({"gone": Mark(share=0.5)}) == overlay.Drawing()


def test_what_others_select_is_drawn_until_they_leave_and_only_changes_are_counted(other, ticks) -> None:
    session.put(model.Node("n"))
    other.until(lambda: other.node("n").id == "n")
    ticks(settled)
    bpy.context.view_layer.update()
    other.connection.send(m.Select(("n",)))
    other.until(lambda: (session.tick(), [name for *_, name in overlay.shown.names] == ["other"])[1])
    before = overlay.changes
    overlay.look(session.mirror, session.connection.client)
    assert overlay.changes == before
    other.connection.close()
    ticks(lambda: overlay.shown == overlay.Drawing())
    assert overlay.changes == before + 1


def test_nothing_is_marked_without_a_broker(other, ticks) -> None:
    session.put(model.Node("n"))
    ticks(settled)
    bpy.context.view_layer.update()
    session.generate("n")
    ticks(lambda: overlay.shown != overlay.Drawing())
    session.close()
    ticks(lambda: overlay.shown == overlay.Drawing())


def test_the_others_are_told_what_one_has_selected_also_after_a_lost_connection(other, online, ticks) -> None:
    session.put(model.Node("n"), model.Node("k", x=2))
    other.until(lambda: len(other.mirror.map.nodes) == 2)
    ticks(settled)

    def told() -> set[str]:
        me = [each for each in other.mirror.people.values() if each.person == "blender"]
        return {node for each in me for node in each.selected}

    bpy.context.view_layer.update()
    card("n").select_set(True)
    card("k").select_set(True)
    other.until(lambda: (session.tick(), told() == {"n", "k"})[1])
    card("k").select_set(False)
    other.until(lambda: (session.tick(), told() == {"n"})[1])
    session.close()
    other.until(lambda: told() == set())
    session.open(online)
    other.until(lambda: (session.tick(), told() == {"n"})[1])
