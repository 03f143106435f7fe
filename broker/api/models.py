"""Which models edges may fetch. The broker passes on where they are, never the models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from protocol import manifest
from protocol.manifest import Entry

from . import problems
from .access import Reader, answer

DEFAULT = Path(__file__).resolve().parents[1] / "models.toml"

router = APIRouter(tags=["broker"], responses=problems.declared())


def load(file: Path | None) -> tuple[Entry, ...]:
    """What is served of a manifest: where a folder of ours is, nobody hears. Raises AlphaloomError `bad_manifest`."""
    return manifest.served(manifest.load(file or DEFAULT))


async def _entries(request: Request) -> tuple[Entry, ...]:
    entries: tuple[Entry, ...] = request.app.state.models
    return entries


TheModels = Annotated[tuple[Entry, ...], Depends(_entries)]


@router.get("/v1/models", response_model=tuple[Entry, ...])
async def list_models(who: Reader, entries: TheModels) -> Response:
    """The manifest: what a model is called, where an edge that lacks it finds it, its licence, how it is best used."""
    return answer(tuple[Entry, ...], entries)
