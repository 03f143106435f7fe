"""Which models there are, what an id means, and what tells one's pictures from another's."""

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FakeHub, FileServer, Served

from edge.models import shelf
from edge.models.hub import Hub
from edge.models.network import Network
from edge.models.shelf import EMBEDDED, Model, Shelf
from protocol.errors import AlphaloomError
from protocol.manifest import Defaults, Entry, File

WEIGHTS = bytes(range(256)) * 4096


def test_the_embedded_model_is_there_and_small() -> None:
    folder = Path(shelf.find(EMBEDDED).source)
    files = [f for f in folder.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 16e6
    assert any(f.suffix == ".safetensors" for f in files)


def test_a_folder_is_known_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    assert shelf.find(str(folder)) == Model("my-model", str(folder), 25)


@pytest.mark.parametrize(("width", "more", "family"), [(768, "", "sd1"), (1024, "", "sd2"), (2048, "text_encoder_2", "sdxl")])
def test_a_folders_family_is_seen_by_its_unet(tmp_path: Path, width: int, more: str, family: str) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/config.json").write_text(f'{{"cross_attention_dim": {width}}}')
    (tmp_path / "model_index.json").write_text(f'{{"{more}": ["transformers", "CLIPTextModelWithProjection"]}}')
    assert shelf.find(str(tmp_path)).family == family


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "no-such-model", "a/b/c", "", "../..", "a/..", "org/na me"])
def test_a_missing_model_says_what_to_give(name: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        shelf.find(name)
    assert caught.value.code == "no_model"


@pytest.mark.parametrize("pickle", ["unet/diffusion_pytorch_model.bin", "model.ckpt", "vae/x.pt"])
def test_a_model_that_holds_a_pickle_is_never_loaded(tmp_path: Path, pickle: str) -> None:
    (tmp_path / pickle).parent.mkdir(exist_ok=True)
    (tmp_path / pickle).write_bytes(b"\x80\x04")
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(AlphaloomError, match="pickles can run any code") as caught:
        shelf.find(str(tmp_path))
    assert caught.value.detail["files"] == [pickle]


def test_a_model_that_would_bring_code_is_never_loaded(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"unet": ["my_code", "Unet"]}')
    with pytest.raises(AlphaloomError, match="never run"):
        shelf.find(str(tmp_path))


# -- fingerprints -----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/model.safetensors").write_bytes(bytes(300_000))
    (tmp_path / "model_index.json").write_text("{}")
    return tmp_path


def hashed(folder: Path, device: str = "cpu") -> str:
    return shelf.fingerprint(shelf.find(str(folder)), device)


def test_one_model_on_one_kind_of_device_has_one_fingerprint_wherever_it_lies(folder: Path) -> None:
    elsewhere = shutil.copytree(folder, folder / "copy")
    (elsewhere / "README.md").write_text("The same weights.")
    (elsewhere / ".alphaloom.json").write_text("{}")
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


def test_another_version_of_a_library_is_another_fingerprint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hashed(folder)
    monkeypatch.setattr(shelf, "versions", lambda: {"torch": "0"})
    assert hashed(folder) != before


def test_a_model_that_is_not_here_has_none(tmp_path: Path) -> None:
    empty = Shelf(tmp_path)
    assert shelf.fingerprint(empty.find(empty.add("nobody/nothing")), "cpu") == ""


# -- the shelf --------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as made:
        made.files["/m/weights.safetensors"] = Served(WEIGHTS, '"one"')
        yield made


def lora(server: FileServer, name: str = "l") -> Entry:
    return Entry(
        name,
        f"{server.url}/m/",
        "lora",
        files=(File("weights.safetensors", hashlib.sha256(WEIGHTS).hexdigest(), len(WEIGHTS)),),
    )


def made(root: Path, *entries: Entry, hub: FakeHub | None = None, pulls: bool = True) -> Shelf:
    return Shelf(root, entries, Network(["127.0.0.1"]), Hub(hub.url if hub else "https://127.0.0.1:1", ""), pulls)


def diffusers_files() -> dict[str, bytes]:
    index = b'{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}'
    return {"model_index.json": index, "unet/config.json": b"{}", "unet/diffusion_pytorch_model.safetensors": WEIGHTS}


def test_an_id_means_what_the_manifest_says_of_it(tmp_path: Path) -> None:
    turbo = Entry("turbo", "org/turbo", family="sd2", defaults=Defaults(steps=1, guidance=0.0))
    plain = Entry("org/plain", "org/plain", family="sd1", defaults=Defaults(guidance=7.5))
    there = made(tmp_path, turbo, plain)
    assert there.find("turbo") == Model("turbo", str(tmp_path / "turbo"), 1, "sd2", 0.0)
    assert there.find("org/plain") == Model("org/plain", str(tmp_path / "org@plain"), 25, "sd1", None)
    assert there.add("org/turbo") == "turbo", "a hub id that the manifest knows goes by its name there"


@pytest.mark.parametrize("name", ["org/unheard-of", "/etc", "../x", "", "https://example.org/x", "turbo/../x"])
async def test_a_request_can_name_only_an_id_that_is_known(tmp_path: Path, name: str) -> None:
    there = made(tmp_path, Entry("turbo", "org/turbo"))
    with pytest.raises(AlphaloomError) as caught:
        await there.ensure(name)
    assert caught.value.code == "unknown_model" and "texture-tiny" in caught.value.message


def test_nobody_takes_the_embedded_models_place(tmp_path: Path) -> None:
    there = made(tmp_path, Entry(EMBEDDED, "org/other"))
    assert there.find(EMBEDDED).source == str(shelf.HERE / EMBEDDED) and there.here(EMBEDDED)


def test_what_it_tells_of_are_models_here_with_a_fingerprint_and_others_that_can_be_pulled(
    folder: Path, tmp_path: Path
) -> None:
    entries = [
        *(Entry("far", "org/far"), Entry("lost", str(tmp_path / "lost")), Entry("near", str(folder))),
        *(Entry("l", "org/l", "lora"), Entry("c", "org/c", "controlnet"), Entry("secret", "")),
    ]
    there = made(tmp_path / "models", *entries)
    told = there.models("cpu")
    assert told == {EMBEDDED: shelf.fingerprint(there.find(EMBEDDED), "cpu"), "far": "", "near": hashed(folder)}
    assert "far" not in made(tmp_path / "models", *entries, pulls=False).models("cpu")
    states = {item.entry.id: item.state for item in there.items()}
    assert states == {
        EMBEDDED: "here", "far": "absent", "lost": "absent", "near": "here", "l": "absent", "c": "absent",
        "secret": "elsewhere",
    }  # fmt: skip


async def test_a_model_of_the_hub_is_fetched_when_it_is_needed_and_known_ever_after(tmp_path: Path) -> None:
    with FakeHub() as hub:
        hub.add("org/far", diffusers_files())
        there = made(tmp_path, Entry("far", "org/far", family="sd1"), hub=hub)
        seen: list[tuple[int, int]] = []
        model = await there.ensure("far", lambda done, size: seen.append((done, size)))
        assert model == there.find("far") and there.here("far") and seen[-1][0] == seen[-1][1] > len(WEIGHTS)
        assert len(there.models("cpu")["far"]) == 64
        asked = len(hub.asked)
        assert await there.ensure("far") == model and len(hub.asked) == asked
    without = made(tmp_path)
    assert without.find("far").family == "sd1" and without.here("far"), "also where no manifest tells of it any longer"
    assert without.verify("far") == [] and without.verify(EMBEDDED) is None


def test_a_real_model_that_came_from_a_hub_is_the_same_one(tmp_path: Path) -> None:
    embedded = shelf.HERE / EMBEDDED
    with FakeHub() as hub:
        files = [file for file in embedded.rglob("*") if file.is_file()]
        hub.add("org/texture", {file.relative_to(embedded).as_posix(): file.read_bytes() for file in files})
        there = made(tmp_path, Entry("texture", "org/texture"), hub=hub)
        pulled = there.pull("texture")
    assert shelf.weights_hash(pulled) == shelf.weights_hash(there.find(EMBEDDED))
    assert not (tmp_path / "texture/README.md").exists()


async def test_who_asks_for_one_that_is_on_its_way_waits_for_the_same_pull(server: FileServer, tmp_path: Path) -> None:
    server.files["/m/weights.safetensors"].hold_after = 500_000
    there = made(tmp_path, lora(server))
    first, second = asyncio.create_task(there.ensure("l")), asyncio.create_task(there.ensure("l"))
    assert await asyncio.to_thread(server.held.wait, 30)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert first.cancelled()
    server.go_on.set()
    assert (await second).id == "l" and there.verify("l") == []
    assert len(server.asked) == 1


async def test_when_nobody_waits_any_longer_it_stops_and_goes_on_later(server: FileServer, tmp_path: Path) -> None:
    file = server.files["/m/weights.safetensors"]
    file.hold_after = 500_000
    there = made(tmp_path, lora(server))
    come = asyncio.Event()
    only = asyncio.create_task(there.ensure("l", lambda done, size: come.set()))
    await asyncio.wait_for(come.wait(), 30)
    assert await asyncio.to_thread(server.held.wait, 30)
    only.cancel()
    await asyncio.gather(only, return_exceptions=True)
    file.hold_after = -1
    server.go_on.set()
    await there.ensure("l")
    assert len(server.asked) == 2 and server.asked[1].range.startswith("bytes=")


async def test_a_pull_that_fails_tells_all_who_wait_and_can_be_tried_again(server: FileServer, tmp_path: Path) -> None:
    there = made(tmp_path, lora(server))
    server.files["/m/weights.safetensors"].failures = [404]
    both = await asyncio.gather(there.ensure("l"), there.ensure("l"), return_exceptions=True)
    assert [getattr(each, "code", None) for each in both] == ["unreachable_model"] * 2
    assert (await there.ensure("l")).kind == "lora"


async def test_what_cannot_be_fetched_says_why(server: FileServer, tmp_path: Path) -> None:
    entries = [lora(server), Entry("lost", str(tmp_path / "lost")), Entry("secret", "")]
    there = made(tmp_path, *entries, pulls=False)
    for name in ("l", "lost", "secret"):
        with pytest.raises(AlphaloomError, match="not on this machine") as caught:
            await there.ensure(name)
        assert caught.value.code == "unreachable_model"
    assert not server.asked


async def test_what_is_nowhere_to_be_fetched_from_wants_a_manifest_of_the_edge(tmp_path: Path) -> None:
    with pytest.raises(AlphaloomError, match="--manifest"):
        await made(tmp_path, Entry("secret", "")).ensure("secret")


async def test_a_model_is_no_lora_and_is_not_pulled_as_one(server: FileServer, tmp_path: Path) -> None:
    there = made(tmp_path, lora(server))
    for name, kind, code, said in (
        (EMBEDDED, "lora", "unsupported_lora", "is a model, not a LoRA"),
        ("l", "controlnet", "unsupported_control", "is a LoRA, not a ControlNet"),
        ("l", "model", "unsupported_model", "is a LoRA, not a model"),
    ):
        with pytest.raises(AlphaloomError, match=f"{name!r} {said}") as caught:
            await there.ensure(name, kind=kind)
        assert caught.value.code == code and str(tmp_path) not in caught.value.message
    assert not server.asked
    assert (await there.ensure("l", kind="lora")).kind == "lora"


def test_a_folder_that_takes_anothers_id_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "turbo").mkdir()
    (tmp_path / "turbo/model_index.json").write_text("{}")
    for others, warnings in ((Entry("turbo", "org/turbo"), 1), (Entry("turbo", ""), 0), (Entry("else", "org/turbo"), 0)):
        caplog.clear()
        there = made(tmp_path / "models", others)
        assert [there.add(str(tmp_path / "turbo")) for _ in range(2)] == ["turbo"] * 2
        assert there.find("turbo").source == str(tmp_path / "turbo")
        assert [record.args[0] for record in caplog.records] == ["turbo"] * warnings


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AlphaloomError, match="There is no folder"):
        made(tmp_path).add(str(tmp_path / "nosuch"))


def test_what_files_weigh_together_is_listed(server: FileServer, tmp_path: Path) -> None:
    assert {item.entry.id: item.size for item in made(tmp_path, lora(server)).items()}["l"] == len(WEIGHTS)


def test_the_beginning_of_one_that_nobody_knows_any_longer_is_removed(tmp_path: Path) -> None:
    there = made(tmp_path)
    (tmp_path / ".pull/org@gone").mkdir(parents=True)
    there.remove("org/gone")
    assert not (tmp_path / ".pull/org@gone").exists()


def test_only_what_was_pulled_is_removed(folder: Path, tmp_path: Path) -> None:
    there = made(tmp_path / "models", Entry("near", str(folder)), Entry("far", "org/far"))
    for name in ("near", EMBEDDED, "far", "gone", "../near", ""):
        with pytest.raises(AlphaloomError, match="nothing is removed"):
            there.remove(name)
    assert there.here("near") and there.here(EMBEDDED)
