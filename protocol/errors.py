"""What can go wrong, as one exception that travels: a code for programs, a message for people."""

from __future__ import annotations

from typing import Any


class AlphaloomError(Exception):
    """An error with a stable `code`, a `message` that says what to do, and the values in `detail`."""

    def __init__(self, code: str, message: str, **detail: Any):
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail


PASSING = frozenset({"too_fast", "too_many_connections", "too_many_attempts", "no_hello", "store_unavailable"})
"""The codes of what is refused only now: asked again a little later, it may be done."""

ELSEWHERE = frozenset(
    {"draining", "edge_error", "out_of_memory", "unreachable_source"}
    # A model that another may have, or find a way to.
    | {"unknown_model", "no_model", "unreachable_model", "unsupported_model", "unsafe_model", "unknown_task"}
    | {"no_space", "bad_checksum", "bad_size", "bad_host", "bad_folder", "bad_path"}
)
"""The codes of an edge's failures that need not be another's: the job may be given to one that can."""
