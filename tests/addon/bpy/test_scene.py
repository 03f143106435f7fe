import bpy
import pytest
from plain_png import png

from addon import pictures
from addon import scene as cards
from addon.core.shared import model

NODE = model.Node("n1", "a red marble", x=1.0, y=2.0)


def put(node: model.Node = NODE) -> bpy.types.Object:
    return cards.put_card(bpy.context.scene, node)


def test_a_card_stands_where_the_node_is_with_its_prompt_as_label() -> None:
    card = put()
    assert card.location.x == pytest.approx(cards.UNIT) and card.location.z == pytest.approx(2 * cards.UNIT)
    assert cards.find("label", "n1").data.body == "a red marble"
    assert {c.alphaloom.kind for c in card.children} == {"picture", "label", "caption"}
    assert not any(owner.hide_select for owner in card.users_collection)
    assert all(owner.hide_select for part in card.children for owner in part.users_collection)


def test_putting_a_card_twice_is_one_card() -> None:
    put()
    count = len(bpy.data.objects)
    put(model.Node("n1", "another prompt", x=5))
    assert len(bpy.data.objects) == count
    assert cards.find("label", "n1").data.body == "another prompt"


def test_a_picture_is_packed_and_shown_in_its_own_colours() -> None:
    put()
    pictures.show_picture("n1", "blob1", png((255, 0, 0)))
    image = cards.find("picture", "n1").material_slots[0].material.node_tree.nodes["Alphaloom Picture"].image
    assert image.packed_file is not None and tuple(image.size) == (8, 8)
    assert tuple(image.pixels[:3]) == pytest.approx((1, 0, 0), abs=0.01)
    assert pictures.shown_blob("n1") == "blob1"


def test_the_next_picture_replaces_the_last_and_leaves_no_litter() -> None:
    put()
    for n, rgb in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255))):
        pictures.show_picture("n1", f"blob{n}", png(rgb, 8 + n, 8))
    (image,) = [i for i in bpy.data.images if i.get("alphaloom")]
    assert tuple(image.pixels[:3]) == pytest.approx((0, 0, 1), abs=0.01)
    assert tuple(image.size) == (10, 8)


def test_a_broken_picture_does_no_harm() -> None:
    put()
    pictures.show_picture("n1", "bad", b"no picture at all")
    pictures.show_picture("n1", "good", png((0, 255, 0)))
    (image,) = [i for i in bpy.data.images if i.get("alphaloom")]
    assert tuple(image.pixels[:3]) == pytest.approx((0, 1, 0), abs=0.01)


def texture(ident: str = "n1") -> bpy.types.Image | None:
    return cards.find("picture", ident).material_slots[0].material.node_tree.nodes["Alphaloom Picture"].image


def test_a_preview_is_seen_and_the_cards_own_picture_comes_back() -> None:
    put()
    pictures.show_preview("n1", png((255, 0, 0)))
    assert tuple(texture().pixels[:3]) == pytest.approx((1, 0, 0), abs=0.01) and pictures.shown_blob("n1") == ""
    pictures.hide_preview("n1")
    assert texture() is None and not bpy.data.images
    pictures.show_picture("n1", "blob1", png((0, 0, 255)))
    pictures.show_preview("n1", png((255, 0, 0)))
    pictures.show_preview("n1", png((0, 255, 0)))
    assert tuple(texture().pixels[:3]) == pytest.approx((0, 1, 0), abs=0.01) and pictures.shown_blob("n1") == "blob1"
    pictures.hide_preview("n1")
    assert tuple(texture().pixels[:3]) == pytest.approx((0, 0, 1), abs=0.01)
    pictures.show_preview("n1", png((255, 0, 0)))
    pictures.show_picture("n1", "blob2", png((0, 255, 0)))
    assert tuple(texture().pixels[:3]) == pytest.approx((0, 1, 0), abs=0.01) and len(bpy.data.images) == 1
    pictures.show_preview("n1", png((255, 0, 0)))
    cards.remove({"n1"})
    assert not bpy.data.images
    pictures.show_preview("n1", png((255, 0, 0)))
    assert not bpy.data.images


