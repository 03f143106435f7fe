"""What the camera sees as a node's depth map, looked at a little at a time."""

import math
from collections.abc import Callable

import bpy
import numpy as np
import pytest
from others import Other, card, settled

from addon import guidance, viewpoint
from addon import scene as cards
from addon.core.shared import errors, model
from addon.session import session

SIZE = model.Settings(width=96, height=64)


@pytest.fixture
def camera() -> bpy.types.Object:
    """At y = -10, looking along y, over a wall at y = 10."""
    made = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    made.location, made.rotation_euler = (0, -10, 0), (math.pi / 2, 0, 0)
    bpy.context.scene.collection.objects.link(made)
    bpy.context.scene.camera = made
    return made


def wall(y: float, size: float = 100, **place: float) -> bpy.types.Object:
    bpy.ops.mesh.primitive_plane_add(size=size, location=(place.get("x", 0), y, 0), rotation=(math.pi / 2, 0, 0))
    return bpy.context.object


def depth_map(ticks: Callable[..., None]) -> np.ndarray:
    """What the broker has as the node's depth map, (rows, columns), 0..1 from the top row down."""
    bpy.context.view_layer.objects.active = card()
    assert bpy.ops.alphaloom.take_depth() == {"FINISHED"}
    ticks(lambda: session.mirror.map.nodes["n"].depth is not None and settled())
    blob = session.mirror.map.nodes["n"].depth
    found: list[bytes] = []
    session.ask("GET", f"/v1/blobs/{blob}", found.append)
    ticks(lambda: bool(found))
    image = bpy.data.images.new("seen", 1, 1)
    image.source = "FILE"
    image.pack(data=found[0], data_len=len(found[0]))
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    return np.array(image.pixels[:]).reshape(height, width, 4)[::-1, :, 0]


@pytest.fixture
def node(online: str, ticks) -> model.Node:
    session.put(model.Node("n", "moss", settings=SIZE))
    ticks(settled)
    return session.mirror.map.nodes["n"]


def test_near_is_white_and_far_is_black_in_the_nodes_size(node: model.Node, camera: bpy.types.Object, ticks) -> None:
    wall(10)
    wall(0, size=4, x=3)
    seen = depth_map(ticks)
    assert seen.shape == (64, 96)
    assert seen[32, 80] == 1 and seen[32, 10] == 0 and seen[2, 80] == 0


def test_nothing_is_darker_than_the_farthest_thing_and_middles_go_by_the_inverse(
    node: model.Node, camera: bpy.types.Object, ticks
) -> None:
    for y, x in ((0, -4), (10, 0), (-5, 1.2)):
        wall(y, size=2, x=x)
    seen = depth_map(ticks)
    near, middle, far = 1 / 5, 1 / 10, 1 / 20
    share = guidance.FAR + (1 - guidance.FAR) * (middle - far) / (near - far)
    levels = sorted(set(np.round(seen.ravel(), 2)))
    assert levels == pytest.approx([0, guidance.FAR, share, 1], abs=0.01)


def test_an_orthographic_camera_goes_by_the_distance_itself(node: model.Node, camera: bpy.types.Object, ticks) -> None:
    camera.data.type, camera.data.ortho_scale = "ORTHO", 10
    for y, x in ((0, -4), (10, 0), (-8, 4)):
        wall(y, size=2, x=x)
    share = guidance.FAR + (1 - guidance.FAR) * (20 - 10) / (20 - 2)
    assert sorted(set(np.round(depth_map(ticks).ravel(), 2))) == pytest.approx([0, guidance.FAR, share, 1], abs=0.01)


def test_cards_are_not_seen(node: model.Node, camera: bpy.types.Object, ticks) -> None:
    wall(10)
    wall(0, size=1, x=3)
    assert card().location.y == cards.FRONT and abs(card().location.x) < 1  # in the middle of the picture
    assert depth_map(ticks)[32, 48] == 0


