from pathlib import Path
from typing import Any

import pytest

from protocol import manifest
from protocol.errors import AlphaloomError
from protocol.manifest import Defaults, Entry, File

ROOT = Path(__file__).resolve().parents[2]
SUM = "ab" * 32


def bad(**entry: Any) -> str:
    with pytest.raises(AlphaloomError) as caught:
        manifest.parse([{"id": "m", "source": "org/m"} | entry])
    assert caught.value.code in ("bad_manifest", "bad_path")
    return caught.value.message


def test_what_is_shipped_can_be_read_and_invents_no_checksum() -> None:
    entries = manifest.load(ROOT / "broker/models.toml")
    assert len(entries) >= 10 and all((entry.licence and entry.size) or entry.origin == "embedded" for entry in entries)
    assert all(entry.origin in ("hub", "embedded") and not entry.files for entry in entries)
    assert manifest.parse([manifest.plain(entry) for entry in entries]) == entries


def test_a_file_is_read_with_all_that_can_be_said(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(f"""
[[model]]
id = "moss"
kind = "lora"
family = "sd1"
source = "https://models.example.org/moss/"
licence = "cc-by"
size = 5
files = [{{ path = "moss.safetensors", sha256 = "{SUM}", size = 5 }}]
defaults = {{ steps = 4, guidance = 1, side = 512 }}

[[model]]
id = "mine"
source = "./mine"
""")
    moss, mine = manifest.load(file)
    assert moss == Entry(
        "moss", "https://models.example.org/moss/", "lora", "sd1", "cc-by", 5,
        files=(File("moss.safetensors", SUM, 5),), defaults=Defaults(4, 1.0, 512),
    )  # fmt: skip
    assert mine.source == str(tmp_path / "mine") and manifest.served([moss, mine])[1].source == ""


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("embedded", "embedded"), ("org/name", "hub"), ("https://a.org/b/", "url"), ("", "elsewhere"), ("/a/b", "folder"),
        ("./a", "folder"), ("../a/b", "folder"), ("~/a", "folder"), ("C:\\models\\a", "folder"), ("a/b/c", "folder"),
    ],
)  # fmt: skip
def test_a_source_is_what_it_looks_like(source: str, origin: str) -> None:
    assert manifest.origin_of(source) == origin


@pytest.mark.parametrize(
    "name", ["", "a/b/c", "../a", "a/..", ".hidden", "a b", "a\\b", "/a", "a/", "a..b", "a.", "x" * 200, "ä"]
)
def test_an_id_is_never_a_path(name: str) -> None:
    assert not manifest.is_id(name)
    assert "no model's id" in bad(id=name)


@pytest.mark.parametrize(
    "path",
    [
        "", "/x.json", "../x.json", "a/../x.json", "./x.json", "a//x.json", "a\\x.json", "C:x.json", ".x.json", "a/.x/b.json",
        "x.py", "x.bin", "x.ckpt", "x", "a/b/c/d/x.json", "x\n.json", "x.json ", "x.json/", "x.json.",
    ],
)  # fmt: skip
def test_a_files_path_stays_within_its_model_and_is_of_a_kind_that_holds_no_code(path: str) -> None:
    assert repr(path) in bad(files=[{"path": path}])


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "pickle"}, {"family": "gan"}, {"size": -1}, {"size": "5"}, {"size": True}, {"size": 1 << 60}, {"wrong": 1},
        {"revision": "../main"}, {"revision": "a b"}, {"variant": "../fp16"}, {"files": 5}, {"files": [5]}, {"files": [{}]},
        {"files": [{"path": "a.json", "sha256": "x"}]}, {"files": [{"path": "a.json"}, {"path": "A.json"}]},
        {"defaults": {"steps": 1000}}, {"defaults": {"guidance": float("nan")}}, {"defaults": {"nonsense": 1}}, {"defaults": 5},
        {"defaults": {"tiling": "z"}},
        {"source": 5}, {"id": None}, {"licence": "two\nlines"}, {"licence": 5},
        {"source": "https://a.org/b/"}, {"source": "https://a.org/b/", "files": [{"path": "a.json", "size": 5}]},
        {"source": "https://a.org/b", "files": [{"path": "a.json", "sha256": SUM, "size": 5}]},
        {"source": "ftp://a.org/b/", "files": [{"path": "a.json", "sha256": SUM, "size": 5}]},
        {"source": "https://me:secret@a.org/b/", "files": [{"path": "a.json", "sha256": SUM, "size": 5}]},
        {"source": "https://a.org:x/b/", "files": [{"path": "a.json", "sha256": SUM, "size": 5}]},
    ],
)  # fmt: skip
def test_what_is_wrong_in_an_entry_is_said(entry: dict[str, Any]) -> None:
    assert bad(**entry)


@pytest.mark.parametrize(
    "values", [5, "text", {"id": "m"}, [5], [[]], [{"id": "m", "source": "o/m"}, {"id": "M", "source": "o/m"}]]
)
def test_what_is_no_list_of_models_is_refused(values: Any) -> None:
    with pytest.raises(AlphaloomError):
        manifest.parse(values)
