"""A picture projected onto meshes: rendered from the same camera, what is seen is the picture."""

import math
from pathlib import Path

import bpy
import numpy as np
import pytest
from others import card

from addon import pictures
from addon import scene as cards
from addon.core import png
from addon.core.shared import model

CELLS = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(0, 0, 255), (255, 0, 0), (0, 255, 0)]], np.uint8)
"""Two rows of three colours, from the top row down."""
WIDTH, HEIGHT = 96, 64


@pytest.fixture
def camera() -> bpy.types.Object:
    """A card with the picture, away from everything; a camera that looks down at 45 degrees, and light from everywhere."""
    scene = bpy.context.scene
    cards.put_card(scene, model.Node("n", x=500))
    pictures.show_picture("n", "blob", png.encode(np.kron(CELLS, np.ones((32, 32, 1), np.uint8))))
    made = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    made.location, made.rotation_euler = (0, -4, 4), (math.radians(45), 0, 0)
    scene.collection.objects.link(made)
    scene.camera, scene.world = made, bpy.data.worlds.new("white")
    if scene.world.node_tree is None:
        scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    return made


def plane(name: str, side: float, z: float = 0.0, cuts: int = 1) -> bpy.types.Object:
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=cuts, y_subdivisions=cuts, size=side, location=(0, 0, z))
    bpy.context.object.name = name
    return bpy.data.objects[name]


def project(*items: bpy.types.Object, **fields: object) -> set[str]:
    bpy.ops.object.select_all(action="DESELECT")
    for item in (*items, card()):
        item.select_set(True)
    bpy.context.view_layer.objects.active = card()
    for name, value in fields.items():
        setattr(bpy.context.scene.alphaloom_tasks, name, value)
    return bpy.ops.alphaloom.project()


def rendered(folder: Path) -> np.ndarray:
    """What the camera sees, (rows, columns, 3) from the top row down, in the picture's proportions."""
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = WIDTH, HEIGHT, 100
    scene.render.filepath = str(folder / "seen.png")
    scene.view_settings.view_transform = "Standard"
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(folder / "seen.png"))
    return np.array(image.pixels[:]).reshape(HEIGHT, WIDTH, 4)[::-1, :, :3]


def cells(seen: np.ndarray) -> np.ndarray:
    """The strongest colour of each pixel near the middles of the picture's cells, as the picture has them."""
    middles = [(row * 32 + dy, column * 32 + dx) for row in (0, 1) for column in (0, 1, 2) for dy in (6, 26) for dx in (6, 26)]
    return np.array([seen[at].argmax() for at in middles])


EXPECTED = np.repeat(CELLS.reshape(6, 3).argmax(1), 4)


def with_picture(item: bpy.types.Object) -> list[int]:
    """The faces that have got it."""
    slots = {n for n, material in enumerate(item.data.materials) if material is not None and "alphaloom_projection" in material}
    return [face.index for face in item.data.polygons if face.material_index in slots]


@pytest.mark.parametrize(
    "lens",
    [
        {"type": "PERSP"},
        {"type": "ORTHO", "ortho_scale": 5.0},
        {"type": "PERSP", "shift_x": 0.2, "shift_y": -0.1},
        {"type": "PERSP", "sensor_fit": "VERTICAL"},
    ],
)
def test_from_the_camera_the_scene_looks_like_the_picture(camera: bpy.types.Object, lens: dict, tmp_path: Path) -> None:
    for name, value in lens.items():
        setattr(camera.data, name, value)
    floor = plane("floor", 7.5)  # two triangles, seen in steep perspective
    floor.scale = (1, 1.0, 0.5)
    assert project(floor) == {"FINISHED"}
    assert with_picture(floor) == [0]
    assert (cells(rendered(tmp_path)) == EXPECTED).all()


def test_the_picture_stays_on_a_mesh_that_is_moved_with_its_camera(camera: bpy.types.Object, tmp_path: Path) -> None:
    floor = plane("floor", 7.5)
    project(floor)
    floor.location.x = camera.location.x = 3
    assert (cells(rendered(tmp_path)) == EXPECTED).all()


