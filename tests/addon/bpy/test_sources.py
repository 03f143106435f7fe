"""Sources and masks, from files, images, cards and the brush, against a real broker."""

import urllib.request
from pathlib import Path

import bpy
import numpy as np
import pytest
from others import Other, card, settled

from addon import masks, materials, pictures, sources
from addon import scene as cards
from addon.core import png
from addon.core.shared import address, errors, model
from addon.session import session

N = model.Node("n", "red", task="img2img", settings=model.Settings(width=64, height=64, steps=2))
RED = png.encode(np.full((64, 96, 3), (200, 10, 20), np.uint8))


def choose(*idents: str) -> None:
    """Cards selected, the last one active."""
    bpy.context.view_layer.update()
    for item in bpy.context.view_layer.objects:
        item.select_set(item.alphaloom.kind == "card" and item.alphaloom.ident in idents)
    bpy.context.view_layer.objects.active = card(idents[-1])


def fetched(broker: str, blob: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{broker}/v1/blobs/{blob}") as answer:
        return answer.read()


def decoded(data: bytes) -> np.ndarray:
    """Bytes (height, width, channels) of a picture file, by Blender's own decoder, the top row first."""
    image = bpy.data.images.new("decoded", 8, 8)
    materials.fill(image, data)
    found = np.rint(255 * sources.pixels(image)).astype(int)
    bpy.data.images.remove(image)
    return found


@pytest.fixture
def online(making: str) -> str:
    return making


@pytest.fixture
def http(online: str) -> str:
    return address.parse(online).http


@pytest.fixture
def node(online: str, ticks) -> None:
    session.put(N)
    ticks(lambda: settled() and card() is not None)
    choose("n")


def source() -> str | None:
    return session.mirror.map.nodes["n"].source


def test_a_file_becomes_the_source_as_it_is(node, http: str, other: Other, ticks, tmp_path: Path) -> None:
    file = tmp_path / "red.png"
    file.write_bytes(RED)
    bpy.ops.alphaloom.source_from_file(filepath=str(file), field="source")
    assert sources.is_under_way("n", "source")
    with pytest.raises(RuntimeError, match="is being uploaded"):
        bpy.ops.alphaloom.generate()  # it would be made without the source
    other.until(lambda: bool(other.node("n").source))
    assert fetched(http, other.node("n").source) == RED and not sources.is_under_way("n", "source")
    bpy.ops.alphaloom.clear_source(field="source")
    other.until(lambda: other.node("n").source is None)


def test_what_is_no_picture_file_is_said_and_nothing_changes(node, ticks, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    for file, words in (
        (text, "notes.txt is no PNG, JPEG or WebP"),
        (tmp_path / "nowhere.png", "No such file"),
        (tmp_path, "Is a dir"),
    ):
        with pytest.raises(RuntimeError, match=words):
            bpy.ops.alphaloom.source_from_file(filepath=str(file), field="source")
    assert source() is None


def test_a_picture_that_is_cut_short_is_refused_in_the_panel(node, ticks, tmp_path: Path) -> None:
    file = tmp_path / "cut.png"
    file.write_bytes(RED[:60])
    bpy.ops.alphaloom.source_from_file(filepath=str(file), field="mask")
    ticks(lambda: "n" in sources.problems)
    assert "The mask was not taken" in sources.problems["n"] and not sources.is_under_way("n", "mask")
    file.write_bytes(RED)
    bpy.ops.alphaloom.source_from_file(filepath=str(file), field="mask")
    ticks(lambda: session.mirror.map.nodes["n"].mask is not None)
    assert not sources.problems


def test_an_image_of_the_file_goes_up_as_one_sees_it(node, http: str, other: Other, ticks) -> None:
    painted = bpy.data.images.new("painted", 32, 16)
    shown = np.zeros((16, 32, 4), np.float32)
    shown[..., 0], shown[..., 3], shown[15, 0] = 0.5, 1, (0, 1, 0, 1)  # the top row's first
    painted.pixels.foreach_set(shown.ravel())
    bpy.context.scene.alphaloom.source_image = "painted"
    bpy.ops.alphaloom.source_from_image(field="source")
    other.until(lambda: bool(other.node("n").source))
    found = decoded(fetched(http, other.node("n").source))
    assert found.shape == (16, 32, 4) and tuple(found[0, 0]) == (0, 255, 0, 255) and tuple(found[9, 9]) == (128, 0, 0, 255)


def test_light_of_a_float_image_is_shown_as_a_screen_shows_it() -> None:
    for space, shown in (("Linear Rec.709", 128), ("Non-Color", 55)):
        light = bpy.data.images.new("light", 8, 8, float_buffer=True)
        light.colorspace_settings.name = space
        light.pixels.foreach_set(np.tile(np.array([0.2158605, 4, np.nan, 1], np.float32), 64))
        assert tuple(decoded(sources.encoded(light))[0, 0]) == (shown, 255, 0, 255)


def test_images_without_pixels_or_with_too_many_are_said() -> None:
    for size in ((4104, 8), (8, 4104)):
        with pytest.raises(errors.AlphaloomError, match="4104"):
            sources.encoded(bpy.data.images.new("wide", *size))
    lost = bpy.data.images.new("lost", 8, 8)
    lost.source, lost.filepath = "FILE", "//nowhere.png"
    with pytest.raises(errors.AlphaloomError, match="'lost' has no pixels"):
        sources.encoded(lost)


def test_a_card_gets_another_ones_picture_without_sending_it_again(node, other: Other, ticks) -> None:
    with pytest.raises(RuntimeError, match="no picture yet"):
        bpy.ops.alphaloom.source_from_card(field="source")
    session.put(model.Node("k", "blue", settings=N.settings))
    session.generate("k")
    ticks(lambda: pictures.shown_blob("k") != "")
    choose("k", "n")
    bpy.ops.alphaloom.source_from_card(field="source")
    other.until(lambda: bool(other.node("n").source))
    assert other.node("n").source == pictures.shown_blob("k")


def test_a_node_that_is_deleted_while_its_source_goes_up_stays_deleted(node, other: Other, ticks) -> None:
    sources.upload("n", "source", RED)
    other.edit(model.Change("delete", "node", "n"))
    ticks(lambda: "n" not in session.mirror.map.nodes and not sources.is_under_way("n", "source"))
    ticks(settled)
    assert not sources.problems
    with pytest.raises(errors.AlphaloomError, match="no more"):
        sources.put("n", {"source": None})


def test_a_broker_that_goes_while_a_source_goes_up_is_said(programs, alone: str, ticks) -> None:
    session.put(N)
    ticks(settled)
    programs.kill("broker")
    sources.upload("n", "source", RED)
    ticks(lambda: "n" in sources.problems)
    assert "cannot be had" in sources.problems["n"]
    sources.upload("n", "source", RED)
    session.close()
    assert "connection was closed" in sources.problems["n"]


def test_of_two_uploads_the_later_one_counts(node, other: Other, ticks) -> None:
    blue = png.encode(np.full((64, 64, 3), (0, 0, 200), np.uint8))
    sources.upload("n", "source", RED)
    sources.upload("n", "source", blue)
    ticks(lambda: not sources.is_under_way("n", "source"))
    ticks(settled)
    before = source()
    sources.upload("n", "source", blue)
    ticks(lambda: not sources.is_under_way("n", "source"))
    assert source() == before


def test_undo_takes_a_source_back(node, other: Other, ticks) -> None:
    bpy.ops.ed.undo_push(message="a card")
    sources.upload("n", "source", RED)
    other.until(lambda: bool(other.node("n").source))
    ticks(settled)
    bpy.ops.ed.undo_push(message="its source")
    bpy.ops.ed.undo()
    other.until(lambda: other.node("n").source is None)


# -- painting a mask ----------------------------------------------------------------------------------------


@pytest.fixture
def pictured(node, ticks) -> str:
    """The card has a picture; its blob."""
    session.edit(model.Change("update", "node", "n", {"task": "txt2img"}))
    session.generate("n")
    ticks(lambda: pictures.shown_blob("n") == session.mirror.map.nodes["n"].picture)
    choose("n")
    return pictures.shown_blob("n")


def canvas() -> bpy.types.Image | None:
    return materials.image(materials.MASK, "n")


def stroke(colour: tuple[float, ...] = (1, 1, 1, 1)) -> None:
    """As a brush does, in the upper left quarter."""
    width, height = canvas().size
    found = np.empty(width * height * 4, np.float32)
    canvas().pixels.foreach_get(found)
    found.reshape(height, width, 4)[height // 2 :, : width // 2] = colour
    canvas().pixels.foreach_set(found)


def tools() -> tuple:
    paint = bpy.context.tool_settings.image_paint
    unified = getattr(paint, "unified_paint_settings", None) or bpy.context.tool_settings.unified_paint_settings
    return paint.mode, paint.canvas, tuple(unified.color)


def test_a_painted_mask_makes_the_node_paint_it_anew_and_all_is_as_before(
    pictured: str, http: str, other: Other, ticks
) -> None:
    before, objects = tools(), set(bpy.data.objects)
    slot = cards.find("picture", "n").material_slots[0].material
    other.until(lambda: other.node("n").picture == pictured)
    revision = other.mirror.map.revision
    bpy.ops.alphaloom.paint_mask()
    assert masks.painted() == "n" and bpy.context.mode == "PAINT_TEXTURE"
    assert tools() == ("IMAGE", canvas(), (1, 1, 1)) and tuple(canvas().size) == (64, 64)
    stroke((1, 1, 1, 0.5))
    bpy.ops.alphaloom.use_mask()
    assert bpy.context.mode == "OBJECT" and bpy.context.active_object == card()
    assert tools() == before and set(bpy.data.objects) == objects
    other.until(lambda: bool(other.node("n").mask))
    assert other.mirror.map.revision == revision + 1
    assert (other.node("n").task, other.node("n").source) == ("inpaint", pictured)
    mask = decoded(fetched(http, other.node("n").mask))[:, :, 0]
    assert mask[0, 0] == 128 and mask[31, 31] == 128 and not mask[32:].any() and not mask[:, 32:].any()
    assert cards.find("picture", "n").material_slots[0].material == slot
    session.generate("n")
    ticks(lambda: pictures.shown_blob("n") not in ("", pictured))


def test_painting_goes_on_with_what_was_painted_and_black_takes_back(pictured: str, ticks) -> None:
    bpy.ops.alphaloom.paint_mask()
    stroke((0.2, 0.9, 0.1, 1))
    bpy.ops.alphaloom.leave_mask()
    assert not canvas().is_dirty and canvas().packed_file is not None
    choose("n")
    bpy.ops.alphaloom.paint_mask()
    assert masks.grey(canvas())[0, 0] == 230
    stroke((0, 0, 0, 1))
    assert not masks.grey(canvas()).any()


def test_an_empty_mask_is_refused_and_painting_goes_on(pictured: str, ticks) -> None:
    bpy.ops.alphaloom.paint_mask()
    stroke()
    bpy.ops.alphaloom.clear_mask()
    assert bpy.context.tool_settings.image_paint.canvas == canvas()
    with pytest.raises(RuntimeError, match="Nothing is painted yet"):
        bpy.ops.alphaloom.use_mask()
    assert masks.painted() == "n" and session.mirror.map.nodes["n"].mask is None


def test_undo_of_clearing_brings_the_mask_back(pictured: str, ticks) -> None:
    bpy.ops.alphaloom.paint_mask()
    stroke()
    bpy.ops.alphaloom.leave_mask()
    choose("n")
    bpy.ops.ed.undo_push(message="left")
    bpy.ops.alphaloom.clear_mask()
    assert not masks.grey(canvas()).any()
    bpy.ops.ed.undo_push(message="cleared")
    bpy.ops.ed.undo()
    assert masks.grey(canvas())[0, 0] == 255


def test_a_mask_is_as_large_as_the_source_that_was_uploaded(pictured: str, other: Other, ticks) -> None:
    sources.upload("n", "source", RED)
    ticks(lambda: source() is not None)
    masks.fetch_source("n")
    ticks(lambda: masks.source_image("n") is not None)
    bpy.ops.alphaloom.paint_mask()
    assert tuple(canvas().size) == (96, 64)
    stroke()
    kept = source()
    bpy.ops.alphaloom.use_mask()
    other.until(lambda: bool(other.node("n").mask))
    assert other.node("n").source == kept


def test_a_picture_that_comes_while_one_paints_leaves_the_mask_as_it_is(pictured: str, ticks) -> None:
    bpy.ops.alphaloom.paint_mask()
    stroke()
    session.generate("n")
    ticks(lambda: pictures.shown_blob("n") != pictured)
    assert masks.painted() == "n" and masks.grey(canvas())[0, 0] == 255
    with pytest.raises(RuntimeError, match="Select a card"):
        bpy.ops.alphaloom.paint_mask()


def test_leaving_by_blenders_own_means_and_deleting_the_card_clean_up(pictured: str, other: Other, ticks) -> None:
    before, objects = tools(), set(bpy.data.objects)
    bpy.ops.alphaloom.paint_mask()
    stroke()
    bpy.ops.object.mode_set(mode="OBJECT")
    ticks(lambda: set(bpy.data.objects) == objects and tools() == before)
    assert canvas() is not None
    choose("n")
    bpy.ops.alphaloom.paint_mask()
    other.edit(model.Change("delete", "node", "n"))
    ticks(lambda: card() is None)
    ticks(lambda: tools() == before)
    assert bpy.context.mode == "OBJECT" and canvas() is None and cards.find("mask", "n") is None
    assert not [each for each in bpy.data.materials if each.get(materials.MASK)]


def test_what_is_painted_is_in_the_file_that_is_saved(pictured: str, ticks, tmp_path: Path) -> None:
    bpy.ops.alphaloom.paint_mask()
    stroke()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "map.blend"))
    session.close()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "map.blend"))
    assert masks.grey(canvas())[0, 0] == 255
    ticks(lambda: masks.painted() == "n" or cards.find("mask", "n") is None)


def test_undo_of_painting_leaves_nothing_of_it_behind(pictured: str, ticks) -> None:
    before, objects = tools()[0], set(bpy.data.objects.keys())
    bpy.ops.ed.undo_push(message="a picture")
    bpy.ops.alphaloom.paint_mask()
    bpy.ops.ed.undo_push(message="painting")
    stroke()
    bpy.ops.alphaloom.leave_mask()
    bpy.ops.ed.undo_push(message="left")
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    ticks(lambda: bpy.context.mode == "OBJECT" and set(bpy.data.objects.keys()) == objects)
    assert tools()[0] == before and not bpy.context.scene.get(masks._BEFORE)


def test_without_a_picture_there_is_nothing_to_paint_over(node) -> None:
    with pytest.raises(RuntimeError):
        bpy.ops.alphaloom.paint_mask()
    with pytest.raises(errors.AlphaloomError, match="no picture to paint over"):
        masks.begin("n")
