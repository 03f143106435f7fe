"""One node over Blender's frames as files, against a real broker and an edge."""

import json
from pathlib import Path

import bpy
import pytest
from others import card, settled

from addon import batching, pictures
from addon.core.shared import messages as m
from addon.core.shared import model
from addon.session import session

SMALL = model.Settings(width=64, height=64, steps=2, guidance=3.0)


@pytest.fixture
def node(making: str, ticks) -> bpy.types.Object:
    """A card with words, and an edge that makes pictures of nothing."""
    session.put(model.Node("n", "wet moss", settings=SMALL))
    ticks(settled)
    bpy.context.view_layer.objects.active = card()
    return card()


@pytest.fixture
def asked() -> list[m.Generate]:
    """What is asked for from now on."""
    found: list[m.Generate] = []
    send = session.connection.send

    def note(message: object) -> None:
        if isinstance(message, m.Generate):
            found.append(message)
        send(message)

    session.connection.send = note
    yield found
    del session.connection.send


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    return made


def begin(folder: Path, first: int, last: int, **fields: object) -> None:
    tasks = bpy.context.scene.alphaloom_tasks
    tasks.frames, tasks.first, tasks.last, tasks.folder = "TYPED", first, last, str(folder)
    for name, value in fields.items():
        setattr(tasks, name, value)
    assert bpy.ops.alphaloom.batch() == {"FINISHED"}


def over() -> bool:
    return not batching.is_running()


def key(item: bpy.types.Object, name: str, **frames: float) -> None:
    for frame, value in frames.items():
        setattr(item.alphaloom, name, value)
        item.alphaloom.keyframe_insert(name, frame=int(frame[1:]))
    curve = dict(batching.curves_of(item))[name]
    for point in curve.keyframe_points:
        point.interpolation = "LINEAR"


def test_keyframed_parameters_are_taken_at_each_frame(node: bpy.types.Object, asked: list, ticks, folder: Path) -> None:
    key(node, "guidance", f1=2.0, f5=6.0)
    key(node, "seed", f1=10, f5=14)
    ticks(settled)
    before = bpy.context.scene.frame_current
    begin(folder, 1, 5)
    ticks(over)
    assert sorted(file.name for file in folder.iterdir()) == [f"wet_moss_000{n}.png" for n in range(1, 6)]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in folder.iterdir())
    made = sorted((message.request.seed, message.request.guidance) for message in asked)
    assert made == [(10, 2.0), (11, 3.0), (12, 4.0), (13, 5.0), (14, 6.0)]
    assert bpy.context.scene.frame_current == before and batching.line() == "5 of 5 frames"


def test_the_node_and_its_history_stay_as_they_are(node: bpy.types.Object, ticks, folder: Path) -> None:
    before = session.mirror.map.nodes["n"]
    begin(folder, 1, 3)
    ticks(over)
    assert session.mirror.map.nodes["n"] == before and pictures.shown_blob("n") == ""
    history: list[bytes] = []
    session.ask("GET", f"/v1/rooms/{session.connection.room}/nodes/n/history", history.append)
    ticks(lambda: bool(history))
    assert json.loads(history[0]) == []


def test_with_eeg_frames_are_made_one_after_another(node: bpy.types.Object, asked: list, ticks, folder: Path) -> None:
    begin(folder, 1, 4, eeg=True)
    most = 0

    def done() -> bool:
        nonlocal most
        most = max(most, len(asked) - batching.current.done)
        return over()

    ticks(done)
    assert most == 1 and batching.current.done == 4


def test_files_that_are_there_are_left_out_unless_they_shall_be_overwritten(
    node: bpy.types.Object, ticks, folder: Path
) -> None:
    (folder / "mine_0002.png").write_bytes(b"mine")
    begin(folder, 1, 3, name="mine")
    ticks(over)
    assert batching.current.total == 2 and (folder / "mine_0002.png").read_bytes() == b"mine"
    with pytest.raises(RuntimeError, match="All 3 files are in"):
        begin(folder, 1, 3)
    begin(folder, 1, 3, overwrite=True)
    ticks(over)
    assert (folder / "mine_0002.png").read_bytes().startswith(b"\x89PNG")


