"""What the artist does with Blender's own tools, against a real broker and somebody else on the same map."""

import bpy
from others import card, place, settled

from addon import scene as cards
from addon.core.shared import edits, model
from addon.core.shared import messages as m
from addon.session import session

N, K = model.Node("n", "red"), model.Node("k", "blue", x=2)


def select(*idents: str) -> None:
    bpy.context.view_layer.update()  # what is new can be selected then
    for item in bpy.context.view_layer.objects:
        item.select_set(item.alphaloom.kind == "card" and item.alphaloom.ident in idents)
    bpy.context.view_layer.objects.active = card(idents[0]) if idents else None


def push(message: str) -> None:
    """As Blender does behind each of the artist's steps."""
    bpy.ops.ed.undo_push(message=message)


def red_then_green(other) -> None:
    """A card whose prompt was changed, both steps of undo."""
    session.put(N)
    other.until(lambda: other.node("n").prompt == "red")
    push("a card")
    card().alphaloom.prompt = "green"
    other.until(lambda: other.node("n").prompt == "green")
    push("its prompt")


def test_deleting_a_card_deletes_its_node_and_undo_brings_it_back(other, ticks) -> None:
    session.put(N, K, model.Link("l", "n", "k"))
    other.until(lambda: len(other.mirror.map.links) == 1)
    push("two cards")
    select("n")
    bpy.ops.object.delete()
    push("delete")
    other.until(lambda: other.mirror.map.nodes.keys() == {"k"})
    ticks(settled)
    assert not other.mirror.map.links and cards.find("link", "l") is None and cards.find("label", "n") is None
    bpy.ops.ed.undo()
    other.until(lambda: other.mirror.map.nodes.keys() == {"n", "k"} and bool(other.mirror.map.links))
    assert other.node("n").prompt == "red"
    ticks(lambda: cards.find("link", "l") is not None and cards.find("label", "n").data.body == "red")
    bpy.ops.ed.redo()
    other.until(lambda: other.mirror.map.nodes.keys() == {"k"})


def test_a_duplicate_is_a_node_of_its_own_with_the_same_parents(other, ticks) -> None:
    session.put(N, K, model.Link("l", "n", "k", "image"))
    other.until(lambda: len(other.mirror.map.links) == 1)
    select("k")
    bpy.ops.object.duplicate()
    bpy.context.active_object.location.x += cards.UNIT
    other.until(lambda: len(other.mirror.map.nodes) == 3 and len(other.mirror.map.links) == 2)
    ((ident, made),) = [(i, n) for i, n in other.mirror.map.nodes.items() if i not in ("n", "k")]
    assert (made.prompt, made.x, made.y) == ("blue", 3, 0)
    assert [(p.id) for p in other.mirror.map.parents(ident, "image")] == ["n"]
    ticks(lambda: settled() and cards.find("label", ident) is not None)
    assert cards.find("label", ident).data.body == "blue" and place(ident) == (3, 0) and place("k") == (2, 0)
    assert cards.find("label", ident).data != cards.find("label", "k").data
    assert cards.find("card", ident) == bpy.context.active_object


def test_undo_takes_back_what_the_artist_turned_and_nothing_of_anybody_else(other, ticks) -> None:
    red_then_green(other)
    other.edit(model.Change("update", "node", "n", {"settings.seed": 5, "x": 3.0}), edits.create(model.Node("theirs")))
    ticks(lambda: card("theirs") is not None and place() == (3, 0))
    bpy.ops.ed.undo()
    other.until(lambda: other.node("n").prompt == "red")
    ticks(settled)
    assert (other.node("n").settings.seed, other.node("n").x) == (5, 3) and "theirs" in other.mirror.map.nodes
    assert (card().alphaloom.seed, place(), card().alphaloom.prompt) == (5, (3, 0), "red") and card("theirs") is not None
    assert cards.find("label", "n").data.body == "red"
    bpy.ops.ed.redo()
    other.until(lambda: other.node("n").prompt == "green")
    assert other.node("n").settings.seed == 5


def test_undo_leaves_alone_what_somebody_else_has_set_since(other, ticks) -> None:
    red_then_green(other)
    other.edit(model.Change("update", "node", "n", {"prompt": "theirs"}))
    ticks(lambda: card().alphaloom.prompt == "theirs")
    bpy.ops.ed.undo()
    ticks(lambda: settled() and card().alphaloom.prompt == "theirs")
    assert other.node("n").prompt == "theirs"


def test_undo_of_adding_a_node_takes_it_away_and_redo_brings_it_back(other, ticks) -> None:
    push("nothing")
    session.put(N)
    push("a node")
    other.until(lambda: other.node("n").prompt == "red")
    bpy.ops.ed.undo()
    other.until(lambda: not other.mirror.map.nodes)
    bpy.ops.ed.redo()
    other.until(lambda: other.node("n").prompt == "red")


def test_a_drag_that_is_undone_goes_back_for_everybody(other, ticks) -> None:
    session.put(N)
    other.until(lambda: other.node("n").id == "n")
    push("a card")
    card().location.x = 4 * cards.UNIT
    push("dragged")
    other.until(lambda: other.node("n").x == 4)
    bpy.ops.ed.undo()
    other.until(lambda: other.node("n").x == 0)
    assert place() == (0, 0)


