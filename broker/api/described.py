"""What the API says of itself, at /openapi.json and /docs."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import FastAPI
from starlette.routing import compile_path


def describe(app: FastAPI, is_open: bool) -> None:
    """`is_open`: who comes without a token is trusted, so that one may be shown and need not be."""
    made = app.openapi

    @cache
    def openapi() -> dict[str, Any]:
        described = made()
        if is_open:
            for path in described["paths"].values():
                for route in path.values():
                    if {} not in route.get("security", [{}]):
                        route["security"].append({})
        return described

    app.openapi = openapi  # type: ignore[method-assign]


def allowed(app: FastAPI, path: str) -> list[str]:
    """The methods that are for a path."""
    found = {
        method.upper()
        for template, methods in app.openapi()["paths"].items()
        if compile_path(template)[0].match(path)
        for method in methods
    }
    return sorted(found)
