"""The session inside Blender, against a real broker process and, where pictures are made, a real edge."""

import bpy
import pytest
from others import Other, card, place, settled

from addon import pictures
from addon import scene as cards
from addon.core.shared import edits, model
from addon.core.shared import messages as m
from addon.panels import nodes, queue
from addon.session import session

SMALL = model.Settings(width=64, height=64, steps=2)


def test_a_new_node_becomes_a_card_and_its_picture_arrives(programs, alone: str, ticks) -> None:
    programs.edge(alone)
    session.put(model.Node("n", "red marble", settings=SMALL))
    ticks(lambda: cards.find("card", "n") is not None)
    session.generate("n")
    ticks(lambda: pictures.shown_blob("n") != "")
    (image,) = [i for i in bpy.data.images if i.get("alphaloom") == "n"]
    assert tuple(image.size) == (64, 64) and max(image.pixels[:300]) > 0.1
    assert session.mirror.state_of("n") == ""


def hear(*messages: object) -> None:
    """As if the broker had said it."""
    session.connection.inbox.extend(messages)


def previews() -> list[bpy.types.Image]:
    return [image for image in bpy.data.images if image.get("alphaloom_preview") == "n"]


def running(job: str, state: str = "running") -> m.JobChanged:
    return m.JobChanged(model.Job(job, "n", state, 1))


def test_a_running_jobs_previews_are_seen_until_it_is_done_or_fails(online: str, ticks) -> None:
    session.put(model.Node("n", "red marble", settings=SMALL))
    ticks(settled)
    hear(m.Preview("j", b"jpeg", 1, "n"))  # of a job that nobody has heard of
    hear(running("j"), m.Preview("j", b"jpeg", 1, "n"), m.Preview("j", b"newer", 1, "n"))
    ticks(lambda: len(previews()) == 1)
    hear(running("k"), running("j", "cancelled"))
    ticks(lambda: not session.mirror.runs("j"))
    assert previews()  # the other one goes on
    hear(running("k", "failed"))
    ticks(lambda: not previews())
    hear(running("l"), m.Preview("l", b"jpeg", 1, "n"))
    ticks(lambda: len(previews()) == 1)
    hear(running("l", "done"))
    ticks(lambda: not session.mirror.runs("l"))
    assert previews()
    hear(m.Picture("n", "l", "blob", "image/png", b"png"))
    ticks(lambda: pictures.shown_blob("n") == "blob")
    assert not previews()


def test_a_lost_connection_leaves_no_preview_behind(online: str, ticks) -> None:
    session.put(model.Node("n", "red marble", settings=SMALL))
    ticks(settled)
    hear(running("j"), m.Preview("j", b"jpeg", 1, "n"))
    ticks(lambda: len(previews()) == 1)
    session.close()
    session.open(online)
    ticks(lambda: session.mirror.loaded and not previews())


def test_the_caption_says_which_model_is_pulled(online: str, ticks) -> None:
    session.put(model.Node("n", settings=SMALL))
    ticks(settled)
    hear(running("j"), m.Pulling("j", 1, "sd-turbo", 4, 10))
    ticks(lambda: cards.find("caption", "n").data.body == "pulling sd-turbo 40 %")


def test_the_panel_has_scheduler_tiling_and_variation(other, ticks) -> None:
    session.put(model.Node("n", settings=model.Settings(scheduler="lcm", tiling="x", variation=0.25, variation_seed=7)))
    other.until(lambda: other.node("n").settings.scheduler == "lcm")
    panel = card().alphaloom
    assert (panel.scheduler, panel.tiling, panel.variation_seed, panel.eeg_in_file) == ("lcm", "x", 7, False)
    assert panel.variation == pytest.approx(0.25)
    panel.scheduler, panel.tiling, panel.variation, panel.eeg_in_file = "OWN", "OFF", 0.5, True
    wanted = model.Settings(variation=0.5, variation_seed=7, eeg_in_file=True)
    other.until(lambda: other.node("n").settings == wanted)
    panel.scheduler, panel.tiling = "dpm++_2m_karras", "xy"
    other.until(lambda: (other.node("n").settings.scheduler, other.node("n").settings.tiling) == ("dpm++_2m_karras", "xy"))


