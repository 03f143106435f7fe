"""Which engine runs a request: real models, small."""

import gc
import weakref
from dataclasses import replace

import families
import pytest

from edge import device
from edge.models.shelf import EMBEDDED, Shelf
from edge.orders import Order
from edge.pool import Pool
from protocol.errors import AlphaloomError
from protocol.manifest import Entry
from protocol.model import Phrase, ResolvedRequest

ASK = ResolvedRequest("txt2img", (Phrase("red"),), "", 64, 64, 1, 1.0, 0.6, 1)
CPU = device.Device("cpu", device.DTYPES["float32"])


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    folder = tmp_path_factory.mktemp("models")
    shelf = Shelf(folder / "pulled", [Entry("moss", "org/moss", "lora")], pulls=False)
    shelf.add(str(families.save("sd15", folder / "small")))
    broken = families.save("sd15", folder / "broken")
    (broken / "unet/diffusion_pytorch_model.safetensors").write_bytes(b"no weights")
    shelf.add(str(broken))
    return shelf


def test_the_first_model_answers_who_names_none(shelf: Shelf) -> None:
    pool = Pool(shelf, CPU, EMBEDDED)
    assert pool.of(ASK).model.id == pool.of(replace(ASK, model=EMBEDDED)).model.id == EMBEDDED


@pytest.mark.parametrize("kept", [1, 2])
def test_so_many_models_stay_loaded_and_the_others_leave_the_memory(shelf: Shelf, kept: int) -> None:
    pool = Pool(shelf, CPU, EMBEDDED, kept)
    first = pool.of(ASK)
    first.run(Order(ASK))
    unet, engine = weakref.ref(first._pipelines.unet), id(first)
    del first
    other = pool.of(replace(ASK, model="small"))
    assert other.run(Order(replace(ASK, model="small"))).request.model == "small"
    gc.collect()
    assert (unet() is None) == (kept == 1)
    assert (id(pool.of(replace(ASK, model=EMBEDDED))) == engine) == (kept == 2)


def test_a_model_that_cannot_be_loaded_fails_its_job_and_the_first_is_there_again(shelf: Shelf) -> None:
    pool = Pool(shelf, CPU, EMBEDDED)
    for bad, code, said in (
        ("broken", "unsupported_model", "^Cannot load 'broken'"),
        ("moss", "unsupported_model", "is a LoRA, not a model"),
        ("nobody", "unknown_model", "No model is called"),
    ):
        with pytest.raises(AlphaloomError, match=said) as caught:
            pool.of(replace(ASK, model=bad))
        assert caught.value.code == code
        assert pool.of(ASK).model.id == EMBEDDED
