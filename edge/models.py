"""Which model an id means, and whether it is safe to load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protocol.errors import AlphaloomError

HERE = Path(__file__).resolve().parent / "models"
EMBEDDED = "texture-tiny"
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