def test_faces_that_are_turned_away_or_hidden_keep_their_material(camera: bpy.types.Object) -> None:
    own = bpy.data.materials.new("own")
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 0, 0.6))
    cube, floor = bpy.context.object, plane("floor", 3, cuts=40)
    for item in (cube, floor):
        item.data.materials.append(own)
    project(cube, floor)
    normals = [tuple(round(v) for v in cube.data.polygons[face].normal) for face in with_picture(cube)]
    assert sorted(normals) == [(0, -1, 0), (0, 0, 1)]
    hidden = set(range(1600)) - set(with_picture(floor))
    centres = [floor.data.polygons[face].center for face in hidden]
    assert centres and all(abs(c.x) < 0.8 and -0.6 < c.y < 1.8 for c in centres)  # under the cube, and in its shadow
    assert all(floor.data.materials[floor.data.polygons[face].material_index] == own for face in hidden)
    project(cube, floor, all_faces=True)
    assert len(with_picture(cube)) == 6 and len(with_picture(floor)) == 1600


def test_faces_behind_the_camera_or_outside_its_frame_are_left_alone(camera: bpy.types.Object) -> None:
    behind, aside, floor = plane("behind", 1), plane("aside", 1), plane("floor", 7.5)
    behind.location, aside.location = (0, -9, 8), (30, 0, 0)
    assert project(behind, aside, floor, all_faces=True) == {"FINISHED"}
    assert [with_picture(item) for item in (behind, aside, floor)] == [[], [], [0]]
    assert not behind.data.materials and not aside.data.materials
    with pytest.raises(RuntimeError, match="No face gets the picture"):
        project(behind)


def test_a_second_projection_covers_the_first_and_takes_its_place(camera: bpy.types.Object) -> None:
    floor = plane("floor", 7.5)
    floor.data.uv_layers.active.name = "own"
    project(floor)
    floor.data.materials[1].node_tree.nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.125
    for follow in (True, False):
        project(floor, follow=follow)
    nodes = floor.data.materials[1].node_tree.nodes
    assert nodes["Principled BSDF"].inputs["Roughness"].default_value == 0.125  # as the artist has left it
    (texture,) = [node for node in nodes if node.type == "TEX_IMAGE"]
    assert not texture.image.get("alphaloom") and with_picture(floor) == [0]
    assert len(floor.data.materials) == 2 and [layer.name for layer in floor.data.uv_layers] == ["own", "Alphaloom Projection"]
    assert floor.data.uv_layers.active.name == "own"


def test_two_projections_from_two_sides_stand_beside_each_other(camera: bpy.types.Object, tmp_path: Path) -> None:
    bpy.ops.mesh.primitive_cube_add(size=2)
    cube = bpy.context.object
    project(cube)
    camera.location, camera.rotation_euler = (0, 6, 0), (math.radians(90), 0, math.pi)
    project(cube)
    assert len(cube.data.materials) == 3 and len(with_picture(cube)) == 3


def test_a_picture_that_does_not_follow_is_a_copy(camera: bpy.types.Object) -> None:
    floor = plane("floor", 7.5)
    project(floor, follow=False)
    pictures.show_picture("n", "other", png.encode(np.zeros((8, 8, 3), np.uint8)))
    (texture,) = [node for node in floor.data.materials[-1].node_tree.nodes if node.type == "TEX_IMAGE"]
    assert tuple(texture.image.size) == (WIDTH, HEIGHT)


def test_without_a_camera_it_is_said(camera: bpy.types.Object) -> None:
    bpy.context.scene.camera = None
    with pytest.raises(RuntimeError, match="has no camera"):
        project(plane("floor", 1))
    bpy.context.scene.camera, camera.data.type = camera, "PANO"
    with pytest.raises(RuntimeError, match="panoramic"):
        project(plane("floor", 1))
