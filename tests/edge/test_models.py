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
