"""What routes are given: who asks, the hub, and the rest of what runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Annotated, Any

import pydantic
from fastapi import Depends, Path, Request, Response
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic import Field

from protocol.errors import AlphaloomError
from protocol.model import Role

from ..auth import Auth
from ..hub import Hub
from ..settings import Settings, is_loopback
from ..who import Who
from .gate import address_of


class _Header(SecurityBase):
    """Tells /docs of the header; it is read in one place for all kinds."""

    def __init__(self) -> None:
        self.scheme_name = "token"
        self.model = HTTPBearer(
            description="A token, as `python -m broker token add` makes it; Basic with the token as password does, too. A "
            "broker that listens on this machine only needs none."
        )

    async def __call__(self, request: Request) -> str | None:
        return request.headers.get("authorization")


async def _hub(request: Request) -> Hub:
    hub: Hub = request.app.state.hub
    return hub


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _caller(request: Request, authorization: Annotated[str | None, Depends(_Header())]) -> Who:
    auth: Auth = request.app.state.auth
    peer = request.client.host if request.client else ""
    return auth.caller(authorization, address_of(request.scope), is_loopback(peer))


async def _known(request: Request, authorization: Annotated[str | None, Depends(_Header())]) -> Who | None:
    try:
        return await _caller(request, authorization)
    except AlphaloomError as error:
        if error.code == "token_needed":
            return None
        raise


def _needs(*roles: Role) -> Callable[[Who], Awaitable[Who]]:
    async def check(who: Annotated[Who, Depends(_caller)]) -> Who:
        for role in roles[:-1]:
            try:
                who.need(role)
            except AlphaloomError:
                continue
            return who
        who.need(roles[-1])
        return who

    return check


TheHub = Annotated[Hub, Depends(_hub)]
TheSettings = Annotated[Settings, Depends(_settings)]
Anybody = Annotated[Who | None, Depends(_known)]
"""None: who would need a token and shows none."""
Viewer = Annotated[Who, Depends(_needs("viewer"))]
Editor = Annotated[Who, Depends(_needs("editor"))]
Admin = Annotated[Who, Depends(_needs("admin"))]
Reader = Annotated[Who, Depends(_needs("edge", "viewer"))]
"""Somebody who looks on, or an edge: it fetches source pictures."""

Id = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$")]
"""In a path."""
NewId = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
"""In a body."""


@cache
def adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(kind)


def answer(kind: Any, value: Any, status: int = 200) -> Response:
    """As JSON, without a second look at what we made ourselves."""
    return Response(adapter(kind).dump_json(value), status, media_type="application/json")