def test_the_panel_has_the_nodes_model(other, ticks) -> None:
    session.put(model.Node("n", settings=model.Settings(model="sd-turbo")))
    other.until(lambda: other.node("n").settings.model == "sd-turbo")
    assert card().alphaloom.model == "sd-turbo"
    card().alphaloom.model = "somebody/else"
    other.until(lambda: other.node("n").settings.model == "somebody/else")
    card().alphaloom.model = ""
    other.until(lambda: other.node("n").settings == model.Settings())


def test_cards_that_are_dragged_together_move_for_everybody_as_one_operation(other, ticks) -> None:
    session.put(model.Node("n"), model.Node("k", x=2))
    other.until(lambda: other.node("k").x == 2)
    before = other.mirror.map.revision
    card().location, card("k").location = (3 * cards.UNIT, 0, -cards.UNIT), (5 * cards.UNIT, 0, -cards.UNIT)
    other.until(lambda: (other.node("n").x, other.node("k").x) == (3, 5))
    assert other.mirror.map.revision == before + 1
    assert (other.node("n").y, other.node("k").y) == (-1, -1)


def test_a_card_is_moved_and_turned_by_its_changed_fields_alone(other, ticks) -> None:
    session.put(model.Node("n", "x"))
    other.until(lambda: other.node("n").prompt == "x")
    said: list[m.Edit] = []
    send, session.connection.send = session.connection.send, lambda message: (said.append(message), send(message))
    try:
        card().location.x = 3 * cards.UNIT
        card().alphaloom.strength = 0.7
        ticks(lambda: settled() and session.mirror.map.nodes["n"].x == 3)
    finally:
        del session.connection.send
    (edit,) = [message for message in said if isinstance(message, m.Edit)]
    assert edit.changes == (model.Change("update", "node", "n", {"x": 3.0, "settings.strength": 0.7}),)


def test_a_card_under_the_artists_hand_stays_there_when_an_older_place_of_it_is_heard(other, ticks) -> None:
    session.put(model.Node("n"))
    ticks(settled)
    card().location.x = cards.UNIT
    ticks(lambda: bool(session.mirror.pending))
    card().location.x = 2 * cards.UNIT
    other.edit(model.Change("update", "node", "n", {"prompt": "theirs"}))
    ticks(lambda: session.mirror.map.nodes["n"].prompt == "theirs")
    assert place() == (2, 0)
    other.until(lambda: other.node("n").x == 2)
    assert card().alphaloom.prompt == "theirs" and place() == (2, 0)


def test_two_people_turn_two_knobs_of_one_node_and_both_have_their_way(other, ticks) -> None:
    session.put(model.Node("n"))
    other.until(lambda: other.node("n").id == "n")
    card().alphaloom.guidance = 7
    other.edit(model.Change("update", "node", "n", {"settings.seed": 5, "y": 1.0}))
    other.until(lambda: (other.node("n").settings.guidance, other.node("n").settings.seed) == (7, 5))
    ticks(lambda: session.mirror.map.nodes["n"].settings.seed == 5)
    assert (card().alphaloom.guidance, card().alphaloom.seed, place()) == (7, 5, (0, 1))


def test_what_the_panel_edits_reaches_the_broker_once(other, ticks) -> None:
    session.put(model.Node("n", "x"))
    other.until(lambda: other.node("n").prompt == "x")
    before = other.mirror.map.revision
    card().alphaloom.prompt = "y"
    other.until(lambda: other.node("n").prompt == "y")
    ticks(settled)
    assert other.mirror.map.revision == before + 1 and len(session.connection.outbox) == 0


