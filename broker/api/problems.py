"""What goes wrong, as HTTP says it: `{code, message, detail}`, whoever found it."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

import pydantic
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_jsonable_python
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from protocol.errors import AlphaloomError

from .described import allowed

log = logging.getLogger("broker")

_DEFAULT = 422
_STATUS = {
    400: ("unknown_host", "bad_request"),
    401: ("token_needed", "bad_token"),
    403: ("forbidden", "bad_role", "foreign_origin", "not_yours"),
    404: (
        *("not_found", "unknown_room", "unknown_node", "unknown_link", "unknown_job", "unknown_blob", "unknown_edge"),
        *("no_picture", "unknown_performer", "no_baseline", "unknown_patch"),
    ),
    405: ("method_not_allowed",),
    409: (
        *("room_exists", "job_exists", "main_room", "not_deleted", "nothing_to_undo", "nothing_to_redo", "job_state"),
        *("map_full", "too_many_rooms", "no_sham", "cycle", "too_many_parents", "interrupted"),
        "calibrating",
    ),
    410: ("operations_forgotten",),
    413: ("message_too_large", "edit_too_large"),
    415: ("unsupported_media_type",),
    429: ("too_many_requests", "too_many_attempts", "too_fast", "queue_full"),
    500: ("internal",),
    503: ("store_unavailable", "too_many_connections", "no_edge"),
}
_BY_CODE = {code: status for status, codes in _STATUS.items() for code in codes}
_MEANING = {
    400: "The request itself, or the name of the host in it, cannot be taken",
    401: "A token is needed, or this one is none",
    403: "This needs another role, or comes from a foreign page",
    404: "There is none of that name",
    409: "It cannot be as things stand",
    410: "It is too long ago to be known",
    413: "Too large",
    422: "Something in it is wrong",
    429: "Too much, too often; the header Retry-After says when to come again, where that is known",
    503: "Not at the moment; try again",
}


class Problem(pydantic.BaseModel):
    """What every answer that is no success has."""

    code: str
    """For programs; it stays the same."""
    message: str
    """For people: what is wrong, and what to do."""
    detail: dict[str, Any] = {}


def declared(*more: int) -> dict[int | str, dict[str, Any]]:
    """For a route's OpenAPI: what may go wrong anywhere, and what may with this route."""
    statuses = sorted({400, 401, 403, 413, 422, 429, 503, *more})
    return {status: {"model": Problem, "description": _MEANING[status]} for status in statuses}


def status_of(error: AlphaloomError) -> int:
    return _BY_CODE.get(error.code, _DEFAULT)


def response(
    error: AlphaloomError, status: int = 0, headers: dict[str, str] | None = None, more: dict[str, str] | None = None
) -> Response:
    status = status or status_of(error)
    headers = dict(headers or {})
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="alphaloom"'
    seconds = error.detail.get("seconds")
    if status in (429, 503) and isinstance(seconds, int | float):
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    detail = to_jsonable_python(error.detail, inf_nan_mode="strings", fallback=repr)
    body = {"code": error.code, "message": error.message, "detail": detail} | (more or {})
    # ASCII: half a surrogate pair, which somebody may send and be told of, is no UTF-8.
    return Response(json.dumps(body), status, headers, "application/json")


def install(app: FastAPI) -> None:
    @app.exception_handler(AlphaloomError)
    async def known(request: Request, error: AlphaloomError) -> Response:
        request.app.state.hub.metrics.error(error.code)
        return response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, problem: RequestValidationError) -> Response:
        return response(_invalid(problem))

    @app.exception_handler(HTTPException)
    async def http(request: Request, problem: HTTPException) -> Response:
        headers = dict(problem.headers or {})
        if problem.status_code == 405:  # Starlette names the methods of one route only, where several have the path
            headers["Allow"] = ", ".join(allowed(request.app, request.url.path)) or headers.get("Allow", "")
        if isinstance(problem.detail, AlphaloomError):
            return response(problem.detail, headers=headers)
        return response(_of_http(request, problem), problem.status_code, headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, problem: ClientDisconnect) -> Response:
        return response(AlphaloomError("bad_request", "You hung up before all was sent."))  # nobody hears it

    @app.exception_handler(Exception)
    async def unknown(_: Request, problem: Exception) -> Response:
        # Starlette raises it again, and the server puts it into the log.
        return response(AlphaloomError("internal", "Something went wrong in the broker. Its log says what."))


def _of_http(request: Request, problem: HTTPException) -> AlphaloomError:
    path = request.url.path[:200]
    if problem.status_code == 404:
        return AlphaloomError("not_found", f"There is nothing at {path}. /docs says what there is.", path=path)
    if problem.status_code == 405:
        return AlphaloomError("method_not_allowed", f"{request.method[:20]} is not for {path}. /docs says what is.", path=path)
    return AlphaloomError("bad_request", f"{problem.detail}.".replace("..", "."))


def _invalid(problem: RequestValidationError) -> AlphaloomError:
    found = [(".".join(map(str, one["loc"])), str(one["msg"]), one.get("input")) for one in problem.errors()]
    where, what, got = found[0]
    if isinstance(got, bytes):  # no JSON, as its sender says
        what += " (is the header Content-Type: application/json missing?)"
    return AlphaloomError(
        "invalid_request",
        f"{where}: {what}, got {repr(got)[:80]}.",
        field=where,
        errors=[{"field": name, "message": text} for name, text, _ in found[:20]],
    )
