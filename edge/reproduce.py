"""python -m edge reproduce PICTURE.png: make a picture again from what its file says, and compare."""

from __future__ import annotations

import argparse
import hashlib
import io
import logging
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from protocol.errors import AlphaloomError
from protocol.manifest import Kind
from protocol.model import ResolvedRequest

from . import inputs, metadata
from .metadata import Made
from .models import cli as models_cli
from .models.shelf import Shelf

MAX_FILE = 64 * 1024 * 1024
MAX_THREADS = 512
Files = Mapping[str, bytes]
"""By `source`, `mask`, `depth`."""


@dataclass(frozen=True)
class Outcome:
    png: bytes
    identical: bool
    """The same bytes."""
    said: tuple[str, ...]
    """For people: what is the same, or what is not."""


def reproduce(picture: bytes, files: Files, shelf: Shelf, device: str | None = None) -> Outcome:
    """Make it again, with the numbers and threads it was made with, and beside as many others.

    `device` is a torch device; without one a picture of a CPU is made on the CPU, another on the best device there is.

    Raises AlphaloomError `no_metadata` or `bad_metadata` for a file that does not say how it was made, `missing_input` or
    `other_input` where the pictures that it was made of are not those, `unknown_model` or `no_model` where its model is not
    here, and what the engine raises.
    """
    recorded = metadata.read(picture)
    _check_files(recorded.request, files)
    made, again = _make(recorded, files, shelf, device)
    if again == picture:
        return Outcome(again, True, (f"identical: the same {len(again)} bytes, on {made.device}",))
    return Outcome(again, False, tuple(_differences(recorded, made, picture, again)))


def _check_files(request: ResolvedRequest, files: Files) -> None:
    for name in inputs.needed(request):
        wanted = getattr(request, name)
        if name not in files:
            raise AlphaloomError(
                "missing_input",
                f"This picture was made of a {name} that is not in its file: the one with the SHA-256 {wanted}. "
                f"Give it with --{name} FILE.",
                field=name,
                sha256=wanted,
            )
        found = hashlib.sha256(files[name]).hexdigest()
        if found != wanted:
            raise AlphaloomError(
                "other_input",
                f"This is another {name} than the picture was made of: its SHA-256 is {found}, not {wanted}.",
                field=name,
                sha256=wanted,
            )


def _make(recorded: Made, files: Files, shelf: Shelf, device: str | None) -> tuple[Made, bytes]:
    """What is said of it now, and its bytes."""
    request = recorded.request
    _check_here(shelf, request.model, "model")
    for lora in request.loras:
        _check_here(shelf, lora.id, "lora")
    if request.depth is not None:
        _check_here(shelf, request.control, "controlnet")
    from .engine import Engine  # torch takes seconds to load, and what is above may say why it is not needed
    from .orders import Order

    where = _device(recorded.device, device)
    engine = Engine(shelf.find(recorded.request.model), where, lambda id: Path(shelf.find(id).source), recorded.rung)
    source, mask, depth = (files.get(name) for name in ("source", "mask", "depth"))
    order = Order(recorded.request, source, mask, depth, recorded.modulation)
    ready = engine.prepare(order)
    all_ = engine.make([ready] * min(recorded.batch, engine.most(ready)))
    found = all_[min(recorded.position, len(all_) - 1)]
    if isinstance(found, Exception):
        raise found
    return engine.made(found, order), engine.encode(found, order)


def _check_here(shelf: Shelf, name: str, kind: Kind) -> None:
    try:
        shelf.find(name, kind)
    except AlphaloomError as error:
        if error.code != "unknown_model":
            raise
        own = f", or, for a folder called {name.rpartition('/')[2]!r}, --model FOLDER" if kind == "model" else ""
        raise AlphaloomError(
            "unknown_model",
            f"{name!r}, which this picture was made with, is not known here. Give the manifest that has it, --manifest FILE"
            f"{own}; one of the hub is fetched with 'python -m edge models pull {name}'.",
            id=name,
        ) from None
    if not shelf.here(name):
        raise AlphaloomError(
            "no_model", f"{name!r} is not on this machine. Fetch it with 'python -m edge models pull {name}'.", id=name
        )


