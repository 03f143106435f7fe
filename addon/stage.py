"""A stage for the map: a scene of its own with camera, light and a floor, so that the artist's scene stays as it is."""

from __future__ import annotations

import math
from pathlib import Path

import bpy
from mathutils import Vector

from . import materials
from . import scene as cards

NAME = "Alphaloom Stage"
LENS = 62.0  # mm; a longer lens keeps the cards' sides parallel
TILT = math.radians(4)
TURN = math.radians(-9)


def render(picture: Path, title: str, width: int = 1600, height: int = 900, samples: int = 16) -> None:
    """Render the map to a PNG. Cycles on the CPU: it needs no window and no graphics card."""
    stage = _build(title, width / height)
    settings = stage.render
    settings.engine = "CYCLES"
    settings.resolution_x, settings.resolution_y, settings.resolution_percentage = width, height, 100
    settings.image_settings.file_format = "PNG"
    settings.filepath = str(picture)
    stage.cycles.samples = samples
    stage.cycles.use_adaptive_sampling = True
    stage.cycles.adaptive_threshold = 0.05
    stage.cycles.use_denoising = True
    stage.cycles.max_bounces = 3
    stage.view_settings.view_transform = "Standard"  # the pictures' own colours, not a film's
    bpy.ops.render.render(write_still=True, scene=stage.name)


def _build(title: str, aspect: float) -> bpy.types.Scene:
    stage = next((s for s in bpy.data.scenes if s.get("alphaloom")), None)
    if stage is None:
        stage = bpy.data.scenes.new(NAME)
        stage["alphaloom"] = True
    owner = cards.collection(stage)
    if owner.name not in stage.collection.children:
        stage.collection.children.link(owner)
    for item in [o for o in stage.collection.objects if o.get("alphaloom")]:
        bpy.data.objects.remove(item)

    low, high = _bounds(owner)
    centre, size = (low + high) / 2, high - low
    floor = low.z - 0.35
    stage.world = _world()
    _plane(stage, "Floor", 60, (centre.x, 0, floor), 0, materials.shared("Alphaloom Floor", (0.012, 0.014, 0.022), 0.22))
    _plane(
        stage,
        "Backdrop",
        60,
        (centre.x, cards.FRONT + 9, 0),
        math.pi / 2,
        materials.shared("Alphaloom Backdrop", (0.02, 0.024, 0.045), 0.9),
    )
    reach = max(size.x, size.z)
    _light(
        stage,
        "Key",
        90 * reach,
        0.5 * reach,
        centre + Vector((-0.5 * reach, -0.9 * reach, 0.9 * reach)),
        centre,
        (1.0, 0.95, 0.88),
    )
    _light(
        stage,
        "Rim",
        70 * reach,
        0.4 * reach,
        centre + Vector((0.7 * reach, 0.35 * reach, 0.7 * reach)),
        centre,
        (0.45, 0.6, 1.0),
    )
    _words(stage, title, 0.34, (low.x, cards.FRONT - 0.02, high.z + 0.62), (0.92, 0.95, 1.0))
    _legend(stage, high.x, high.z + 0.66)
    high.z += 1.0
    _camera(stage, low, high, aspect)
    return stage


def _bounds(owner: bpy.types.Collection) -> tuple[Vector, Vector]:
    places = [o.location for o in owner.objects if o.alphaloom.kind == "card"] or [Vector()]
    half = cards.UNIT / 2
    low = Vector((min(p.x for p in places) - half, cards.FRONT, min(p.z for p in places) - half - cards.LABEL_HEIGHT))
    high = Vector((max(p.x for p in places) + half, cards.FRONT, max(p.z for p in places) + half))
    return low, high


def _camera(stage: bpy.types.Scene, low: Vector, high: Vector, aspect: float) -> None:
    """Frame the box from `low` to `high` with a little air, from slightly above and aside."""
    data = bpy.data.cameras.new("Alphaloom Camera")
    data.lens = LENS
    camera = _link(stage, bpy.data.objects.new("Alphaloom Camera", data))
    camera.rotation_euler = (math.pi / 2 - TILT, 0, TURN)
    across = 2 * math.atan(data.sensor_width / 2 / LENS)
    upright = 2 * math.atan(math.tan(across / 2) / aspect)
    size = (high - low) * 1.1
    distance = max(size.x / 2 / math.tan(across / 2), size.z / 2 / math.tan(upright / 2)) + 0.5
    backwards = camera.rotation_euler.to_matrix() @ Vector((0, 0, 1))
    camera.location = (low + high) / 2 + distance * backwards
    stage.camera = camera


def _light(
    stage: bpy.types.Scene,
    name: str,
    watts: float,
    size: float,
    place: Vector,
    goal: Vector,
    colour: tuple[float, float, float],
) -> None:
    data = bpy.data.lights.new(f"Alphaloom {name}", "AREA")
    data.energy, data.size, data.color = watts, size, colour
    light = _link(stage, bpy.data.objects.new(f"Alphaloom {name}", data))
    light.location = place
    light.rotation_euler = (place - goal).to_track_quat("Z", "Y").to_euler()


def _plane(
    stage: bpy.types.Scene,
    name: str,
    size: float,
    place: tuple[float, float, float],
    pitch: float,
    material: bpy.types.Material,
) -> None:
    mesh = bpy.data.meshes.new(f"Alphaloom {name}")
    half = size / 2
    mesh.from_pydata([(-half, -half, 0), (half, -half, 0), (half, half, 0), (-half, half, 0)], [], [(0, 1, 2, 3)])
    mesh.materials.append(material)
    plane = _link(stage, bpy.data.objects.new(f"Alphaloom {name}", mesh))
    plane.location, plane.rotation_euler.x = place, pitch


def _legend(stage: bpy.types.Scene, right: float, z: float) -> None:
    """The kinds of link, right-aligned, each in its colour."""
    x = right
    for kind, colour in reversed(cards.LINK_COLOURS.items()):
        _words(stage, kind, 0.2, (x, cards.FRONT - 0.02, z), colour, align="RIGHT")
        x -= 0.28 + 0.125 * len(kind)


def _words(
    stage: bpy.types.Scene,
    text: str,
    size: float,
    place: tuple[float, float, float],
    colour: tuple[float, float, float],
    align: str = "LEFT",
) -> None:
    curve = bpy.data.curves.new("Alphaloom Words", "FONT")
    curve.body, curve.size, curve.align_x = text, size, align
    curve.materials.append(materials.shared(f"Alphaloom words {colour}", colour, glow=1.0))
    words = _link(stage, bpy.data.objects.new("Alphaloom Words", curve))
    words.location, words.rotation_euler.x = place, math.pi / 2


def _world() -> bpy.types.World:
    world = next((w for w in bpy.data.worlds if w.get("alphaloom")), None)
    if world is None:
        world = bpy.data.worlds.new(NAME)
        world["alphaloom"] = True
        materials.use_nodes(world)
        background = materials.node(world.node_tree, "ShaderNodeBackground")
        background.inputs["Color"].default_value = (0.05, 0.06, 0.1, 1)
        background.inputs["Strength"].default_value = 0.35
    return world


def _link(stage: bpy.types.Scene, item: bpy.types.Object) -> bpy.types.Object:
    item["alphaloom"] = True
    stage.collection.objects.link(item)
    return item
