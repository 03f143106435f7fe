"""The EEG, the patch that it plays, and the sham."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParam

from protocol.errors import AlphaloomError
from protocol.model import Frame, Performer, Rule
from signals import patch_files

from ..hub import Hub
from . import problems
from .access import Editor, TheHub, Viewer, answer

router = APIRouter(prefix="/v1", tags=["EEG"], responses=problems.declared())

_TOML = "application/toml"
_TEXT = {"schema": {"type": "string"}}


@dataclass(frozen=True)
class Taken:
    """A patch that plays now."""

    name: str
    rules: int
    warnings: tuple[str, ...]
    """What in it moves nothing, and why."""


@dataclass(frozen=True)
class Sham:
    on: bool


@dataclass(frozen=True)
class ShamReport:
    on: bool
    recording: str
    frame: Frame | None


@dataclass(frozen=True)
class Cable:
    performer: int
    feature: str
    target: str
    signal: str
    position: float
    """-1..1: where the feature stands in its range."""
    seeds: int
    """How often it has changed the seed."""


@dataclass(frozen=True)
class PatchReport:
    name: str
    rules: tuple[Cable, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class EegReport:
    eeg: str
    """The streams' names, or why there is none."""
    performers: dict[str, Performer]
    """By number."""
    frames: dict[str, Frame]
    """Each performer's newest."""
    sham: ShamReport
    patch: PatchReport


@router.get(
    "/patch",
    response_class=Response,
    responses={200: {"content": {_TOML: _TEXT}, "description": "The patch that plays, as TOML"}},
)
async def get_patch(who: Viewer, hub: TheHub) -> Response:
    return Response(patch_files.dump(hub.player.patch), media_type=_TOML)


@router.put(
    "/patch",
    response_model=Taken,
    openapi_extra={"requestBody": {"required": True, "content": {_TOML: _TEXT, "text/plain": _TEXT}}},
)
async def put_patch(request: Request, who: Editor, hub: TheHub) -> Response:
    """Play another patch, a TOML file as docs/patch.md says; a wrong one is refused, and the old one goes on."""
    new = patch_files.parse(patch_files.text(await request.body(), "patch"), "patch")
    return await _play(hub, new)


async def _play(hub: Hub, new: patch_files.Patch) -> Response:
    warnings = hub.stage.set_patch(new)
    await hub.settled()
    return answer(Taken, Taken(new.name, len(new.rules), tuple(warnings)))


@dataclass(frozen=True)
class Preset:
    name: str
    description: str
    rules: tuple[Rule, ...]


@router.get("/patches", response_model=list[Preset])
async def list_patches(who: Viewer) -> Response:
    """The presets."""
    found = await asyncio.to_thread(lambda: [patch_files.load(name) for name in patch_files.presets()])
    return answer(list[Preset], [Preset(patch.name, patch.description, patch.rules) for patch in found])


@router.post("/patches/{name}/play", response_model=Taken, responses=problems.declared(404))
async def play_preset(name: Annotated[str, PathParam(max_length=100)], who: Editor, hub: TheHub) -> Response:
    """Play a preset."""
    presets = await asyncio.to_thread(patch_files.presets)
    if name not in presets:  # a file's path is no preset's name
        raise AlphaloomError("unknown_patch", f"No preset is called {name!r}. Presets: {', '.join(presets)}.", name=name)
    return await _play(hub, await asyncio.to_thread(patch_files.load, name))


@router.get("/eeg", response_model=EegReport)
async def get_eeg(who: Viewer, hub: TheHub) -> Response:
    return answer(dict[str, Any], hub.stage.report())


@router.put(
    "/sham",
    response_model=Sham,
    responses=problems.declared(409),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
                }
            },
        }
    },
)
async def put_sham(request: Request, who: Editor, hub: TheHub) -> Response:
    """Let the recording that the broker was given drive instead of the live stream, or no longer."""
    try:  # whatever the content type says: this is typed in haste, in the dark
        on = json.loads(await request.body())["on"]
        if not isinstance(on, bool):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise AlphaloomError("bad_sham", 'Send {"on": true} or {"on": false}.') from None
    hub.stage.set_sham(on)
    return answer(Sham, Sham(on))
