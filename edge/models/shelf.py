"""Which models this machine has or could fetch, what an id means, and what tells one model's pictures from another's."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import platform
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from protocol.errors import AlphaloomError
from protocol.manifest import EMBEDDED as EMBEDDED_SOURCE
from protocol.manifest import Defaults, Entry, Kind, is_id
from protocol.model import Tiling

from ..versions import versions
from . import pull, safety
from .fetch import Progress
from .hub import Hub
from .network import Network
from .pulling import Pulling

log = logging.getLogger("edge")

HERE = Path(__file__).resolve().parent
EMBEDDED = "texture-tiny"
_OWN = Entry(
    EMBEDDED,
    EMBEDDED_SOURCE,
    family="tiny",
    licence="GPL-3.0-or-later",
    defaults=Defaults(steps=4, guidance=0.0, side=256, tiling="xy"),
)
STEPS = 25
"""Where nobody says how many."""
_ENDS = 64 * 1024
_CALLED: dict[Kind, str] = {"model": "a model", "lora": "a LoRA", "controlnet": "a ControlNet"}
_UNSUPPORTED: dict[Kind, str] = {
    "model": "unsupported_model",
    "lora": "unsupported_lora",
    "controlnet": "unsupported_control",
}

State = Literal["here", "part", "absent", "unsafe", "elsewhere"]
"""`part`: a pull has begun; `unsafe`: there, and never loaded; `elsewhere`: it can only come from who has its folder."""


@dataclass(frozen=True)
class Model:
    """`source` is the folder that it is (or will be) in, a LoRA's also its file; `id` is what requests call it."""

    id: str
    source: str
    steps: int
    """Diffusion steps where a request does not say."""
    family: str = ""
    """As protocol.manifest.FAMILIES."""
    guidance: float | None = None
    """What is used whatever a request says: the model was distilled without guidance. None: as requested."""
    kind: str = "model"
    tiling: Tiling = ""
    """Where a request says none."""


@dataclass(frozen=True)
class Item:
    """A line of the list of models."""

    entry: Entry
    state: State
    size: int
    """Bytes: of what is here, else about what there is to fetch."""


def default_folder() -> Path:
    """ALPHALOOM_MODEL_FOLDER, or where caches belong on this system."""
    from platformdirs import user_cache_path

    return Path(
        os.environ.get("ALPHALOOM_MODEL_FOLDER") or user_cache_path("alphaloom", appauthor=False) / "models"
    ).expanduser()


