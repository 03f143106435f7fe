import shutil
from pathlib import Path

import pytest

from edge import models
from protocol.errors import AlphaloomError


def test_the_embedded_model_is_there_and_small() -> None:
    folder = Path(models.find(models.EMBEDDED).source)
    files = [f for f in folder.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 16e6
    assert any(f.suffix == ".safetensors" for f in files)


def test_a_folder_is_known_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    assert models.find(str(folder)) == models.Model("my-model", str(folder), 25)


def test_a_hub_id_is_passed_on() -> None:
    assert models.find("stabilityai/sd-turbo").source == "stabilityai/sd-turbo"


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "no-such-model", "a/b/c", ""])
def test_a_missing_model_says_what_to_give(name: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        models.find(name)
    assert caught.value.code == "no_model"


@pytest.mark.parametrize("pickle", ["unet/diffusion_pytorch_model.bin", "model.ckpt", "vae/x.pt"])
def test_a_model_that_holds_a_pickle_is_never_loaded(tmp_path: Path, pickle: str) -> None:
    (tmp_path / pickle).parent.mkdir(exist_ok=True)
    (tmp_path / pickle).write_bytes(b"\x80\x04")
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(AlphaloomError, match="pickles can run any code") as caught:
        models.find(str(tmp_path))
    assert caught.value.detail["files"] == [pickle]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/model.safetensors").write_bytes(bytes(300_000))
    (tmp_path / "model_index.json").write_text("{}")
    return tmp_path


def hashed(folder: Path, device: str = "cpu") -> str:
    return models.fingerprint(models.find(str(folder)), device)


def test_one_model_on_one_kind_of_device_has_one_fingerprint_wherever_it_lies(folder: Path) -> None:
    elsewhere = shutil.copytree(folder, folder / "copy")
    (elsewhere / "README.md").write_text("The same weights.")
    assert hashed(elsewhere) == hashed(elsewhere) and len(hashed(elsewhere)) == 64
    shutil.move(elsewhere, folder.parent / "moved")
    assert hashed(folder.parent / "moved") == hashed(folder) != hashed(folder, "NVIDIA H200")


@pytest.mark.parametrize("where", [0, 299_999])
def test_other_weights_have_another_fingerprint(folder: Path, where: int) -> None:
    before = hashed(folder)
    with open(folder / "unet/model.safetensors", "r+b") as weights:
        weights.seek(where)
        weights.write(b"x")
    assert hashed(folder) != before


def test_another_name_size_or_configuration_is_another_fingerprint(folder: Path) -> None:
    seen = {hashed(folder)}
    (folder / "model_index.json").write_text('{"scheduler": "other"}')
    seen.add(hashed(folder))
    with open(folder / "unet/model.safetensors", "ab") as weights:
        weights.write(bytes(1))
    seen.add(hashed(folder))
    (folder / "unet/model.safetensors").rename(folder / "unet/other.safetensors")
    seen.add(hashed(folder))
    assert len(seen) == 4


def test_another_version_of_a_library_is_another_fingerprint(folder: Path, monkeypatch) -> None:
    before = hashed(folder)
    monkeypatch.setattr(models, "version", lambda name: "0")
    assert hashed(folder) != before


def test_a_hubs_model_that_is_in_no_folder_has_none(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert models.fingerprint(models.find("nobody/nothing"), "cpu") == ""