def test_while_blender_renders_the_scene_is_left_alone_and_caught_up_afterwards(other, ticks, monkeypatch) -> None:
    session.put(model.Node("n", "before"), model.Node("k"))
    other.until(lambda: other.node("k").id == "k")
    monkeypatch.setattr("addon.session._is_rendering", lambda: True)
    other.edit(model.Change("update", "node", "n", {"prompt": "after"}), model.Change("delete", "node", "k"))
    ticks(lambda: session.mirror.map.nodes["n"].prompt == "after")
    assert card().alphaloom.prompt == "before" and card("k") is not None
    monkeypatch.undo()
    ticks(lambda: card("k") is None)
    assert card().alphaloom.prompt == "after"


def test_another_scene_and_back_in_the_middle_of_it_all_does_no_harm(other, ticks) -> None:
    session.put(model.Node("n"))
    other.until(lambda: other.node("n").id == "n")
    first, second = bpy.context.scene, bpy.data.scenes.new("second")
    bpy.context.window.scene = second
    other.edit(edits.create(model.Node("k")), model.Change("update", "node", "n", {"x": 3.0}))
    ticks(lambda: card("k") is not None)
    bpy.context.window.scene = first
    bpy.data.scenes.remove(second)
    other.edit(model.Change("update", "node", "k", {"prompt": "still here"}))
    ticks(lambda: card("k") is not None and card("k").alphaloom.prompt == "still here")
    assert place() == (3, 0) and session.mirror.map.nodes.keys() == {"n", "k"}


def test_playing_the_timeline_sends_nothing(other, ticks) -> None:
    session.put(model.Node("n"))
    other.until(lambda: other.node("n").id == "n")
    item, revision = card(), other.mirror.map.revision
    item.alphaloom.guidance = 4
    item.keyframe_insert("alphaloom.guidance", frame=1)
    item.alphaloom.guidance = 9
    item.keyframe_insert("alphaloom.guidance", frame=10)
    other.until(lambda: other.mirror.map.revision > revision)
    revision = other.mirror.map.revision
    for frame in range(1, 11):
        bpy.context.scene.frame_set(frame)
        session.tick()
    session.put(model.Node("last"))
    other.until(lambda: other.node("last").id == "last")
    assert other.mirror.map.revision == revision + 1


def test_a_refused_edit_is_said_and_the_card_goes_back(online: str, ticks) -> None:
    session.put(model.Node("n", "x", settings=SMALL))
    ticks(settled)
    card().alphaloom.width = 68
    card().location.x = 3 * cards.UNIT
    ticks(lambda: "multiple of 8" in session.mirror.error)
    assert card().alphaloom.width == 64 and place() == (0, 0)
    session.put(model.Link("l", "n", "n"))
    ticks(lambda: "ancestor" in session.mirror.error)
    assert cards.find("link", "l") is None
    session.put(model.Node("impossible", settings=model.Settings(width=100)))
    ticks(settled)
    assert card("impossible") is None


def test_a_picture_is_asked_for_with_what_the_panel_says_now(other, ticks) -> None:
    session.put(model.Node("n", "x"))
    ticks(settled)
    card().alphaloom.prompt = "y"
    session.generate("n")
    asked = [type(ask.message) for ask in session.connection.outbox._asks]
    assert asked == [m.Edit, m.Generate]
    other.until(lambda: other.node("n").prompt == "y" and bool(other.mirror.jobs))


def test_what_somebody_else_does_shows_here(other, ticks) -> None:
    other.edit(edits.create(model.Node("a", "theirs")), edits.create(model.Node("b", "too", x=2)))
    other.edit(edits.create(model.Link("l", "a", "b", "blend")))
    ticks(lambda: cards.find("link", "l") is not None)
    assert card("a").alphaloom.prompt == "theirs"
    other.edit(model.Change("delete", "node", "a"))
    ticks(lambda: card("a") is None)
    assert cards.find("link", "l") is None and card("b") is not None