class Shelf:
    """Models by id: the embedded one, those that the user names, those of the manifest, and those that were pulled before.

    A request names ids and nothing else. Called from one thread, but for what a pull does in its own.
    """

    def __init__(
        self,
        folder: Path | None = None,
        manifest: Iterable[Entry] = (),
        network: Network | None = None,
        hub: Hub | None = None,
        pulls: bool = True,
    ):
        """Without `pulls` nothing is fetched and only what is here is told of."""
        self.folder = folder or default_folder()
        self.manifest = tuple(manifest)
        self._puller = pull.Puller(self.folder, network or Network(), hub or Hub())
        self._pulls_at_all = pulls
        self._own: dict[str, Entry] = {}
        self._pulls: dict[str, Pulling] = {}
        self._seen: tuple[int, list[Entry]] = (-1, [])
        self._sure: dict[str, tuple[Entry, int]] = {}
        """What was looked at, as it was then."""

    def add(self, name: str) -> str:
        """The id of what `--model` names: an id that is known, a folder in diffusers format, or a hub id ORG/NAME.

        Raises AlphaloomError `no_model` or `unsafe_model`.
        """
        known = self._known()
        if name in known:
            return name
        folder = Path(name).expanduser()
        if name and (folder.exists() or name.startswith((".", "/", "~")) or "\\" in name):
            if not folder.exists():
                raise AlphaloomError("no_model", f"There is no folder {name!r}. Check its path.")
            entry = Entry(folder.resolve().name, str(safety.check(folder).resolve()), family=_family(folder))
            other = known.get(entry.id)
            if other and other.source not in ("", entry.source):
                log.warning("%r is now the folder %s, and not %s of that id", entry.id, entry.source, _CALLED[other.kind])
        elif is_id(name) and "/" in name:
            found = [each.id for each in known.values() if each.source == name and each.kind == "model"]
            if found:
                return found[0]
            entry = Entry(name, _cached_by_others(name) or name)
        else:
            raise AlphaloomError(
                "no_model",
                f"No model is called {name!r}. Give {EMBEDDED!r}, an id of the manifest, a folder in diffusers format, or a "
                "hub id ORG/NAME.",
            )
        self._own[entry.id] = entry
        return entry.id

    def find(self, name: str, kind: Kind | None = None) -> Model:
        """What an id means, wherever it is now.

        Raises AlphaloomError `unknown_model`, or, for one that is not of that `kind`, `unsupported_lora`,
        `unsupported_control` or `unsupported_model`.
        """
        entry = self.entry(name)
        if kind is not None and entry.kind != kind:
            is_not = f"{_CALLED[entry.kind]}, not {_CALLED[kind]}"
            raise AlphaloomError(_UNSUPPORTED[kind], f"{name!r} is {is_not}.", id=name, kind=entry.kind)
        return self._model(entry)

    def entry(self, name: str) -> Entry:
        known = self._known()
        if name not in known:
            raise AlphaloomError(
                "unknown_model",
                f"No model is called {name[:80]!r}. Known: {', '.join(sorted(known))[:1000]}.",
                id=name[:200],
            )
        return known[name]

    def here(self, name: str) -> bool:
        """Whether it is on this machine, whole."""
        return self._state(self.entry(name)) == "here"

    def models(self, device: str) -> dict[str, str]:
        """Of all that can make pictures here: id → fingerprint on that kind of device; empty for what must be pulled first.

        It reads the ends of the weights: milliseconds for each model.
        """
        found = {}
        for entry in self._known().values():
            state = self._state(entry) if entry.kind == "model" else "absent"
            if state == "here":
                found[entry.id] = fingerprint(self._model(entry), device)
            elif entry.kind == "model" and state in ("part", "absent") and self._can_pull(entry):
                found[entry.id] = ""
        return found

    def items(self) -> list[Item]:
        """All that is known, as `python -m edge models list` shows it."""
        made = []
        for entry in self._known().values():
            state = self._state(entry)
            size = _weight(self._place(entry)) if state == "here" else entry.size or sum(file.size for file in entry.files)
            made.append(Item(entry, state, size))
        return made

    async def ensure(self, name: str, progress: Progress = lambda done, size: None, kind: Kind | None = None) -> Model:
        """The model, when it is here. Who asks for one that is being pulled waits for the same pull.

        `progress` is called on the event loop, ten times a second at most. Where all who waited are cancelled, the pull stops
        and keeps what it has. Raises AlphaloomError as `find`, `unreachable_model`, or as Puller.pull.
        """
        self.find(name, kind)
        entry = self.entry(name)
        if self._is_sure(entry):
            return self._model(entry)
        self._need_pull(entry)
        pulling = self._pulls.get(name)
        if pulling is None or pulling.stop.is_set() or pulling.done.done():
            pulling = self._pulls[name] = Pulling(self._puller, entry)
        pulling.watchers.append(progress)
        try:
            await asyncio.shield(pulling.done)
        finally:
            pulling.watchers.remove(progress)
            if not pulling.watchers:
                pulling.stop.set()
                if self._pulls.get(name) is pulling:
                    del self._pulls[name]
        return self._model(entry)

    def pull(self, name: str, progress: Progress = lambda done, size: None, stop: threading.Event | None = None) -> Model:
        """As `ensure`, here and now; one that is here is looked through, and mended."""
        entry = self.entry(name)
        if entry.origin in ("hub", "url"):
            self._need_pull(entry)
            self._puller.pull(entry, progress, stop, thorough=True)
        elif (state := self._state(entry)) != "here":
            raise AlphaloomError("unreachable_model", f"{name!r} cannot be pulled: it is {state}.", id=name)
        return self._model(entry)

    def verify(self, name: str, progress: Progress = lambda done, size: None) -> list[str] | None:
        """The files that are not what was pulled; None for what never was, of which nothing is known.

        Raises AlphaloomError `unknown_model` or `no_model` for one that is not here.
        """
        place = self._place(self.entry(name))
        found = pull.record(place)
        if found is None and self._state(self.entry(name)) != "here":
            raise AlphaloomError("no_model", f"{name!r} is not on this machine.", id=name)
        return pull.broken(place, found, progress) if found else None

    def remove(self, name: str) -> None:
        """Also the beginning of one that nobody knows any longer. Raises AlphaloomError `no_model` for what was not pulled."""
        entry = self._known().get(name)
        pulled = is_id(name) and (entry is None or entry.origin in ("hub", "url"))
        if not pulled or not self._puller.remove(name):
            raise AlphaloomError("no_model", f"{name!r} was not pulled to {str(self.folder)!r}; nothing is removed.", id=name)

    def _known(self) -> dict[str, Entry]:
        """What was pulled before and what a manifest says now, of which the manifest knows better; the user's own last."""
        found = {EMBEDDED: _OWN}
        for entry in (*self._pulled(), *self.manifest):
            if entry.origin != "embedded":
                found[entry.id] = entry
        return found | {EMBEDDED: _OWN} | self._own

    def _pulled(self) -> list[Entry]:
        try:
            changed = self.folder.stat().st_mtime_ns
            if changed != self._seen[0]:
                folders = sorted(each for each in self.folder.iterdir() if each.is_dir() and not each.name.startswith("."))
                records = [(folder, pull.record(folder)) for folder in folders]
                mine = [made.entry for folder, made in records if made and pull.folder_name(made.entry.id) == folder.name]
                self._seen = (changed, mine)
        except OSError:
            return []
        return self._seen[1]

    def _is_sure(self, entry: Entry) -> bool:
        """Whether it is here, quickly where that was seen before: it is asked for every job."""
        try:
            known = (entry, self._place(entry).stat().st_mtime_ns)
        except OSError:
            return False
        if self._sure.get(entry.id) != known:
            if self._state(entry) != "here":
                return False
            self._sure[entry.id] = known
        return True

    def _place(self, entry: Entry) -> Path:
        if entry.origin == "embedded":
            return HERE / entry.id
        if entry.origin == "folder":
            return Path(entry.source)
        return self.folder / pull.folder_name(entry.id)

    def _state(self, entry: Entry) -> State:
        if entry.origin == "elsewhere":
            return "elsewhere"
        place = self._place(entry)
        if entry.origin in ("hub", "url"):
            found = pull.record(place)
            if not (found and found.serves(entry) and pull.is_whole(place, found)):
                return "part" if self._puller.begun(entry.id) else "absent"
        try:
            safety.check(place, entry.kind)
        except AlphaloomError as error:
            return "unsafe" if error.code == "unsafe_model" else "absent"
        return "here"

    def _model(self, entry: Entry) -> Model:
        known = entry.defaults
        return Model(
            entry.id,
            str(self._place(entry)),
            steps=known.steps or STEPS,
            family=entry.family,
            guidance=0.0 if known.guidance == 0 else None,
            kind=entry.kind,
            tiling=known.tiling,
        )

    def _can_pull(self, entry: Entry) -> bool:
        return self._pulls_at_all and entry.origin in ("hub", "url")

    def _need_pull(self, entry: Entry) -> None:
        state = self._state(entry)
        if state == "unsafe":
            safety.check(self._place(entry), entry.kind)
        if state != "here" and not self._can_pull(entry):
            raise AlphaloomError(
                "unreachable_model",
                f"{entry.id!r} is not on this machine, and "
                + (
                    "this edge fetches none."
                    if entry.origin in ("hub", "url")
                    else "there is nowhere to fetch it from: give the edge a manifest that says where it is, with --manifest."
                ),
                id=entry.id,
            )


