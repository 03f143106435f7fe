"""The session inside Blender, against a real broker process and, where pictures are made, a real edge."""

import bpy
import pytest

import addon
from addon import scene as cards
from addon import ui
from addon.connection import Connection
from addon.session import session
from addon.shared import messages as m
from addon.shared import model

SMALL = model.Settings(width=64, height=64, steps=2)


class Other:
    """Somebody else on the same map."""

    def __init__(self, broker: str, ticks) -> None:
        self.connection = Connection("other")
        self.connection.open(broker)
        self.ticks = ticks

    def say(self, message: object) -> None:
        self.connection.send(message)

        def sent() -> bool:
            self.connection.tick()
            return not self.connection._outbox

        self.ticks(sent)

    def hear(self, kind: type):
        found: list = []

        def arrived() -> bool:
            self.connection.tick()
            while self.connection.inbox:
                message = self.connection.inbox.popleft()
                if isinstance(message, kind):
                    found.append(message)
                    return True
            return False

        self.ticks(arrived)
        return found[0]


@pytest.fixture
def other(online: str, ticks):
    made = Other(online, ticks)
    made.hear(m.Snapshot)
    yield made
    made.connection.close()


def test_a_new_node_becomes_a_card_and_its_picture_arrives(programs, online: str, ticks) -> None:
    programs.edge(online)
    session.put_node(model.Node("n", "red marble", settings=SMALL))
    ticks(lambda: cards.find("card", "n") is not None)
    session.generate("n")
    ticks(lambda: cards.shown_blob("n") != "")
    (image,) = [i for i in bpy.data.images if i.get("alphaloom") == "n"]
    assert tuple(image.size) == (64, 64) and max(image.pixels[:300]) > 0.1
    assert session.mirror.state_of("n") == ""


def test_a_card_that_is_dragged_moves_for_everybody(other: Other, ticks) -> None:
    session.put_node(model.Node("n", "x"))
    ticks(lambda: cards.find("card", "n") is not None)
    cards.find("card", "n").location = (3 * cards.UNIT, 0, -cards.UNIT)
    while (node := other.hear(m.PutNode).node).x == 0:
        pass
    assert (node.x, node.y) == (3, -1)


def test_what_the_panel_edits_reaches_the_broker_once(other: Other, ticks) -> None:
    session.put_node(model.Node("n", "x"))
    other.hear(m.PutNode)
    ticks(lambda: cards.find("card", "n") is not None)
    cards.find("card", "n").alphaloom.prompt = "y"
    assert other.hear(m.PutNode).node.prompt == "y"
    ticks(lambda: session.mirror.map.nodes["n"].prompt == "y")
    assert not session.connection._outbox


def test_what_somebody_else_does_shows_here(other: Other, ticks) -> None:
    other.say(m.PutNode(model.Node("a", "theirs")))
    other.say(m.PutNode(model.Node("b", "too", x=2)))
    other.say(m.PutLink(model.Link("l", "a", "b", "blend")))
    ticks(lambda: cards.find("link", "l") is not None)
    assert cards.find("card", "a").alphaloom.prompt == "theirs"
    other.say(m.DeleteNode("a"))
    ticks(lambda: cards.find("card", "a") is None)
    assert cards.find("link", "l") is None and cards.find("card", "b") is not None


def test_a_dead_broker_leaves_the_scene_as_it_is_and_is_come_back_to(programs, online: str, tmp_path, ticks) -> None:
    session.put_node(model.Node("n", "x"))
    ticks(lambda: cards.find("card", "n") is not None)
    programs.kill("broker")
    ticks(lambda: session.connection.state == "connecting" and session.connection.problem != "")
    assert cards.find("card", "n") is not None
    programs.broker(tmp_path / "data", name="again", port=int(online.rsplit(":", 1)[1]))
    ticks(lambda: session.connection.state == "online")


def test_add_node_hangs_a_child_from_a_card(online: str, ticks) -> None:
    root = ui.add_node("root", "prompt", None)
    ticks(lambda: cards.find("card", root.id) is not None)
    child = ui.add_node("child", "image", cards.find("card", root.id))
    ticks(lambda: len(session.mirror.map.links) == 1)
    assert session.mirror.map.nodes[child.id].task == "img2img"
    ui.add_node("sibling", "prompt", cards.find("card", root.id))
    ticks(lambda: len(session.mirror.map.nodes) == 3)
    assert len({(n.x, n.y) for n in session.mirror.map.nodes.values()}) == 3
    assert [p.id for p in session.mirror.map.parents(child.id, "image")] == [root.id]


def test_operators_say_what_is_missing() -> None:
    assert not bpy.ops.alphaloom.add_node.poll()
    assert not bpy.ops.alphaloom.generate.poll()


def test_operators_connect_add_generate_and_disconnect(programs, tmp_path, ticks) -> None:
    bpy.context.scene.alphaloom.broker = programs.broker(tmp_path / "data")
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


def test_a_bad_address_is_reported_and_not_raised_as_a_traceback() -> None:
    bpy.context.scene.alphaloom.broker = "ftp://x"
    with pytest.raises(RuntimeError, match=r"no broker's address"):
        bpy.ops.alphaloom.connect()


def test_undo_in_the_middle_of_a_session_does_no_harm(online: str, ticks) -> None:
    bpy.ops.ed.undo_push(message="before")
    session.put_node(model.Node("n", "x"))
    ticks(lambda: cards.find("card", "n") is not None)
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    session.put_node(model.Node("n", "y"))
    ticks(lambda: session.mirror.map.nodes["n"].prompt == "y")
    assert cards.find("card", "n").alphaloom.prompt == "y"


def test_registering_again_and_again_leaves_no_trace() -> None:
    addon.unregister()
    before = set(dir(bpy.types)), set(dir(bpy.types.Object)), set(dir(bpy.types.Scene))
    for _ in range(20):
        addon.register()
        addon.unregister()
    assert (set(dir(bpy.types)), set(dir(bpy.types.Object)), set(dir(bpy.types.Scene))) == before
    from addon.session import _timer

    assert not bpy.app.timers.is_registered(_timer)
    addon.register()
