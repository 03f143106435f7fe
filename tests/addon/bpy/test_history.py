"""Pictures of before, the gallery, thumbnails and models, against a real broker and an edge that makes pictures."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from others import card, settled

import addon
from addon import gallery, history, models, pictures, thumbnails
from addon.core import past, png
from addon.core.shared import errors, model
from addon.session import session

SMALL = model.Settings(width=64, height=64, steps=2)


@pytest.fixture
def online(making: str) -> str:
    return making


@pytest.fixture
def made(online: str, ticks):
    """What gives a node as many pictures more as one asks for; their blobs."""

    def make(ident: str = "n", count: int = 1) -> list[str]:
        if ident not in session.mirror.map.nodes:
            session.put(model.Node(ident, f"red {ident}", settings=SMALL))
        found = []
        for _ in range(count):
            job = session.generate(ident)
            ticks(lambda job=job: job in session.mirror.jobs and session.mirror.jobs[job].state == "done")
            found.append(session.mirror.jobs[job].picture)
            ticks(lambda: pictures.shown_blob(ident) == session.mirror.map.nodes[ident].picture == found[-1])
        return found

    return make


def seen(ident: str = "n", count: int = 1) -> bool:
    """What a panel does at each drawing: whether the history has so many."""
    return len(history.look(ident).jobs) >= count


def choose(ident: str) -> None:
    bpy.context.view_layer.update()
    bpy.context.view_layer.objects.active = card(ident)
    card(ident).select_set(True)


def test_the_history_is_newest_first_and_a_new_picture_comes_into_it(made, ticks) -> None:
    blobs = made(count=2)
    ticks(lambda: seen(count=2))
    assert [job.picture for job in history.look("n").jobs] == blobs[::-1]
    news = session.news
    blobs += made()
    ticks(lambda: session.news > news)  # what makes an open panel draw again
    ticks(lambda: seen(count=3))
    assert [job.picture for job in history.look("n").jobs] == blobs[::-1]


def test_older_pictures_come_a_page_at_a_time(made, ticks, monkeypatch) -> None:
    monkeypatch.setattr(past, "PAGE", 2)
    blobs = made(count=3)
    ticks(lambda: seen(count=2))
    assert not history.look("n").is_whole
    bpy.ops.alphaloom.more_history()
    ticks(lambda: seen(count=3))
    assert [job.picture for job in history.look("n").jobs] == blobs[::-1] and history.look("n").is_whole


def test_going_back_shows_the_old_picture_for_everybody_with_its_settings_where_they_are_wanted(made, other, ticks) -> None:
    (old,) = made()
    card().alphaloom.seed, card().alphaloom.prompt = 5, "green"
    ticks(lambda: settled() and session.mirror.map.nodes["n"].prompt == "green")
    (new,) = made()
    ticks(lambda: seen(count=2))
    choose("n")
    job = history.look("n").jobs[1]
    bpy.ops.alphaloom.go_back(job=job.id)
    other.until(lambda: other.node("n").picture == old)
    ticks(lambda: pictures.shown_blob("n") == old)
    assert (other.node("n").prompt, other.node("n").settings.seed) == ("green", 5)
    bpy.context.scene.alphaloom.with_settings = True
    bpy.ops.alphaloom.go_back(job=job.id)
    other.until(lambda: other.node("n").prompt == "red n")
    assert (other.node("n").settings.seed, other.node("n").picture) == (0, old)
    ticks(lambda: card().alphaloom.seed == 0)
    assert new != old


def test_undo_takes_going_back_back(made, other, ticks) -> None:
    old, new = made(count=2)
    other.until(lambda: other.node("n").picture == new)
    ticks(lambda: seen(count=2))
    choose("n")
    bpy.ops.ed.undo_push(message="two pictures")
    bpy.ops.alphaloom.go_back(job=history.look("n").jobs[1].id)
    other.until(lambda: other.node("n").picture == old)
    bpy.ops.ed.undo_push(message="back")
    bpy.ops.ed.undo()
    other.until(lambda: other.node("n").picture == new)
    ticks(lambda: pictures.shown_blob("n") == new)


def test_what_is_not_in_the_history_is_said(made, ticks) -> None:
    made()
    ticks(seen)
    with pytest.raises(errors.AlphaloomError, match="'nowhere'"):
        history.go_back("n", "nowhere", False)
    with pytest.raises(errors.AlphaloomError, match="no more"):
        history.go_back("gone", history.look("n").jobs[0].id, False)


def test_a_thumbnail_comes_when_it_is_wanted_and_leaves_no_image_behind(made, ticks) -> None:
    (blob,) = made()
    before = set(bpy.data.images)
    assert thumbnails.icon(blob) == 0
    ticks(lambda: thumbnails._previews is not None and blob in thumbnails._previews)
    small = thumbnails._previews[blob]
    assert small.image_size[0] == small.image_size[1] > 0 and max(small.image_pixels_float[:]) == 1
    ticks(lambda: set(bpy.data.images) == before)


def test_a_picture_that_nobody_has_is_asked_for_once(online: str, ticks) -> None:
    nobodys = "0" * 64
    thumbnails.icon(nobodys)
    ticks(lambda: thumbnails.is_failed(nobodys))
    assert thumbnails.icon(nobodys) == 0 and nobodys not in thumbnails._wanted
    assert thumbnails.icon(None) == thumbnails.icon("") == 0


def test_what_is_no_picture_is_none_and_those_seen_longest_ago_go(online: str, ticks, monkeypatch) -> None:
    assert thumbnails._decoded(b"no picture") is None
    monkeypatch.setattr(thumbnails, "MOST", 2)
    small = png.encode(np.full((64, 32, 3), 9, np.uint8))
    for name in "abc":
        thumbnails._take(name, small)
    assert list(thumbnails._previews) == ["b", "c"]
    thumbnails.icon("b")
    thumbnails._take("d", small)
    assert sorted(thumbnails._previews) == ["b", "d"]


def test_another_connection_begins_with_nothing(made, online: str, ticks) -> None:
    (blob,) = made()
    ticks(seen)
    thumbnails.icon(blob)
    ticks(lambda: blob in thumbnails._previews)
    session.close()
    assert not history.look("n").jobs and not thumbnails._previews
    session.open(online)
    ticks(lambda: session.mirror.loaded)
    ticks(seen)


def test_the_gallery_reads_like_the_map(online: str) -> None:
    places = {"d": (1, -1), "b": (2, 0), "a": (0, 0.1), "c": (0, -1)}
    known = model.Map({k: model.Node(k, x=x, y=y, picture="p") for k, (x, y) in places.items()} | {"e": model.Node("e")})
    assert [node.id for node in gallery.shown(known)] == ["a", "b", "c", "d"]


def test_pictures_are_saved_as_they_came_and_never_over_another_file(made, ticks, tmp_path: Path) -> None:
    made("n")
    made("k")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "red-n.png").write_bytes(b"mine")
    bpy.data.images.remove(next(image for image in bpy.data.images if image.get("alphaloom") == "k"))  # the broker has it
    bpy.ops.alphaloom.save_pictures(directory=str(folder), which="ALL")
    ticks(lambda: len(list(folder.iterdir())) == 3 and "2 saved in" in gallery.report())
    assert (folder / "red-n.png").read_bytes() == b"mine"
    shown = next(image for image in bpy.data.images if image.get("alphaloom") == "n")
    assert (folder / "red-n-2.png").read_bytes() == bytes(shown.packed_file.data)
    assert (folder / "red-k.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_none_and_cards_without_a_picture_are_said(made, ticks, tmp_path: Path) -> None:
    session.put(model.Node("n"))
    with pytest.raises(RuntimeError, match="is no folder"):
        bpy.ops.alphaloom.save_pictures(directory=str(tmp_path / "nowhere"), which="ALL")
    with pytest.raises(RuntimeError, match="None of these cards"):
        bpy.ops.alphaloom.save_pictures(directory=str(tmp_path), which="ALL")
    made("k")
    session.close()
    with pytest.raises(RuntimeError):
        bpy.ops.alphaloom.save_pictures(directory=str(tmp_path), which="ALL")


def test_the_models_of_edges_and_manifest_are_offered_and_one_that_nobody_has_is_said(programs, alone: str, ticks) -> None:
    ticks(lambda: models.catalogue.is_known)
    before = {offer.id for offer in models.catalogue.offers}
    assert "noop" not in before and len(before) > 1
    programs.noop_edge(alone)
    ticks(lambda: ("noop", "loaded") in list(models.search(None, bpy.context, "")))
    assert list(models.search(None, bpy.context, "NOO")) == [("noop", "loaded")]
    kinds = {kind: {offer.id for offer in models.catalogue.of(kind)} for kind in ("model", "lora", "controlnet")}
    assert not kinds["model"] & (kinds["lora"] | kinds["controlnet"])
    assert "'sd9'" in models.catalogue.problem("sd9") and not models.catalogue.problem("noop")
    session.close()
    assert not models.catalogue.is_known


def test_nothing_is_left_when_the_extension_goes(made, ticks) -> None:
    (blob,) = made()
    thumbnails.icon(blob)
    history.look("n")
    addon.unregister()
    assert not session.chores and not session.ended and thumbnails._previews is None
    addon.register()
    assert thumbnails.icon(blob) == 0
