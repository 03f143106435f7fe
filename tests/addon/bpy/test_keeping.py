"""A .blend that is saved and opened again, and a broker that has heard other things meanwhile, or nothing."""

from pathlib import Path

import bpy
from others import Other, card, place, settled

from addon import keeping
from addon import scene as cards
from addon.core.outbox import Outbox
from addon.core.shared import model
from addon.session import session

N, K = model.Node("n", "red"), model.Node("k", "blue", x=2.0)


def save(folder: Path) -> str:
    path = str(folder / "map.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    return path


def quit_blender() -> None:
    """What is only in memory is gone."""
    session.close()
    session.connection.outbox = Outbox()
    bpy.ops.wm.read_homefile(use_empty=True)


def reopen(path: str, broker: str, ticks) -> None:
    bpy.ops.wm.open_mainfile(filepath=path)
    session.open(broker)
    ticks(lambda: session.mirror.loaded and settled())


def test_what_was_done_without_a_broker_arrives_and_leaves_alone_what_others_did(online: str, other, ticks, tmp_path) -> None:
    session.put(N, K)
    ticks(settled)
    session.close()
    card("n").alphaloom.prompt = "green"
    card("n").location.x = 4 * cards.UNIT
    path = save(tmp_path)
    quit_blender()
    other.edit(model.Change("update", "node", "n", {"negative": "blur"}), model.Change("delete", "node", "k"))
    reopen(path, online, ticks)
    other.until(lambda: other.node("n").prompt == "green")
    assert (other.node("n").x, other.node("n").negative, other.mirror.map.nodes.keys()) == (4.0, "blur", {"n"})
    assert cards.idents() == {"n": "card"} and card("n").alphaloom.negative == "blur" and place("n") == (4, 0)


def test_what_a_dead_broker_has_not_heard_is_in_the_saved_file(programs, alone: str, ticks, tmp_path) -> None:
    session.put(N)
    ticks(settled)
    programs.kill("broker")
    ticks(lambda: session.connection.state == "connecting")
    session.put(K, model.Link("l", "n", "k"))
    card("n").alphaloom.prompt = "green"
    path = save(tmp_path)
    quit_blender()
    broker = programs.broker(tmp_path / "data")
    reopen(path, broker, ticks)
    here = session.mirror.map
    assert (here.nodes["n"].prompt, here.nodes["k"].prompt, here.links.keys()) == ("green", "blue", {"l"})
    assert cards.idents() == {"n": "card", "k": "card", "l": "link"} and not session.mirror.error


def test_a_file_brings_its_map_to_a_broker_that_has_none(programs, alone: str, ticks, tmp_path) -> None:
    session.put(N, K, model.Link("l", "n", "k"))
    ticks(settled)
    path = save(tmp_path)
    quit_blender()
    reopen(path, programs.broker(tmp_path / "other", name="empty"), ticks)
    here = session.mirror.map
    assert (here.nodes, here.links.keys()) == ({"n": N, "k": K}, {"l"})
    assert cards.idents() == {"n": "card", "k": "card", "l": "link"}


def test_cards_of_another_map_stay_as_the_artists_and_reach_nobody(online: str, other: Other, ticks, tmp_path) -> None:
    cards.put_card(bpy.context.scene, model.Node("theirs", "of another map"))
    path = save(tmp_path)
    quit_blender()
    other.edit(*(model.Change("create", "node", ident) for ident in ("n", "k")))
    reopen(path, online, ticks)
    assert cards.idents().keys() == {"n", "k"} == session.mirror.map.nodes.keys()
    left = bpy.data.collections[keeping.LEFT]
    assert [item.name for item in left.objects] == ["Alphaloom Card theirs"] and keeping.LEFT in session.mirror.error
    reopen(save(tmp_path), online, ticks)
    assert [item.name for item in bpy.data.collections[keeping.LEFT].objects] == ["Alphaloom Card theirs"]
    assert other.mirror.map.nodes.keys() == {"n", "k"} and not session.mirror.error


def test_undo_does_not_take_away_the_cards_of_another_map(online: str, other: Other, ticks, tmp_path) -> None:
    cards.put_card(bpy.context.scene, model.Node("theirs", "of another map"))
    path = save(tmp_path)
    quit_blender()
    other.edit(model.Change("create", "node", "n"))
    bpy.ops.wm.open_mainfile(filepath=path)
    bpy.ops.ed.undo_push(message="opened")
    session.open(online)
    ticks(lambda: session.mirror.loaded and card("n") is not None)
    bpy.ops.ed.undo_push(message="a step")
    for step in (bpy.ops.ed.undo, bpy.ops.ed.redo):
        step()
        ticks(settled)
        assert cards.idents() == {"n": "card"} and other.mirror.map.nodes.keys() == {"n"}
        assert [item.name for item in bpy.data.collections[keeping.LEFT].objects] == ["Alphaloom Card theirs"]
