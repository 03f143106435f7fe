"""What is taken of a hub's repository, and what never is. The hub is a fake one, on this machine."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from file_server import FakeHub

from edge.models import safety
from edge.models.hub import Hub
from edge.models.network import Network
from edge.models.pull import Puller
from protocol.errors import AlphaloomError
from protocol.manifest import Entry, File

INDEX = (
    b'{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"], '
    b'"tokenizer": ["transformers", "CLIPTokenizer"], "safety_checker": [null, null], "requires_safety_checker": true}'
)


def data(text: str) -> bytes:
    return text.encode() * 1000


def of_the_hub(*paths: str) -> dict[str, bytes]:
    return {path: INDEX if path == "model_index.json" else data(path) for path in paths}


SD = of_the_hub(
    "model_index.json", "README.md", "v1-5-pruned.ckpt", "v1-5-pruned.safetensors", "pipeline.py",
    "tokenizer/merges.txt", "tokenizer/vocab.json", "tokenizer/evil.py",
    "unet/config.json", "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.fp16.bin", "unet/model.onnx", "unet/openvino_model.xml", "unet/flax_model.msgpack",
    "safety_checker/model.safetensors", "vae_1_0/diffusion_pytorch_model.safetensors", "unet/deep/config.json",
)  # fmt: skip


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as made:
        made.add("org/sd", SD)
        yield made


@pytest.fixture
def puller(hub: FakeHub, tmp_path: Path) -> Puller:
    return Puller(tmp_path / "models", Network(["127.0.0.1"]), Hub(hub.url, ""), pause=0.001)


def pulled(puller: Puller, **entry: Any) -> dict[str, bytes]:
    folder = puller.pull(Entry(**{"id": "m", "source": "org/sd"} | entry))
    assert folder.parent == puller.root
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def refused(puller: Puller, **entry: Any) -> AlphaloomError:
    with pytest.raises(AlphaloomError) as caught:
        pulled(puller, **entry)
    assert not (puller.root / entry.get("id", "m")).exists()
    return caught.value


def test_one_set_of_safetensors_and_what_configures_it_is_taken_and_nothing_else(puller: Puller) -> None:
    wanted = ("model_index.json", "tokenizer/merges.txt", "tokenizer/vocab.json", "unet/config.json")
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert pulled(puller) == {path: SD[path] for path in (*wanted, weights)}
    safety.check(puller.root / "m")


def test_a_variant_is_stored_under_the_plain_name(puller: Puller) -> None:
    files = pulled(puller, variant="fp16")
    assert files["unet/diffusion_pytorch_model.safetensors"] == SD["unet/diffusion_pytorch_model.fp16.safetensors"]
    assert "unet/diffusion_pytorch_model.fp16.safetensors" not in files


def test_where_there_is_no_such_variant_the_plain_one_is_taken_and_fp16_where_there_is_nothing_else(
    hub: FakeHub, puller: Puller
) -> None:
    assert pulled(puller, variant="bf16")["unet/diffusion_pytorch_model.safetensors"] == data(
        "unet/diffusion_pytorch_model.safetensors"
    )
    only = {path: made for path, made in SD.items() if path != "unet/diffusion_pytorch_model.safetensors"}
    hub.add("org/half", only)
    assert pulled(puller, id="half", source="org/half")["unet/diffusion_pytorch_model.safetensors"] == data(
        "unet/diffusion_pytorch_model.fp16.safetensors"
    )


def test_weights_in_pieces_come_with_their_index(hub: FakeHub, puller: Puller) -> None:
    pieces = [
        *("unet/diffusion_pytorch_model-00001-of-00002.safetensors", "unet/diffusion_pytorch_model-00002-of-00002.safetensors"),
        "unet/diffusion_pytorch_model.safetensors.index.json",
    ]
    hub.add("org/sd", of_the_hub("model_index.json", *pieces, "unet/diffusion_pytorch_model.bin.index.json"))
    assert sorted(pulled(puller)) == sorted(["model_index.json", *pieces])


def test_large_files_come_by_the_redirect_and_small_ones_are_checked_by_gits_hash(hub: FakeHub, puller: Puller) -> None:
    pulled(puller)
    weights = SD["unet/diffusion_pytorch_model.safetensors"]
    assert len(hub.asked_for_data(weights)) == 1
    path = f"/org/other/resolve/{'c' * 40}/tokenizer/vocab.json"
    hub.add("org/other", SD)
    hub.files[path].data = hub.files[path].data[:-1] + b"!"
    error = refused(puller, id="m2", source="org/other")
    assert error.code == "bad_checksum" and "vocab.json" in error.message


def test_the_record_lets_it_be_verified_and_says_which_commit_it_is(puller: Puller) -> None:
    from edge.models.pull import broken, record

    pulled(puller)
    found = record(puller.root / "m")
    assert found and found.commit == "c" * 40 and not broken(puller.root / "m", found)
    sums = {file.path: file.sha256 for file in found.files}
    assert sums["tokenizer/vocab.json"] == hashlib.sha256(SD["tokenizer/vocab.json"]).hexdigest()


def test_a_revision_is_asked_for(hub: FakeHub, puller: Puller) -> None:
    hub.files["/api/models/org/sd/revision/v1"] = hub.files["/api/models/org/sd"]
    pulled(puller, revision="v1")
    assert hub.asked[0].path == "/api/models/org/sd/revision/v1"


def test_a_lora_is_one_file_and_a_controlnet_two(hub: FakeHub, puller: Puller) -> None:
    hub.add("org/lora", of_the_hub("pytorch_lora_weights.safetensors", "README.md", "image.png", "other.safetensors"))
    assert list(pulled(puller, id="l", source="org/lora", kind="lora")) == ["pytorch_lora_weights.safetensors"]
    files = [f"diffusion_pytorch_model{each}" for each in (".bin", ".fp16.safetensors", ".safetensors")]
    hub.add("org/depth", of_the_hub("config.json", "other.json", *files))
    taken = pulled(puller, id="c", source="org/depth", kind="controlnet", variant="fp16")
    assert sorted(taken) == ["config.json", "diffusion_pytorch_model.safetensors"]
    assert taken["diffusion_pytorch_model.safetensors"] == data("diffusion_pytorch_model.fp16.safetensors")


def test_of_several_loras_one_must_be_named_and_may_be_pinned(hub: FakeHub, puller: Puller) -> None:
    hub.add("org/loras", of_the_hub("a.safetensors", "b.safetensors"))
    assert refused(puller, source="org/loras", kind="lora").code == "no_model"
    pin = hashlib.sha256(data("b.safetensors")).hexdigest()
    named = {"source": "org/loras", "kind": "lora"}
    assert list(pulled(puller, files=(File("b.safetensors", pin),), **named)) == ["b.safetensors"]
    assert refused(puller, id="n", files=(File("b.safetensors", "0" * 64),), **named).code == "bad_checksum"
    assert refused(puller, id="n", files=(File("c.safetensors"),), **named).code == "no_model"


def test_a_model_of_pickles_is_not_taken(hub: FakeHub, puller: Puller) -> None:
    hub.add("org/sd", of_the_hub("model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.bin"))
    assert refused(puller).code == "unsafe_model"
    hub.add("org/lora", of_the_hub("pytorch_lora_weights.bin"))
    assert refused(puller, source="org/lora", kind="lora").code == "no_model"
    hub.add("org/none", of_the_hub("model_index.json", "unet/config.json"))
    assert refused(puller, source="org/none").code == "no_model"
    hub.add("org/single", of_the_hub("v1-5-pruned.safetensors"))
    assert refused(puller, source="org/single").code == "no_model"


@pytest.mark.parametrize(
    "index",
    [
        b'{"_class_name": ["pipeline", "Evil"], "unet": ["diffusers", "UNet2DConditionModel"]}',
        b'{"_class_name": "StableDiffusionPipeline", "unet": ["antigravity", "Evil"]}',
        b'{"_class_name": "StableDiffusionPipeline", "unet": ["my_unet", "MyUnet"]}',
    ],
)
def test_a_model_that_brings_code_is_not_taken(hub: FakeHub, puller: Puller, index: bytes) -> None:
    hub.add("org/sd", SD | {"model_index.json": index})
    assert refused(puller).code == "unsafe_model"


@pytest.mark.parametrize(
    "path",
    ["../../etc/x.json", "unet/../../x.safetensors", "/etc/x.json", "unet\\..\\x.json", "unet/..", "../m2/model_index.json"],
)
def test_a_hub_with_paths_that_lead_elsewhere_is_not_believed_at_all(hub: FakeHub, puller: Puller, path: str) -> None:
    hub.add("org/sd", SD | {path: b"{}"})
    assert refused(puller).code == "bad_path"
    assert [each.name for each in puller.root.parent.iterdir()] == ["models"]


@pytest.mark.parametrize(
    "listing",
    [
        [], {}, {"sha": "c" * 40}, {"sha": "../..", "siblings": []}, {"sha": "c" * 40, "siblings": [5]},
        {"sha": "c" * 40, "siblings": [{"rfilename": "model_index.json", "size": -1}]},
        {"sha": "c" * 40, "siblings": [{"rfilename": "model_index.json", "size": 2, "lfs": {"sha256": "x", "size": 2}}]},
    ],
)  # fmt: skip
def test_a_list_that_is_none_is_an_error_of_the_hubs(hub: FakeHub, puller: Puller, listing: Any) -> None:
    hub.listing("org/sd", listing)
    assert refused(puller).code == "unreachable_model"


def test_a_file_without_any_hash_is_not_taken(hub: FakeHub, puller: Puller) -> None:
    hub.listing("org/sd", {"sha": "c" * 40, "siblings": [{"rfilename": "x.safetensors", "size": 4}]})
    assert refused(puller, kind="lora").code == "bad_checksum"


def test_what_is_not_there_or_wants_a_licence_accepted_says_what_to_do(hub: FakeHub, puller: Puller) -> None:
    assert "404" in refused(puller, source="org/nothing").message
    hub.files["/api/models/org/sd"].failures = [401]
    error = refused(puller)
    assert error.code == "unreachable_model" and "HF_TOKEN" in error.message and "licence" in error.message


def test_a_token_goes_to_the_hub_and_not_to_where_it_redirects(hub: FakeHub, tmp_path: Path) -> None:
    weights = SD["unet/diffusion_pytorch_model.safetensors"]
    here = f"/org/sd/resolve/{'c' * 40}/unet/diffusion_pytorch_model.safetensors"
    hub.redirects[here] = f"http://localhost:{hub.port}{hub.redirects[here]}"
    network = Network(["127.0.0.1", "localhost"], resolve=lambda host, port: ["127.0.0.1"])
    Puller(tmp_path, network, Hub(hub.url, "hf_secret")).pull(Entry("m", "org/sd"))
    assert all("Authorization" not in asked.headers for asked in hub.asked_for_data(weights))
    assert all(asked.headers["Authorization"] == "Bearer hf_secret" for asked in hub.asked_for(here))


def test_offline_nothing_is_asked(hub: FakeHub, puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(puller).message and not hub.asked


def test_the_hubs_address_may_be_another_but_must_be_allowed_by_the_user(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(AlphaloomError) as caught:
        Puller(tmp_path, Network(), Hub(hub.url, "")).pull(Entry("m", "org/sd"))
    assert caught.value.code == "bad_host" and not hub.asked
