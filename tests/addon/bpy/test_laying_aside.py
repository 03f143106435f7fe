"""What is laid aside when somebody deletes it: nowhere to be seen, in no file, and in nobody's way when it comes back."""

import bpy
from others import card, settled
from plain_png import png

from addon import materials, pictures
from addon import scene as cards
from addon.core.shared import edits, model
from addon.session import session

KINDS = ("objects", "meshes", "curves", "materials", "images")


def put(*idents: str) -> None:
    for ident in idents:
        cards.put_card(bpy.context.scene, model.Node(ident, ident))


def counts() -> dict[str, int]:
    return {kind: len(getattr(bpy.data, kind)) for kind in KINDS}


def test_what_is_laid_aside_is_not_found_and_purged_without_a_trace() -> None:
    put("keep")
    before = counts()
    put("n")
    pictures.show_picture("n", "b", png((1, 2, 3)))
    cards.lay_aside({"n"})
    assert cards.idents().keys() == {"keep"} == cards.standing(("n", "keep"))[0].keys()
    assert all(cards.find(kind, "n") is None for kind in ("card", *cards.PARTS))
    assert not any(item.alphaloom.kind == materials.GONE for item in bpy.context.scene.objects)
    assert pictures.shown_blobs() == {} and pictures.shown_blob("n") == ""
    cards.purge()
    assert counts() == before


def test_a_card_that_comes_back_has_its_own_name_and_no_old_picture() -> None:
    put("n")
    pictures.show_picture("n", "old", png((1, 2, 3)))
    cards.lay_aside({"n"})
    put("n")
    assert card().name == "Alphaloom Card n" and pictures.shown_blob("n") == ""
    pictures.show_picture("n", "new", png((3, 2, 1)))
    cards.purge()
    assert pictures.shown_blob("n") == "new" and card() is not None


def test_a_saved_file_has_nothing_of_what_is_gone(tmp_path) -> None:
    put("keep")
    pictures.show_picture("keep", "b", png((1, 2, 3)))
    wanted = counts()
    put("n")
    pictures.show_picture("n", "b", png((1, 2, 3)))
    cards.lay_aside({"n"})
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "map.blend"))
    assert counts() == wanted
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "map.blend"))
    assert counts() | {"materials": 0} == wanted | {"materials": 0} and cards.idents().keys() == {"keep"}
    assert not any(item.name.startswith(materials.GONE) for kind in KINDS for item in getattr(bpy.data, kind))


def test_a_card_that_the_artist_has_put_elsewhere_is_gone_from_there_too() -> None:
    put("n")
    mine = bpy.data.collections.new("Mine")
    bpy.context.scene.collection.children.link(mine)
    mine.objects.link(card())
    bpy.context.scene.collection.objects.link(card())
    cards.lay_aside({"n"})
    assert not mine.objects and not bpy.context.scene.collection.objects


def test_what_the_artist_has_hung_on_a_card_stays_when_the_card_is_purged() -> None:
    put("n")
    cube = bpy.data.objects.new("Cube", None)
    bpy.context.scene.collection.objects.link(cube)
    cube.parent = card()
    cube.constraints.new("COPY_LOCATION").target = card()
    cards.lay_aside({"n"})
    cards.purge()
    assert cube.parent is None and cube.constraints[0].target is None and bpy.data.objects["Cube"] == cube


def test_undo_and_redo_bring_nothing_back_that_somebody_else_has_deleted(other, ticks) -> None:
    session.put(model.Node("n"), model.Node("k", x=2), model.Link("l", "n", "k"))
    other.until(lambda: len(other.mirror.map.links) == 1)
    bpy.ops.ed.undo_push(message="two cards")
    other.edit(model.Change("delete", "node", "n"))
    ticks(lambda: card() is None and cards.find("link", "l") is None)
    card("k").alphaloom.prompt = "k"
    other.until(lambda: other.node("k").prompt == "k")
    bpy.ops.ed.undo_push(message="a prompt")
    for step in (bpy.ops.ed.undo, bpy.ops.ed.redo):
        step()
        ticks(settled)
        assert cards.idents() == {"k": "card"}
    other.edit(edits.create(model.Node("n", "again")))
    ticks(lambda: card() is not None)
    assert card().name == "Alphaloom Card n" and cards.find("label", "n").data.body == "again"


def test_many_that_are_deleted_at_once_are_gone_at_once(other, ticks) -> None:
    made = [model.Node(f"n{number}", x=number * 2.0) for number in range(20)]
    session.put(model.Node("keep"))
    ticks(settled)
    before = counts()
    session.put(*made)
    other.until(lambda: len(other.mirror.map.nodes) == 21)
    other.edit(*(model.Change("delete", "node", node.id) for node in made))
    ticks(lambda: cards.idents().keys() == {"keep"})
    assert counts() == before
