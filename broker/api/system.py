"""How the broker is, and who works for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Response

from protocol import VERSION
from protocol.errors import AlphaloomError

from ..dispatch import Edge
from ..hub import Hub
from . import problems
from .access import Admin, Anybody, TheHub, Viewer, answer

router = APIRouter(tags=["broker"], responses=problems.declared())


@dataclass(frozen=True)
class Health:
    """The last four are None for who needs a token and has none."""

    version: int
    """Of the protocol."""
    status: str
    """`ok`; `no_store` while nothing can be kept."""
    edges: int | None = None
    jobs: int | None = None
    """Those that have not ended."""
    rooms: int | None = None
    eeg: str | None = None


@dataclass(frozen=True)
class EdgeView:
    name: str
    model: str
    """That is loaded."""
    models: dict[str, str]
    """Each with its fingerprint; empty: it must be pulled first, or nothing that it makes is remembered."""
    tasks: tuple[str, ...]
    max_side: int
    slots: int
    draining: bool
    """It gets no more jobs."""
    silent: bool
    """It has not been heard of for too long."""
    running: tuple[str, ...]
    """Jobs."""


@router.get(
    "/health",
    response_model=Health,
    responses={503: {"model": Health, "description": "Nothing can be kept"}},
    openapi_extra={"security": [{}]},
)
async def health(who: Anybody, hub: TheHub) -> Response:
    """For who watches over it; without a token, too."""
    status = "ok"
    try:
        hub.journal.need()
    except AlphaloomError:
        status = "no_store"
    view = Health(VERSION, status)
    if who is not None:
        view = Health(VERSION, status, len(hub.work.edges), len(hub.work.open), len(hub.rooms), hub.stage.eeg)
    return answer(Health, view, 200 if status == "ok" else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "As Prometheus reads it"}},
)
async def metrics(who: Viewer, hub: TheHub) -> Response:
    """Counts and times; no person, no prompt."""
    body, media_type = hub.metrics.render()
    return Response(body, 200, media_type=media_type)


@router.get("/v1/edges", response_model=list[EdgeView])
async def list_edges(who: Viewer, hub: TheHub) -> Response:
    return answer(list[EdgeView], [_view(edge) for edge in hub.work.edges])


@router.post("/v1/edges/{name}/drain", response_model=list[EdgeView], responses=problems.declared(404))
async def drain(name: Annotated[str, Path(max_length=200)], who: Admin, hub: TheHub) -> Response:
    """The edges of this name finish what they have, get nothing more, and leave."""
    found = _edges(hub, name)
    for edge in found:
        hub.work.drain(edge)
    return answer(list[EdgeView], [_view(edge) for edge in found])


def _edges(hub: Hub, name: str) -> list[Edge]:
    found = [edge for edge in hub.work.edges if edge.name == name]
    if not found:
        names = ", ".join(sorted({repr(edge.name) for edge in hub.work.edges})) or "none"
        raise AlphaloomError("unknown_edge", f"No edge is called {name[:80]!r}. Those that are here: {names}.", edge=name[:80])
    return found


def _view(edge: Edge) -> EdgeView:
    return EdgeView(
        edge.name,
        edge.model,
        dict(sorted(edge.models.items())),
        tuple(sorted(edge.tasks)),
        edge.max_side,
        edge.slots,
        edge.draining,
        edge.silent,
        tuple(sorted(edge.running)),
    )