def find(name: str) -> Model:
    """The model that a name means without a manifest and without a network. Raises as Shelf.add."""
    shelf = Shelf(pulls=False)
    return shelf.find(shelf.add(name))


def fingerprint(model: Model, device: str) -> str:
    """A hash of what decides a picture beside its request: weights, configurations, kind of device, versions.

    Empty for a model that is not here.
    """
    if not Path(model.source).exists():
        return ""
    made = "\0".join([device, platform.machine(), *map(" ".join, versions().items()), weights_hash(model)])
    return hashlib.sha256(made.encode()).hexdigest()


def weights_hash(model: Model) -> str:
    """Of what a model is, wherever it lies: names, sizes, configurations, and the ends of its weights.

    All of them would take a minute of reading.
    """
    made, place = hashlib.sha256(), Path(model.source)
    files = [place] if place.is_file() else _files(place)
    for file in sorted(files):
        size = file.stat().st_size
        made.update(f"\0{file.relative_to(place).as_posix() if file != place else file.name}\0{size}\0".encode())
        with open(file, "rb") as data:
            if file.suffix != ".safetensors" or size <= 2 * _ENDS:
                made.update(data.read())
            else:
                made.update(data.read(_ENDS))
                data.seek(-_ENDS, 2)
                made.update(data.read())
    return made.hexdigest()


def _files(place: Path) -> list[Path]:
    """What can decide a picture; a record of ours decides nothing."""
    return [f for f in place.rglob("*") if f.suffix in (".safetensors", ".json", ".txt", ".model") and f.name != pull.RECORD]


def _weight(place: Path) -> int:
    files = [place] if place.is_file() else [f for f in place.rglob("*") if f.is_file()]
    return sum(file.stat().st_size for file in files)


def _cached_by_others(hub_id: str) -> str:
    """Where Hugging Face's own programs keep it, on a machine that is told to stay offline; else empty."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if not constants.HF_HUB_OFFLINE:
        return ""
    try:
        return str(safety.check(Path(snapshot_download(hub_id, local_files_only=True))))
    except (LocalEntryNotFoundError, HfHubHTTPError, ValueError, OSError, AlphaloomError):
        return ""


def _family(folder: Path) -> str:
    """By what the UNet listens to; empty where that is none of the known ones."""
    try:
        index = json.loads((folder / safety.INDEX).read_text(encoding="utf-8"))
        width = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))["cross_attention_dim"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if "text_encoder_2" in index:
        return "sdxl"
    return {768: "sd1", 1024: "sd2"}.get(width, "") if isinstance(width, int) else ""
