"""A card's picture on the artist's objects: as a material, in a texture node, in an image."""

from pathlib import Path

import bpy
import pytest
from others import card, settled
from picture_bytes import png

from addon import pictures
from addon import scene as cards
from addon.core.shared import model
from addon.panels import material
from addon.session import session

RED, BLUE = png((255, 0, 0)), png((0, 0, 255))


@pytest.fixture
def shown() -> bpy.types.Object:
    """A card that shows a red picture, without a broker."""
    cards.put_card(bpy.context.scene, model.Node("n", "wet moss"))
    card().alphaloom.prompt = "wet moss"
    pictures.show_picture("n", "blob", RED)
    return card()


def mesh(name: str = "thing", uv: bool = True) -> bpy.types.Object:
    data = bpy.data.meshes.new(name)
    data.from_pydata([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [], [(0, 1, 2, 3)])
    if uv:
        data.uv_layers.new()
    item = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(item)
    return item


def apply_to(*items: bpy.types.Object, **fields: object) -> None:
    bpy.ops.object.select_all(action="DESELECT")
    for item in (*items, card()):
        item.select_set(True)
    bpy.context.view_layer.objects.active = card()
    for name, value in fields.items():
        setattr(bpy.context.scene.alphaloom_tasks, name, value)
    assert bpy.ops.alphaloom.apply_material() == {"FINISHED"}


def texture(item: bpy.types.Object) -> bpy.types.ShaderNodeTexImage:
    (found,) = [node for node in item.active_material.node_tree.nodes if node.type == "TEX_IMAGE"]
    return found


def colour(image: bpy.types.Image) -> tuple[float, ...]:
    return tuple(round(value, 2) for value in image.pixels[:3])


def test_a_material_that_follows_its_node_shows_the_next_picture(shown: bpy.types.Object) -> None:
    thing = mesh()
    apply_to(thing)
    assert colour(texture(thing).image) == (1, 0, 0)
    pictures.show_picture("n", "other", BLUE)
    assert colour(texture(thing).image) == (0, 0, 1)


def test_a_copy_stays_as_it_was_and_is_packed(shown: bpy.types.Object) -> None:
    thing = mesh()
    apply_to(thing, follow=False)
    pictures.show_picture("n", "other", BLUE)
    image = texture(thing).image
    assert colour(image) == (1, 0, 0) and image.packed_file is not None and not image.keys() and image.name == "wet moss"


def test_an_object_without_a_uv_map_is_mapped_by_its_box(shown: bpy.types.Object) -> None:
    curve = bpy.data.objects.new("curve", bpy.data.curves.new("curve", "CURVE"))
    bpy.context.scene.collection.objects.link(curve)
    bare, mapped = mesh(uv=False), mesh()
    apply_to(curve, bare, mapped)
    found = [
        (texture(item).projection, texture(item).inputs["Vector"].links[0].from_socket.name) for item in (curve, bare, mapped)
    ]
    assert found == [("BOX", "Generated"), ("BOX", "Generated"), ("FLAT", "UV")]


def test_the_artists_own_material_stays_as_it_is(shown: bpy.types.Object) -> None:
    thing, own = mesh(), bpy.data.materials.new("own")
    own.use_fake_user = True
    thing.data.materials.append(own)
    before = own.node_tree.nodes.keys() if own.node_tree else None
    apply_to(thing)
    assert thing.active_material != own and len(thing.material_slots) == 1
    assert (own.node_tree.nodes.keys() if own.node_tree else None) == before


def test_the_active_image_texture_node_gets_the_picture_and_nothing_else_changes(shown: bpy.types.Object) -> None:
    thing = mesh()
    apply_to(thing, follow=False)
    node, nodes = texture(thing), len(thing.active_material.node_tree.nodes)
    pictures.show_picture("n", "other", BLUE)
    apply_to(thing, goal="TEXTURE", follow=True)
    assert texture(thing) == node and len(thing.active_material.node_tree.nodes) == nodes
    assert colour(node.image) == (0, 0, 1)


def test_an_image_that_is_there_gets_the_picture_packed(shown: bpy.types.Object) -> None:
    goal = bpy.data.images.new("mine", 4, 4)
    apply_to(goal="IMAGE", image="mine")
    assert colour(goal) == (1, 0, 0) and goal.packed_file is not None and not goal.get("alphaloom")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"goal": "IMAGE", "image": "nowhere"}, "no image 'nowhere'"),
        ({"goal": "IMAGE", "image": "Alphaloom Picture n"}, "is a card's own"),
        ({"goal": "TEXTURE"}, "no selected object has an active image texture node"),
    ],
)
def test_what_cannot_be_given_is_said(shown: bpy.types.Object, fields: dict, said: str) -> None:
    images = set(bpy.data.images)
    with pytest.raises(RuntimeError, match=f"(?i){said}"):
        apply_to(mesh(), follow=False, **fields)
    assert set(bpy.data.images) == images


def test_without_a_picture_or_without_objects_the_button_cannot_be_pressed(shown: bpy.types.Object) -> None:
    with pytest.raises(RuntimeError, match="poll"):
        apply_to()
    bpy.data.images.remove(pictures.materials.image("alphaloom", "n"))
    with pytest.raises(RuntimeError, match="poll"):
        apply_to(mesh())


def test_a_deleted_nodes_picture_stays_where_a_material_uses_it_and_follows_when_it_comes_back(
    shown: bpy.types.Object, tmp_path: Path
) -> None:
    thing = mesh()
    apply_to(thing)
    cards.remove(("n",))
    image = texture(thing).image
    assert colour(image) == (1, 0, 0) and not image.get("alphaloom") and pictures.shown_blobs() == {}
    file = str(tmp_path / "map.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file)
    bpy.ops.wm.open_mainfile(filepath=file)
    thing = bpy.data.objects["thing"]
    assert colour(texture(thing).image) == (1, 0, 0)
    cards.put_card(bpy.context.scene, model.Node("n", "wet moss"))
    pictures.show_picture("n", "blob", BLUE)
    assert colour(texture(thing).image) == (0, 0, 1)


def test_a_deleted_nodes_picture_goes_where_nobody_uses_it(shown: bpy.types.Object) -> None:
    cards.remove(("n",))
    assert [image for image in bpy.data.images if image.name.startswith("Alphaloom Picture")] == []


def test_seamless_sets_the_tiling_and_has_the_picture_made_anew(making: str, ticks) -> None:
    session.put(model.Node("n", "moss", settings=model.Settings(64, 64)))
    session.generate("n")
    ticks(lambda: pictures.shown_blob("n") != "")
    before = session.mirror.map.nodes["n"].picture
    thing = mesh()
    apply_to(thing, seamless=True)
    ticks(lambda: settled() and session.mirror.map.nodes["n"].picture != before)
    assert session.mirror.map.nodes["n"].settings.tiling == "xy"
    asked = len(session.mirror.jobs)
    assert material.make_seamless(card()) == "" and len(session.mirror.jobs) == asked