def test_a_tick_looks_at_a_part_only(node: model.Node, camera: bpy.types.Object, ticks) -> None:
    wall(10)
    bpy.context.view_layer.objects.active = card()
    bpy.ops.alphaloom.take_depth()
    while not guidance.current.progress:
        session.tick(0)
    assert 0 < guidance.current.progress < 0.1
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.alphaloom.take_depth()


def test_where_nothing_is_in_sight_it_is_said_and_the_node_stays(node: model.Node, camera: bpy.types.Object, ticks) -> None:
    bpy.context.view_layer.objects.active = card()
    bpy.ops.alphaloom.take_depth()
    ticks(lambda: guidance.said.startswith("Nothing is in sight"))
    assert guidance.current is None and session.mirror.map.nodes["n"] == node


def test_another_file_ends_it(node: model.Node, camera: bpy.types.Object, ticks) -> None:
    wall(10)
    guidance.begin_depth(bpy.context, node, "CAMERA")
    bpy.ops.wm.read_homefile(use_empty=True)
    ticks(lambda: "another scene" in guidance.said)
    assert guidance.current is None


def test_a_node_that_is_gone_and_another_scene_are_said(node: model.Node, camera: bpy.types.Object, ticks) -> None:
    wall(10)
    guidance.begin_depth(bpy.context, node, "CAMERA")
    session.edit(model.Change("delete", "node", "n"))
    ticks(lambda: "no more" in guidance.said)
    guidance.begin_depth(bpy.context, node, "CAMERA")
    bpy.context.window.scene = bpy.data.scenes.new("other")
    ticks(lambda: "another scene" in guidance.said)
    assert guidance.current is None


def test_without_a_camera_it_is_said(node: model.Node) -> None:
    bpy.context.view_layer.objects.active = card()
    with pytest.raises(RuntimeError, match="has no camera"):
        bpy.ops.alphaloom.take_depth()


def test_depth_map_and_source_are_taken_away_again(other: Other, ticks) -> None:
    with pytest.raises(errors.AlphaloomError, match="no more"):
        guidance.give("n", "depth", b"")
    session.put(model.Node("n", settings=SIZE))
    for field in ("depth", "source"):
        guidance.give("n", field, guidance.png.encode(np.zeros((64, 64), np.uint8)))
        other.until(lambda field=field: getattr(other.node("n"), field) is not None)
    assert other.node("n").task == "img2img"
    bpy.context.view_layer.objects.active = card()
    for field in ("depth", "source"):
        assert bpy.ops.alphaloom.clear_guidance(picture=field) == {"FINISHED"}
        other.until(lambda field=field: getattr(other.node("n"), field) is None)


def test_undo_takes_a_depth_map_back(other: Other, ticks) -> None:
    session.put(model.Node("n", settings=SIZE))
    ticks(lambda: card() is not None)
    bpy.ops.ed.undo_push(message="without")
    guidance.give("n", "depth", guidance.png.encode(np.zeros((64, 64), np.uint8)))
    other.until(lambda: other.node("n").depth is not None)
    ticks(lambda: bool(card().alphaloom.depth))
    bpy.ops.ed.undo_push(message="with")
    bpy.ops.ed.undo()
    other.until(lambda: other.node("n").depth is None)


def test_the_panel_has_the_controlnet_and_its_strength(other: Other, ticks) -> None:
    session.put(model.Node("n", settings=model.Settings(control="depth", control_strength=0.5)))
    other.until(lambda: other.node("n").settings.control == "depth")
    panel = card().alphaloom
    assert (panel.control, panel.control_strength) == ("depth", 0.5)
    panel.control, panel.control_strength = "", 1.25
    other.until(lambda: other.node("n").settings == model.Settings(control_strength=1.25))


def test_without_a_window_a_view_cannot_be_taken(node: model.Node) -> None:
    bpy.context.view_layer.objects.active = card()
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.alphaloom.take_view()
    assert viewpoint.view_of(bpy.context) is None