def test_edits_without_a_broker_show_at_once_and_reach_it_when_it_is_back(programs, alone: str, tmp_path, ticks) -> None:
    session.put(model.Node("n"))
    ticks(settled)
    programs.kill("broker")
    ticks(lambda: session.connection.state == "connecting")
    session.put(model.Node("offline", x=2), model.Link("l", "n", "offline"))
    assert card("offline") is not None and cards.find("link", "l") is not None
    card().location.x = -3 * cards.UNIT
    ticks(lambda: len(session.mirror.pending) == 2)
    programs.broker(tmp_path / "data", name="again", port=int(alone.rsplit(":", 1)[1]))
    ticks(settled)
    assert not session.mirror.error
    assert session.mirror.map.nodes["n"].x == -3 and session.mirror.map.links.keys() == {"l"}
    assert place() == (-3, 0)


def test_pictures_that_were_made_while_the_connection_was_lost_are_fetched(making: str, ticks) -> None:
    session.put(model.Node("n", "red marble", settings=SMALL))
    session.generate("n")
    ticks(lambda: pictures.shown_blob("n") != "")
    shown = pictures.shown_blob("n")
    session.close()  # as a connection that hears nothing: what is made now is missed
    other = Other(making, ticks)
    other.until(lambda: other.node("n").id == "n")
    other.edit(model.Change("update", "node", "n", {"prompt": "blue waves"}))
    other.connection.send(m.Generate("n", model.new_id()))
    other.until(lambda: other.node("n").picture != shown)
    other.connection.close()
    session.open(making)
    ticks(lambda: pictures.shown_blob("n") == other.node("n").picture)


def test_a_dead_broker_leaves_the_scene_as_it_is_and_is_come_back_to(programs, alone: str, tmp_path, ticks) -> None:
    session.put(model.Node("n", "x"))
    ticks(lambda: cards.find("card", "n") is not None)
    programs.kill("broker")
    ticks(lambda: session.connection.state == "connecting" and session.connection.problem != "")
    assert cards.find("card", "n") is not None
    programs.broker(tmp_path / "data", name="again", port=int(alone.rsplit(":", 1)[1]))
    ticks(lambda: session.connection.state == "online")


def test_add_node_hangs_a_child_from_a_card(online: str, ticks) -> None:
    root = nodes.add_node("root", "prompt", None)
    ticks(lambda: cards.find("card", root.id) is not None)
    child = nodes.add_node("child", "image", cards.find("card", root.id))
    ticks(lambda: len(session.mirror.map.links) == 1)
    assert session.mirror.map.nodes[child.id].task == "img2img"
    nodes.add_node("sibling", "prompt", cards.find("card", root.id))
    ticks(lambda: len(session.mirror.map.nodes) == 3)
    assert len({(n.x, n.y) for n in session.mirror.map.nodes.values()}) == 3
    assert [p.id for p in session.mirror.map.parents(child.id, "image")] == [root.id]


def test_operators_say_what_is_missing() -> None:
    assert not bpy.ops.alphaloom.add_node.poll()
    assert not bpy.ops.alphaloom.generate.poll()


def test_operators_connect_add_generate_and_disconnect(online: str, ticks) -> None:
    session.close()
    bpy.context.scene.alphaloom.broker = online
    assert bpy.ops.alphaloom.connect() == {"FINISHED"}
    ticks(lambda: session.mirror.loaded)
    bpy.context.scene.alphaloom.prompt = "by operator"
    assert bpy.ops.alphaloom.add_node() == {"FINISHED"}
    ticks(lambda: len(session.mirror.map.nodes) == 1)
    (ident,) = session.mirror.map.nodes
    cards.find("card", ident).select_set(True)
    assert bpy.ops.alphaloom.generate() == {"FINISHED"}
    ticks(lambda: session.mirror.state_of(ident) == "queued")
    assert bpy.ops.alphaloom.disconnect() == {"FINISHED"}
    assert session.connection.state == "offline"