def test_another_file_deletes_nothing_and_gets_the_map(other, ticks, tmp_path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "empty.blend"))
    session.put(N, K)
    other.until(lambda: len(other.mirror.map.nodes) == 2)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "empty.blend"))
    ticks(lambda: card() is not None and card("k") is not None)
    bpy.ops.wm.read_homefile(use_empty=True)
    ticks(lambda: card() is not None and settled())
    assert other.mirror.map.nodes.keys() == {"n", "k"}


def test_a_card_in_another_collection_or_with_another_name_is_not_deleted(other, ticks) -> None:
    session.put(N, K)
    other.until(lambda: len(other.mirror.map.nodes) == 2)
    theirs = bpy.data.collections.new("Mine")
    bpy.context.scene.collection.children.link(theirs)
    for owner in card("n").users_collection:
        owner.objects.unlink(card("n"))
    theirs.objects.link(bpy.data.objects["Alphaloom Card n"])
    card("k").name = "blue one"
    card("k").location.x = 5 * cards.UNIT
    other.until(lambda: other.node("k").x == 5)
    assert other.mirror.map.nodes.keys() == {"n", "k"}
    bpy.data.objects["Alphaloom Card n"].location.x = 3 * cards.UNIT
    other.until(lambda: other.node("n").x == 3)


def test_a_card_that_only_a_fake_user_keeps_is_deleted(other, ticks) -> None:
    session.put(N, K)
    other.until(lambda: len(other.mirror.map.nodes) == 2)
    card("n").use_fake_user = True
    card("n").users_collection[0].objects.unlink(card("n"))
    other.until(lambda: other.mirror.map.nodes.keys() == {"k"})
    assert card("n") is None


def test_a_copied_scene_has_a_picture_of_the_map_and_makes_no_nodes(other, ticks) -> None:
    session.put(N, K, model.Link("l", "n", "k"))
    other.until(lambda: len(other.mirror.map.links) == 1)
    objects = len(bpy.context.scene.objects)
    bpy.ops.scene.new(type="FULL_COPY")
    card("k").location.x = 5 * cards.UNIT
    other.until(lambda: other.node("k").x == 5)
    assert other.mirror.map.nodes.keys() == {"n", "k"} and len(bpy.context.scene.objects) == objects
    assert not any(item.alphaloom.kind for item in bpy.context.scene.objects)


LONG = [f"{'n' * 63}{number}" for number in (1, 2)]


def test_ids_that_are_longer_than_names_are_told_apart(other, ticks) -> None:
    session.put(*(model.Node(ident, ident[-1], x=2.0 * number) for number, ident in enumerate(LONG)))
    other.until(lambda: len(other.mirror.map.nodes) == 2)
    mine = bpy.data.collections.new("Mine")
    bpy.context.scene.collection.children.link(mine)
    item = card(LONG[0])
    item.users_collection[0].objects.unlink(item)
    mine.objects.link(item)
    card(LONG[1]).location.x = 9 * cards.UNIT
    other.until(lambda: other.node(LONG[1]).x == 9)
    assert other.mirror.map.nodes.keys() == set(LONG)
    other.edit(model.Change("delete", "node", LONG[0]))
    ticks(lambda: card(LONG[0]) is None)
    assert cards.find("label", LONG[1]).data.body == "2" and cards.find("label", LONG[0]) is None and not mine.objects


def test_what_is_under_the_hand_when_the_connection_comes_back_is_not_lost(programs, alone: str, tmp_path, ticks) -> None:
    session.put(N, K)
    ticks(settled)
    programs.kill("broker")
    ticks(lambda: session.connection.state == "connecting")
    programs.broker(tmp_path / "data", name="again", port=int(alone.rsplit(":", 1)[1]))
    while not any(isinstance(message, m.Snapshot) for message in session.connection.inbox):
        session.connection.tick()
    card().location.x = 4 * cards.UNIT
    card().alphaloom.prompt = "green"
    bpy.data.objects.remove(card("k"))
    ticks(lambda: session.mirror.map.nodes.keys() == {"n"} and settled())
    assert place() == (4, 0)
    assert (session.mirror.map.nodes["n"].prompt, card().alphaloom.prompt) == ("green", "green")


def test_adding_a_node_by_the_button_is_a_step_of_its_own(other, ticks) -> None:
    push("nothing")
    cube = bpy.data.objects.new("Cube", None)
    bpy.context.scene.collection.objects.link(cube)
    push("a cube")
    bpy.context.scene.alphaloom.prompt = "by button"
    assert bpy.ops.alphaloom.add_node("EXEC_DEFAULT", True) == {"FINISHED"}
    other.until(lambda: len(other.mirror.map.nodes) == 1)
    bpy.ops.ed.undo()
    other.until(lambda: not other.mirror.map.nodes)
    assert "Cube" in bpy.data.objects


def test_a_map_that_was_left_is_not_brought_into_another_file(other, ticks, tmp_path) -> None:
    cards.put_card(bpy.context.scene, model.Node("theirs"))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "mine.blend"))
    session.put(N)
    other.until(lambda: other.node("n").prompt == "red")
    session.close()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "mine.blend"))
    assert card("theirs") is not None and card() is None
