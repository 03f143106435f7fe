"""What is installed here of that which decides a picture."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from protocol import VERSION

_LIBRARIES = ("torch", "diffusers", "transformers", "compel", "peft", "numpy", "pillow")
"""Those that decide a picture's pixels or its file's bytes."""


@cache
def versions() -> dict[str, str]:
    """By name; what is not installed is left out."""
    found = {"alphaloom": str(VERSION)}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
