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
