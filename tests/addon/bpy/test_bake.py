"""Recorded features as keyframes."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from addon import bake
from addon.core import recording
from addon.core.shared import errors
from addon.panels import eeg


@pytest.fixture
def cube() -> bpy.types.Object:
    made = bpy.data.objects.new("Cube", bpy.data.meshes.new("Cube"))
    bpy.context.scene.collection.objects.link(made)
    return made


@pytest.mark.parametrize("rate", [20.0, 24.0, 250.0])
def test_a_baked_sine_comes_back_from_the_curve_at_every_frame(cube: bpy.types.Object, rate: float) -> None:
    fps = 24
    values = recording.at_frames(np.sin(2 * np.pi * np.arange(int(10 * rate)) / rate), rate, fps)
    curve = bake.bake(cube, "location", 2, values, 101)
    assert (curve.data_path, curve.array_index) == ("location", 2) and len(curve.keyframe_points) == len(values)
    for frame in range(103, 101 + len(values) - 2):
        assert curve.evaluate(frame) == pytest.approx(np.sin(2 * np.pi * (frame - 101) / fps), abs=0.01)
    bpy.context.scene.frame_set(101 + 6)  # a quarter of a turn
    assert cube.evaluated_get(bpy.context.evaluated_depsgraph_get()).location.z == pytest.approx(1, abs=0.01)


def test_what_was_keyed_elsewhere_stays_and_gaps_have_no_keys(cube: bpy.types.Object) -> None:
    cube.location.x = 7
    cube.keyframe_insert("location", frame=1)
    cube.keyframe_insert("location", frame=12)
    curve = bake.bake(cube, "location", 0, np.array([1, np.nan, 3, 4.0]), 10)
    assert [tuple(point.co) for point in curve.keyframe_points] == [(1, 7), (10, 1), (12, 3), (13, 4)]
    again = bake.bake(cube, "location", 0, np.array([5.0]), 12)
    assert [tuple(point.co) for point in again.keyframe_points] == [(1, 7), (10, 1), (12, 5), (13, 4)]
    curve.keyframe_points[1].co.y = 2  # as anybody edits it
    bpy.context.scene.frame_set(10)
    assert cube.location.x == pytest.approx(2) and cube.location.y == 0


def test_properties_of_ones_own_and_of_materials_are_baked(cube: bpy.types.Object) -> None:
    cube["power"] = 0.5
    assert bake.bake(cube, '["power"]', -1, np.array([0.1, 0.9]), 1).evaluate(2) == pytest.approx(0.9)
    material = bpy.data.materials.new("M")
    assert bake.bake(material, "roughness", -1, np.array([0.1, 0.9]), 1).evaluate(1) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("path", "index"), [("nothing", -1), ("location", 3), ("location", -1), ("name", -1), ("hide_render", -1)]
)
def test_what_is_no_number_is_refused_with_its_path(cube: bpy.types.Object, path: str, index: int) -> None:
    with pytest.raises(errors.AlphaloomError, match=path) as caught:
        bake.bake(cube, path, index, np.zeros(2), 1)
    assert caught.value.code == "bad_property" and cube.animation_data is None


def recorded(folder: Path) -> str:
    """As the recorder writes it: 10 s at 20 Hz, a sine of 1 Hz around 5."""
    values = 5 + np.sin(2 * np.pi * np.arange(200) / 20)
    values[100:110] = np.nan
    (folder / "features.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\nDataFile=features.eeg\n"
        "DataOrientation=MULTIPLEXED\nNumberOfChannels=1\nSamplingInterval=50000.0\n\n[Binary Infos]\n"
        "BinaryFormat=IEEE_FLOAT_32\n\n[Channel Infos]\nCh1=calm,,1,n/a\n"
    )
    values.astype("<f4").tofile(folder / "features.eeg")
    return str(folder)


def test_the_operator_bakes_a_recording_and_says_what_is_wrong(cube: bpy.types.Object, tmp_path: Path) -> None:
    assert not bpy.ops.alphaloom.bake.poll()
    bpy.context.view_layer.objects.active = cube
    scene, fields = bpy.context.scene, bpy.context.scene.alphaloom
    fields.recording, fields.baked_path, fields.baked_values = recorded(tmp_path), "location[2]", "OWN"
    scene.render.fps, scene.frame_current = 24, 11
    assert bpy.ops.alphaloom.bake() == {"FINISHED"}
    scene.frame_set(11 + 6)
    assert cube.location.z == pytest.approx(6, abs=0.01)
    fields.baked_values = "SHARE"
    bpy.ops.alphaloom.bake()
    scene.frame_set(scene.frame_current + 6)
    assert cube.location.z == pytest.approx(1, abs=0.01)
    fields.feature = "beta"
    with pytest.raises(RuntimeError, match="no feature 'beta'; it has calm"):
        bpy.ops.alphaloom.bake()
    fields.feature, fields.baked_path = "calm", "nothing"
    with pytest.raises(RuntimeError, match="no number 'nothing'"):
        bpy.ops.alphaloom.bake()


def test_paths_are_taken_as_blender_copies_them() -> None:
    assert eeg.split_path("location[2]") == ("location", 2)
    assert eeg.split_path(' ["power"]') == ('["power"]', -1)
    assert eeg.split_path('modifiers["Bend"].angle') == ('modifiers["Bend"].angle', -1)