def test_a_job_is_listed_and_called_off(other, ticks) -> None:
    session.put(model.Node("n", "red marble"), model.Node("k", "blue waves", x=2))
    ticks(settled)
    assert not bpy.ops.alphaloom.cancel.poll()
    first, second = session.generate("n"), session.generate("k")
    ticks(lambda: len(session.mirror.places) == 2)
    assert [queue.line(job) for job in queue.open_jobs()] == ["red marble: number 1", "blue waves: number 2"]
    assert bpy.ops.alphaloom.cancel(job=first) == {"FINISHED"}
    ticks(lambda: [job.id for job in queue.open_jobs()] == [second])
    bpy.context.view_layer.update()
    card("k").select_set(True)
    assert bpy.ops.alphaloom.cancel() == {"FINISHED"}
    ticks(lambda: not queue.open_jobs())


def test_a_node_is_made_live_and_gets_another_seed(other, ticks) -> None:
    session.put(model.Node("n", "red marble"))
    ticks(settled)
    assert not bpy.ops.alphaloom.dice.poll()
    bpy.context.view_layer.update()
    card().select_set(True)
    card().alphaloom.live = True
    assert bpy.ops.alphaloom.dice() == {"FINISHED"}
    other.until(lambda: other.node("n").live and other.node("n").settings.seed > 0)
    other.edit(model.Change("update", "node", "n", {"live": False}))
    ticks(lambda: not card().alphaloom.live)


def test_a_bad_address_is_reported_and_not_raised_as_a_traceback() -> None:
    bpy.context.scene.alphaloom.broker = "ftp://x"
    with pytest.raises(RuntimeError, match=r"no broker's address"):
        bpy.ops.alphaloom.connect()


def test_undo_in_the_middle_of_a_session_does_no_harm(online: str, ticks) -> None:
    bpy.ops.ed.undo_push(message="before")
    session.put(model.Node("n", "x"))
    ticks(lambda: cards.find("card", "n") is not None)
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    session.put(model.Node("n", "y"))
    ticks(lambda: session.mirror.map.nodes["n"].prompt == "y")
    assert cards.find("card", "n").alphaloom.prompt == "y"


def test_undo_and_redo_bring_no_preview_back_and_fetch_the_nodes_own_picture(making: str, ticks) -> None:
    session.put(model.Node("n", "red marble", settings=SMALL))
    ticks(settled)
    bpy.ops.ed.undo_push(message="no picture")
    hear(running("j"), m.Preview("j", b"jpeg", 1, "n"))
    ticks(lambda: len(previews()) == 1)
    bpy.ops.ed.undo_push(message="a preview")
    hear(running("j", "cancelled"))
    session.generate("n")
    ticks(lambda: pictures.shown_blob("n") != "" and not previews())
    blob = pictures.shown_blob("n")
    bpy.ops.ed.undo_push(message="the picture")
    for step in (bpy.ops.ed.undo, bpy.ops.ed.undo, bpy.ops.ed.redo):  # to the preview, before it, and to it again
        step()
        assert not previews()
        assert pictures.shown_blob("n") == ""
        ticks(lambda: pictures.shown_blob("n") == blob)
        assert not previews()


def test_a_chore_that_raises_is_said_and_keeps_nobody_from_theirs(other, ticks) -> None:
    asked = []

    def broken(end: float) -> bool:
        asked.append(end)
        if len(asked) < 3:
            raise RuntimeError("no luck")
        return True

    session.chores.insert(0, broken)
    session.put(model.Node("n"))
    other.until(lambda: other.node("n").id == "n" and len(asked) == 3)
    assert "no luck" in session.connection.problem and broken not in session.chores
