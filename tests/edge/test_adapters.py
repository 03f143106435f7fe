"""LoRAs and ControlNets on real pipelines: what they do, and that nothing of them stays."""

from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from edge import adapters, tiling
from edge.adapters import Adapters
from edge.device import Device
from edge.pipelines import KINDS
from protocol.errors import AlphaloomError
from protocol.model import Lora

CPU = Device("cpu", torch.float32)
BFLOAT16 = Device("cpu", torch.bfloat16)


def load(folder: Path, device: Device = CPU) -> Any:
    pipeline = DiffusionPipeline.from_pretrained(folder, use_safetensors=True, dtype=device.dtype)
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            device.place(part)
    return pipeline


def make(pipeline: Any, **more: Any) -> np.ndarray:
    """(h, w, 3), 0..1."""
    settings = {"width": 64, "height": 64, "num_inference_steps": 2, "guidance_scale": 4.0, "output_type": "np"} | more
    return pipeline("red marble", generator=torch.Generator().manual_seed(1), **settings).images[0]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, LoRAs and ControlNets of each family, by name."""
    folder = tmp_path_factory.mktemp("shelf")
    for family in ("sd15", "sdxl"):
        families.save(family, folder / family)
        for seed in (0, 1):
            families.save_lora(family, folder / f"{family}-lora{seed}", seed)
        families.save_lora(family, folder / f"{family}-lora-conv", 2, convolutions=True)
        for seed in (0, 1, 2):
            families.save_controlnet(family, folder / f"{family}-depth{seed}", seed)
    return folder


@pytest.fixture(params=["sd15", "sdxl"])
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("device", [CPU, BFLOAT16], ids=["float32", "bfloat16"])
def test_a_lora_works_while_it_is_wanted_and_leaves_no_trace(shelf: Path, family: str, device: Device) -> None:
    pipeline = load(shelf / family, device)
    bent = Adapters(pipeline, device)
    plain = make(pipeline)
    bent.loras((), shelf.joinpath)
    np.testing.assert_array_equal(make(pipeline), plain)
    seen = {}
    for id_ in (f"{family}-lora0", f"{family}-lora1", f"{family}-lora-conv"):
        bent.loras((Lora(id_),), shelf.joinpath)
        seen[id_] = make(pipeline)
        assert np.abs(seen[id_] - plain).mean() > 0.003
        bent.loras((), shelf.joinpath)
        np.testing.assert_array_equal(make(pipeline), plain)
    for id_, before in seen.items():
        bent.loras((Lora(id_),), shelf.joinpath)
        np.testing.assert_array_equal(make(pipeline), before)
    assert {weights.dtype for weights in pipeline.unet.parameters()} == {device.dtype}


def test_weights_are_obeyed(shelf: Path, family: str) -> None:
    pipeline = load(shelf / family)
    bent, id_ = Adapters(pipeline, CPU), f"{family}-lora0"
    plain = make(pipeline)

    def at(*weights: float) -> np.ndarray:
        bent.loras(tuple(Lora(id_, weight) for weight in weights), shelf.joinpath)
        return make(pipeline)

    np.testing.assert_array_equal(at(0.0), plain)
    assert 0 < np.abs(at(0.1) - plain).mean() < np.abs(at(1.0) - plain).mean()
    np.testing.assert_array_equal(at(0.25, 0.75), at(1.0))
    assert not np.array_equal(at(-0.5), at(0.5))
    np.testing.assert_array_equal(at(0.5, -0.5), plain)


def test_two_work_together_and_one_goes(shelf: Path, family: str) -> None:
    pipeline = load(shelf / family)
    bent = Adapters(pipeline, CPU)
    first, second = Lora(f"{family}-lora0", 0.6), Lora(f"{family}-lora1", 0.6)
    bent.loras((first,), shelf.joinpath)
    alone = make(pipeline)
    bent.loras((first, second), shelf.joinpath)
    assert not np.array_equal(make(pipeline), alone)
    bent.loras((first,), shelf.joinpath)
    np.testing.assert_array_equal(make(pipeline), alone)


def test_each_is_read_once_and_the_longest_unused_goes(shelf: Path, monkeypatch) -> None:
    monkeypatch.setattr(adapters, "MAX_LORAS", 2)
    pipeline = load(shelf / "sd15")
    bent, asked = Adapters(pipeline, CPU), list[str]()

    def folder_of(id_: str) -> Path:
        asked.append(id_)
        return shelf / id_

    ids = ("sd15-lora0", "sd15-lora1", "sd15-lora-conv")
    for id_ in (ids[0], ids[1], ids[0], ids[2], ids[0]):
        bent.loras((Lora(id_),), folder_of)
    assert asked == list(ids)
    bent.loras((Lora(ids[1]),), folder_of)
    assert asked == [*ids, ids[1]]
    kept = {name for layer in bent._layers() for name in layer.lora_A}
    assert len(kept) == 2 and set(pipeline.unet.peft_config) == kept
    bent.loras(tuple(Lora(id_) for id_ in ids), folder_of)  # more at once than are kept
    assert np.isfinite(make(pipeline)).all()


@pytest.mark.parametrize(
    ("model", "id_"), [("sd15", "sdxl-lora0"), ("sdxl", "sd15-lora0"), ("sd15", "nonsense"), ("sd15", "flux")]
)
def test_a_lora_of_another_family_is_refused_and_the_model_is_unharmed(
    shelf: Path, tmp_path: Path, model: str, id_: str
) -> None:
    (shelf / "nonsense").mkdir(exist_ok=True)
    (shelf / "nonsense/a.safetensors").write_bytes(b"no safetensors at all")
    theirs = load_file(shelf / "sd15-lora0/pytorch_lora_weights.safetensors")
    (shelf / "flux").mkdir(exist_ok=True)
    save_file({key.replace("unet.", "transformer."): value for key, value in theirs.items()}, shelf / "flux/a.safetensors")
    pipeline = load(shelf / model)
    bent, own = Adapters(pipeline, CPU), (Lora(f"{model}-lora0"),)
    plain = make(pipeline)
    for _ in range(2):
        with pytest.raises(AlphaloomError, match=f"{id_}.*does not fit") as caught:
            bent.loras((*own, Lora(id_)), shelf.joinpath)
        assert caught.value.code == "unsupported_lora" and caught.value.detail["lora"] == id_
        np.testing.assert_array_equal(make(pipeline), plain)
        bent.loras(own, shelf.joinpath)
        assert not np.array_equal(make(pipeline), plain)
        bent.loras((), shelf.joinpath)
        np.testing.assert_array_equal(make(pipeline), plain)


def test_a_pickle_is_no_lora(shelf: Path, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "pytorch_lora_weights.bin")
    bent = Adapters(load(shelf / "sd15"), CPU)
    for where in (tmp_path, tmp_path / "pytorch_lora_weights.bin", tmp_path / "nowhere"):
        with pytest.raises(AlphaloomError, match="safetensors") as caught:
            bent.loras((Lora("a"),), lambda id_, where=where: where)
        assert caught.value.code == "unknown_lora" and str(tmp_path) not in caught.value.message


def test_a_lora_may_be_a_file(shelf: Path) -> None:
    pipeline = load(shelf / "sd15")
    Adapters(pipeline, CPU).loras((Lora("a"),), lambda id_: shelf / "sd15-lora0/pytorch_lora_weights.safetensors")
    assert pipeline.get_active_adapters()


def test_all_tasks_see_a_lora_and_tiling_sees_its_convolutions(shelf: Path) -> None:
    from diffusers import AutoPipelineForImage2Image

    pipeline = load(shelf / "sd15")
    second = AutoPipelineForImage2Image.from_pipe(pipeline)
    second.set_progress_bar_config(disable=True)
    bent = Adapters(pipeline, CPU)
    source = torch.zeros(1, 3, 64, 64)
    plain = make(second, image=source, width=None, height=None), make(pipeline)
    bent.loras((Lora("sd15-lora-conv"),), shelf.joinpath)
    tiling.apply([pipeline.unet, pipeline.vae], "xy")
    assert not np.array_equal(make(second, image=source, width=None, height=None), plain[0])
    bent.loras((), shelf.joinpath)
    tiling.apply([pipeline.unet, pipeline.vae], "")
    np.testing.assert_array_equal(make(pipeline), plain[1])


@pytest.mark.parametrize("device", [CPU, BFLOAT16], ids=["float32", "bfloat16"])
def test_every_task_follows_the_depth(shelf: Path, family: str, device: Device) -> None:
    pipeline = load(shelf / family, device)
    bent = Adapters(pipeline, device)
    plain = make(pipeline)
    control = bent.controlnet("depth", shelf / f"{family}-depth0")
    assert control.dtype == device.dtype and control.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    depths = [torch.full((1, 3, 64, 64), value) for value in (0.0, 1.0)]
    source, mask = torch.full((1, 3, 64, 64), 0.5), torch.ones(1, 1, 64, 64)
    inputs = {
        "txt2img": lambda depth: {"image": depth},
        "img2img": lambda depth: {"image": source, "control_image": depth, "strength": 1.0},
        "inpaint": lambda depth: {"image": source, "mask_image": mask, "control_image": depth, "strength": 1.0},
    }
    for task, with_depth in inputs.items():
        controlled = KINDS[task].from_pipe(pipeline, controlnet=control)
        controlled.set_progress_bar_config(disable=True)
        assert controlled.unet is pipeline.unet and controlled.unet.dtype == device.dtype
        near, far = (make(controlled, **with_depth(depth)) for depth in depths)
        assert np.isfinite(near).all() and not np.array_equal(near, far), task
        of_none = make(controlled, **with_depth(depths[1]), controlnet_conditioning_scale=0.0)
        assert np.abs(of_none - far).mean() > 0, task
    np.testing.assert_array_equal(make(pipeline), plain)


def test_controlnets_are_kept_up_to_a_number(shelf: Path) -> None:
    bent = Adapters(load(shelf / "sd15"), CPU)
    first, second = (bent.controlnet(str(n), shelf / f"sd15-depth{n}") for n in (0, 1))
    assert bent.controlnet("0", shelf / "sd15-depth0") is first
    bent.controlnet("2", shelf / "sd15-depth2")
    assert bent.controlnet("0", shelf / "nowhere") is first
    assert bent.controlnet("1", shelf / "sd15-depth1") is not second


@pytest.mark.parametrize(
    ("model", "folder"), [("sd15", "sdxl-depth0"), ("sdxl", "sd15-depth0"), ("sd15", "nowhere"), ("sd15", "sd15")]
)
def test_a_controlnet_of_another_family_is_refused(shelf: Path, model: str, folder: str) -> None:
    pipeline = load(shelf / model)
    plain = make(pipeline)
    bent = Adapters(pipeline, CPU)
    with pytest.raises(AlphaloomError, match="does not fit") as caught:
        bent.controlnet("depth", shelf / folder)
    assert caught.value.code == "unsupported_control" and caught.value.detail["control"] == "depth"
    np.testing.assert_array_equal(make(pipeline), plain)


def test_a_controlnet_in_a_pickle_is_refused(shelf: Path, tmp_path: Path) -> None:
    control = Adapters(load(shelf / "sd15"), CPU).controlnet("depth", shelf / "sd15-depth0")
    control.save_pretrained(tmp_path, safe_serialization=False)
    assert list(tmp_path.glob("*.bin"))
    with pytest.raises(AlphaloomError, match="does not fit"):
        Adapters(load(shelf / "sd15"), CPU).controlnet("depth", tmp_path)
