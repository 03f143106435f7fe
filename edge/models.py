"""Which model an id means, whether it is safe to load, and what tells its pictures from another's."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from protocol.errors import AlphaloomError

HERE = Path(__file__).resolve().parent / "models"
EMBEDDED = "texture-tiny"
_ENDS = 64 * 1024
_LIBRARIES = ("torch", "diffusers", "transformers")
PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"}


@dataclass(frozen=True)
class Model:
    """`source` is a folder in diffusers format or a hub id; `id` is what requests call it."""

    id: str
    source: str
    steps: int
    """Diffusion steps where a request does not say."""


def find(name: str) -> Model:
    """The model that `--model` names: the embedded one, a local folder, or a hub id.

    Raises AlphaloomError `no_model` or `unsafe_model`.
    """
    if name == EMBEDDED:
        return Model(EMBEDDED, str(_checked(HERE / EMBEDDED)), steps=12)
    folder = Path(name).expanduser()
    if folder.exists() or name.startswith((".", "/", "~")) or "\\" in name:
        return Model(folder.resolve().name, str(_checked(folder)), steps=25)
    if name.count("/") == 1 and all(name.split("/")):
        return Model(name, name, steps=25)
    raise AlphaloomError(
        "no_model", f"No model is called {name!r}. Give {EMBEDDED!r}, a folder in diffusers format, or a hub id ORG/NAME."
    )


def fingerprint(model: Model, device: str) -> str:
    """A hash of what decides a picture beside its request: weights, configurations, kind of device, versions.

    Of weights only the sizes and ends are read: gigabytes would take a minute. Empty for a hub's model that is in no folder.
    """
    folder = Path(model.source) if Path(model.source).is_dir() else _downloaded(model.source)
    if folder is None:
        return ""
    made = hashlib.sha256("\0".join([device, platform.machine(), *map(version, _LIBRARIES)]).encode())
    for file in sorted(f for f in folder.rglob("*") if f.suffix in (".safetensors", ".json", ".txt", ".model")):
        size = file.stat().st_size
        made.update(f"\0{file.relative_to(folder).as_posix()}\0{size}\0".encode())
        with open(file, "rb") as data:
            if file.suffix != ".safetensors" or size <= 2 * _ENDS:
                made.update(data.read())
            else:
                made.update(data.read(_ENDS))
                data.seek(-_ENDS, 2)
                made.update(data.read())
    return made.hexdigest()


def _downloaded(hub_id: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, ValueError, OSError):
        return None


def _checked(folder: Path) -> Path:
    if not (folder / "model_index.json").is_file():
        raise AlphaloomError(
            "no_model", f"{str(folder)!r} is no diffusers model: it has no model_index.json. Check the folder's path."
        )
    pickles = sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.suffix in PICKLES)
    if pickles:
        raise AlphaloomError(
            "unsafe_model",
            f"{str(folder)!r} holds {pickles[0]!r}: pickles can run any code and are never loaded. Convert it to "
            "safetensors (save_pretrained with safe_serialization=True), or delete the file if a .safetensors is beside it.",
            files=pickles,
        )
    return folder
