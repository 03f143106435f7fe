"""NumPy, where Blender's Python has it: Blender's own builds do, a distribution's may leave it out.

The map works without. What does not says so when it is used, and not when the extension is enabled.
"""

from __future__ import annotations

from typing import Any

from .shared import errors


class _Missing:
    def __getattr__(self, name: str) -> Any:
        raise errors.AlphaloomError(
            "no_numpy",
            "This needs NumPy, which this Blender's Python does not have. On Debian and Ubuntu: apt install python3-numpy",
        )


np: Any
try:
    import numpy as np

    Array = np.ndarray
except ImportError:
    np, Array = _Missing(), Any