def _device(kind: str, asked: str | None) -> Any:
    """The one that a picture was made on, as near as there is here. Raises AlphaloomError `bad_device`."""
    import torch

    from .device import DTYPES, choose

    words = kind.split()
    threads = re.search(r"\b(\d{1,4}) threads\b", kind)
    if threads and 0 < int(threads[1]) <= MAX_THREADS:
        torch.set_num_threads(int(threads[1]))  # sums are split among them, and rounded accordingly
    name = asked or ("cpu" if words[:1] == ["cpu"] else None)
    return choose(name, next((word for word in words if word in DTYPES), None), "compiled" in words)


def _differences(recorded: Made, made: Made, picture: bytes, again: bytes) -> Iterator[str]:
    yield "not identical"
    if recorded.model_hash != made.model_hash:
        yield f"model: {made.request.model} is {_short(made.model_hash)} here, and was {_short(recorded.model_hash)}"
    if recorded.device != made.device:
        yield f"device: {made.device}; it was {recorded.device}"
    for name in sorted({*recorded.versions, *made.versions}):
        was, now = (of.versions.get(name, "none") for of in (recorded, made))
        if was != now:
            yield f"version of {name}: {now}; it was {was}"
    if recorded.batch != made.batch:
        yield f"made at once: {made.batch}; it was {recorded.batch}"
    if recorded.rung != made.rung:
        yield f"rung of the memory's ladder: {made.rung}; it was {recorded.rung}"
    explained = recorded != made
    distance = _distance(picture, again)
    yield distance or "pixels: all the same"
    if not explained and distance:
        named = "; or its LoRA or ControlNet is another one of that name" if made.request.loras or made.request.control else ""
        yield f"Model, device and versions are the same: the picture, or what it says of itself, was changed since{named}."
    elif not explained:
        yield "Everything that is said and shown is the same: the file was written anew by another program."


def _short(hash: str) -> str:
    return hash[:10] or "of no known hash"


def _distance(picture: bytes, again: bytes) -> str:
    """How far two pictures are from each other, for people; empty: not at all."""
    opened = [Image.open(io.BytesIO(data), formats=("PNG",)) for data in (picture, again)]
    if opened[0].size != opened[1].size:  # before anything is decoded
        was, now = (f"{one.width}×{one.height}" for one in opened)
        return f"pixels: {now}; there were {was}"
    try:
        was_there, there = (np.asarray(one.convert("RGB"), np.int16) for one in opened)
    except Exception as problem:  # bytes from outside make Pillow raise almost anything
        return f"pixels: those that were there cannot be read ({str(problem)[:200]})"
    far = np.abs(was_there - there)
    if not far.any():
        return ""
    return f"pixels: {far.any(axis=2).mean():.1%} differ, by {far.max()} of 255 at most and {far.mean():.3f} in the mean"


# -- the command --


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m edge reproduce",
        description="Make a picture again from what its file says, and compare the bytes. Status 0: they are identical.",
        allow_abbrev=False,
    )
    parser.add_argument("picture", type=Path, metavar="PICTURE.png")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write what is made")
    for name in ("source", "mask", "depth"):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"the {name} that it was made of")
    parser.add_argument("--model", metavar="ID", help="where its model is: a folder in diffusers format, or a hub id")
    parser.add_argument("--device", help="cpu, cuda or mps; default: as it was made on, or the best there is")
    models_cli.add_options(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="edge: %(message)s")
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        files = {name: _read(path) for name in ("source", "mask", "depth") if (path := getattr(options, name))}
        shelf = models_cli.make_shelf(options)
        if options.model:
            shelf.add(options.model)
        outcome = reproduce(_read(options.picture), files, shelf, options.device)
        if options.out:
            options.out.write_bytes(outcome.png)
    except AlphaloomError as error:
        print(f"edge: {error.message}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"edge: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print("\n  ".join(outcome.said))
    return 0 if outcome.identical else 1


def _read(path: Path) -> bytes:
    """Raises OSError or AlphaloomError `too_large`."""
    size = path.stat().st_size
    if size > MAX_FILE:
        raise AlphaloomError("too_large", f"{str(path)!r} has {size} bytes; the most is {MAX_FILE}.")
    return path.read_bytes()