def test_it_goes_on_when_the_connection_is_back(node: bpy.types.Object, making: str, ticks, folder: Path) -> None:
    begin(folder, 1, 30)
    ticks(lambda: batching.current.done >= 3)
    session.close()
    assert "waits for the broker" in batching.line()
    session.open(making)
    ticks(over)
    assert batching.line() == "30 of 30 frames" and len(list(folder.iterdir())) == 30


def test_pictures_that_come_while_blender_renders_are_written(
    programs, alone: str, asked: list, ticks, folder: Path, monkeypatch
) -> None:
    session.put(model.Node("n", "wet moss", settings=SMALL))
    ticks(settled)
    bpy.context.view_layer.objects.active = card()
    begin(folder, 1, 3)
    ticks(lambda: len(asked) == 3)
    monkeypatch.setattr("addon.session._is_rendering", lambda: True)
    programs.noop_edge(alone)
    ticks(over)
    assert batching.current.done == 3


def test_another_file_does_not_end_it(node: bpy.types.Object, ticks, folder: Path) -> None:
    begin(folder, 1, 12)
    bpy.ops.wm.read_homefile(use_empty=True)
    ticks(over)
    assert batching.current.done == 12


def test_cancelled_it_leaves_what_is_written(node: bpy.types.Object, ticks, folder: Path) -> None:
    begin(folder, 1, 200)
    ticks(lambda: batching.current.done >= 2)
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.alphaloom.batch()
    assert bpy.ops.alphaloom.cancel_batch() == {"FINISHED"}
    written = len(list(folder.iterdir()))
    assert over() and 2 <= written == batching.current.done < 200 and "Cancelled." in batching.line()
    ticks(lambda: all(job.state in model.ENDED for job in session.mirror.jobs.values()))
    assert len(list(folder.iterdir())) == written


def test_a_node_that_cannot_be_made_is_said_for_each_frame(node: bpy.types.Object, ticks, folder: Path) -> None:
    node.alphaloom.task = "img2img"
    begin(folder, 7, 8)
    ticks(over)
    batching.current.failed = dict(sorted(batching.current.failed.items(), reverse=True))  # as answers may come
    assert "2 failed, frame 7 first: img2img needs a source picture" in batching.line()


def test_a_deleted_node_stops_it(node: bpy.types.Object, ticks, folder: Path) -> None:
    begin(folder, 1, 200)
    session.edit(model.Change("delete", "node", "n"))
    ticks(over)
    assert "No node 'n' is on the map." in batching.line()


@pytest.mark.parametrize(
    ("first", "last", "where", "said"),
    [(5, 1, "", "Frames 5 to 1 are 0"), (1, 2, "//here", "save that first"), (1, 2, "{file}/in", "cannot be made: Not a dir")],
)
def test_what_cannot_be_begun_is_said(
    node: bpy.types.Object, folder: Path, first: int, last: int, where: str, said: str
) -> None:
    (folder / "file").touch()
    with pytest.raises(RuntimeError, match=said):
        begin(where.format(file=folder / "file") or folder, first, last)


def test_curves_say_only_what_the_broker_takes(online: str, ticks) -> None:
    session.put(model.Node("n", settings=SMALL))
    ticks(settled)
    for name, value in (("guidance", 3.0), ("steps", 4), ("strength", 0.5)):
        key(card(), name, f1=value, f2=value)
    curves = dict(batching.curves_of(card()))
    for name, wild in (("guidance", 99.0), ("steps", 0.0)):
        curves[name].keyframe_points[1].co.y = wild
        curves[name].update()
    curves["strength"].mute = True
    curves = dict(batching.curves_of(card()))
    assert batching.values_at(curves, 1) == {"guidance": 3.0, "steps": 4}
    assert batching.values_at(curves, 2) == {"guidance": 30.0}


def test_driven_values_count_as_they_are_and_that_is_said(node: bpy.types.Object, folder: Path) -> None:
    node.alphaloom.driver_add("variation")
    begin_line = batching.begin(node, batching.Wanted(1, 2, 1, str(folder), "a b", False, True, False))
    assert "drivers count as they are now: variation" in begin_line and "a_b_####.png" in begin_line


@pytest.mark.parametrize(
    ("words", "name"), [("wet moss, (green)1.2", "wet_moss_green_1_2"), ("../..", "alphaloom"), ("苔", "苔")]
)
def test_files_are_called_so_that_any_system_takes_it(words: str, name: str) -> None:
    assert batching.file_name(words) == name
