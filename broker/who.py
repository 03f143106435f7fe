"""Who asks, and what they may."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import AlphaloomError
from protocol.model import Role

_MAY: dict[str, frozenset[str]] = {
    "viewer": frozenset({"viewer"}),
    "editor": frozenset({"viewer", "editor"}),
    "edge": frozenset({"edge"}),
    "admin": frozenset({"viewer", "editor", "edge", "admin"}),
}


@dataclass(frozen=True)
class Who:
    person: str
    """The token's name; on loopback without one, the name that they say."""
    role: Role

    def need(self, role: Role) -> None:
        """Raises AlphaloomError `forbidden` where this role may not do what `role` may."""
        if role not in _MAY[self.role]:
            raise AlphaloomError(
                "forbidden", f"This needs the role {role!r}; {self.person!r} has {self.role!r}.", role=self.role
            )
