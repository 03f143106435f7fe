"""`eeg("calm")` in drivers."""

import bpy
import pytest

from addon import driving
from addon.core.shared import messages as m
from addon.core.shared import model
from addon.session import session


def frame(z: float | None, signal: model.Signal = "good") -> m.Features:
    return m.Features(model.Frame(1.0, {"calm": model.Feature(3.0, z, 1.0, 1.0)}, signal=signal))


def drive(owner: bpy.types.ID, path: str, index: int, expression: str) -> None:
    (owner.driver_add(path, index) if index >= 0 else owner.driver_add(path)).driver.expression = expression


def shown(item: bpy.types.Object) -> float:
    return item.evaluated_get(bpy.context.evaluated_depsgraph_get()).location.x


@pytest.fixture
def cube() -> bpy.types.Object:
    made = bpy.data.objects.new("Cube", bpy.data.meshes.new("Cube"))
    bpy.context.scene.collection.objects.link(made)
    drive(made, "location", 0, 'eeg("calm")')
    driving._looked_at = float("-inf")
    return made


def hear(message: m.Features) -> None:
    session.connection.inbox.append(message)
    session.tick()


def test_a_driver_follows_the_eeg_and_uses_nothing_up(cube: bpy.types.Object) -> None:
    assert shown(cube) == pytest.approx(0.5)
    hear(frame(2.0))
    for number in (1, 50, 3, 3):
        bpy.context.scene.frame_set(number)
        assert shown(cube) == pytest.approx(0.8808, abs=1e-4)
    hear(frame(-2.0))
    assert shown(cube) == pytest.approx(0.1192, abs=1e-4)


@pytest.mark.parametrize("message", [frame(None), frame(float("nan")), frame(2.0, "lost"), frame(2.0, "held")])
def test_what_cannot_be_trusted_is_neutral(cube: bpy.types.Object, message: m.Features) -> None:
    hear(message)
    assert shown(cube) == pytest.approx(0.5) and driving.eeg("calm", 0.2) == 0.2 and driving.eeg("no such feature") == 0.5


def test_a_file_that_is_opened_again_still_follows(cube: bpy.types.Object, tmp_path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "driven.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "driven.blend"), use_scripts=True)
    driving._looked_at = float("-inf")
    hear(frame(2.0))
    assert shown(bpy.data.objects["Cube"]) == pytest.approx(0.8808, abs=1e-4)


def test_nodes_of_a_material_are_driven(cube: bpy.types.Object) -> None:
    material = bpy.data.materials.new("M")
    if material.node_tree is None:
        material.use_nodes = True
    cube.data.materials.append(material)
    drive(material.node_tree.nodes["Principled BSDF"].inputs["Roughness"], "default_value", -1, 'eeg("calm")')
    hear(frame(2.0))
    assert ("materials", "M", True) in driving._driven
    node = material.evaluated_get(bpy.context.evaluated_depsgraph_get()).node_tree.nodes["Principled BSDF"]
    assert node.inputs["Roughness"].default_value == pytest.approx(0.8808, abs=1e-4)


def test_without_a_connection_it_is_neutral_again(cube: bpy.types.Object) -> None:
    hear(frame(2.0))
    session.close()
    assert shown(cube) == pytest.approx(0.5)