def test_a_preview_is_not_in_a_saved_file(tmp_path) -> None:
    put()
    pictures.show_picture("n1", "blob1", png((0, 0, 255)))
    pictures.show_preview("n1", png((255, 0, 0)))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "map.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "map.blend"))
    assert tuple(texture().pixels[:3]) == pytest.approx((0, 0, 1), abs=0.01) and len(bpy.data.images) == 1


def test_pictures_survive_saving_and_opening(tmp_path) -> None:
    put()
    pictures.show_picture("n1", "blob1", png((0, 0, 255)))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "map.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "map.blend"))
    (image,) = [i for i in bpy.data.images if i.get("alphaloom") == "n1"]
    assert tuple(image.pixels[:3]) == pytest.approx((0, 0, 1), abs=0.01)
    assert cards.find("card", "n1") is not None


def test_a_wide_picture_is_not_squeezed() -> None:
    put(model.Node("n1", settings=model.Settings(width=512, height=256)))
    scale = cards.find("picture", "n1").scale
    assert scale.x == pytest.approx(2 * scale.z) and scale.x == pytest.approx(cards.PICTURE)


def test_a_link_runs_from_edge_to_edge_and_follows_its_cards() -> None:
    put()
    put(model.Node("n2", x=3.0, y=2.0))
    link = model.Link("l", "n1", "n2", "image")
    cards.put_link(bpy.context.scene, link)
    first, last = cards.find("link", "l").data.splines[0].bezier_points
    assert first.co.x == pytest.approx(1.5 * cards.UNIT) and last.co.x == pytest.approx(2.5 * cards.UNIT)
    put(model.Node("n2", x=1.0, y=-2.0))
    cards.put_link(bpy.context.scene, link)
    assert len([o for o in bpy.data.objects if o.alphaloom.kind == "link"]) == 1
    assert last.co.z == pytest.approx(-1.5 * cards.UNIT)


def test_what_the_extension_did_not_make_is_never_touched() -> None:
    theirs = bpy.data.collections.new("Alphaloom")
    cube = bpy.data.objects.new("Alphaloom Card", bpy.data.meshes.new("Alphaloom Card"))
    material = bpy.data.materials.new("Alphaloom Picture")
    theirs.objects.link(cube)
    bpy.context.scene.collection.children.link(theirs)
    bpy.data.images.new("Alphaloom n1", 8, 8)
    before = (set(theirs.objects), cube.data.name, material.name, len(bpy.data.images))
    put()
    pictures.show_picture("n1", "b", png((1, 2, 3)))
    cards.remove({"n1"})
    assert (set(theirs.objects), cube.data.name, material.name, len(bpy.data.images)) == before
    assert cards.collection(bpy.context.scene) != theirs


def test_removing_a_card_removes_all_that_was_made_for_it() -> None:
    put(model.Node("keep"))
    kinds = ("objects", "meshes", "curves", "materials", "images")
    before = {kind: len(getattr(bpy.data, kind)) for kind in kinds}
    put()
    pictures.show_picture("n1", "b", png((1, 2, 3)))
    cards.remove({"n1"})
    assert {kind: len(getattr(bpy.data, kind)) for kind in kinds} == before


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("", ""),
        ("red", "red"),
        ("blue and white ocean waves", "blue and white ocean\nwaves"),
        ("x" * 60, "x" * 24 + "…"),
        ("one two three four five six seven eight nine ten eleven", "one two three four five\nsix seven eight nine ten…"),
    ],
)
def test_a_label_has_at_most_two_short_lines(prompt: str, label: str) -> None:
    assert cards.wrapped(prompt) == label


def test_switching_scenes_leaves_the_map_where_it_is() -> None:
    put()
    first, second = bpy.context.scene, bpy.data.scenes.new("Another")
    cards.put_card(second, model.Node("n2"))
    assert len(second.objects) == 0 and cards.find("card", "n2").name in first.objects


def test_a_card_whose_body_was_deleted_is_made_anew_without_leftovers() -> None:
    put()
    count = len(bpy.data.objects)
    bpy.data.objects.remove(cards.find("card", "n1"))
    put()
    assert len(bpy.data.objects) == count
