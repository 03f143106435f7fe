"""What has the right shape: validators for what comes from outside, made of the dataclasses in `protocol`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pydantic
from pydantic_core import CoreSchema, SchemaValidator

_SEVERAL = ("list", "tuple", "set", "frozenset", "dict")


def validator(kind: type) -> SchemaValidator:
    """It looks no further than the first wrong item of a list.

    Who sends a hundred thousand of them would otherwise hold everybody up for most of a second, while each is described.
    """
    schema = pydantic.TypeAdapter(kind).core_schema
    _make_hasty(schema)
    return SchemaValidator(schema)


def first_of(problem: pydantic.ValidationError) -> tuple[str, str, Any]:
    """Of what is wrong, the first: where, why, and what was there."""
    first = problem.errors(include_url=False, include_context=False)[0]
    return ".".join(map(str, first["loc"])), first["msg"], first["input"]


class FirstOnly:
    """The same for a route's body: `Annotated[Edit, FirstOnly()]`."""

    def __get_pydantic_core_schema__(self, kind: Any, handler: pydantic.GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(kind)
        _make_hasty(schema, handler.resolve_ref_schema)
        return schema


def _make_hasty(schema: Any, resolve: Callable[[Any], Any] = lambda reference: None) -> None:
    todo, seen = [schema], set()
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            if part.get("type") in _SEVERAL:
                part["fail_fast"] = True
            elif part.get("type") == "definition-ref":
                todo.append(resolve(part))
            todo += part.values()
        elif isinstance(part, list | tuple):
            todo += part
