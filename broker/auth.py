"""Who may come in: tokens, and what each of them allows.

A token is 256 random bits. So its plain SHA-256 is as good as lost to whoever finds the database: there is no word list
to try, and nothing that a slow hash would slow down but ourselves.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import get_args

from protocol import check
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Role

from .limits import Buckets, Clock
from .store import Store
from .store.writes import Token
from .who import Who

log = logging.getLogger("broker")

ROLES: tuple[Role, ...] = get_args(Role)
ADD = "python -m broker token add NAME --role viewer|editor|edge|admin"
REREAD_S = 2.0
"""How often the tokens are read again, so that what the command line changes counts without a restart."""
FORGIVE_S = 5.0
"""After so long an address may try once more."""
_LOCAL = "local"


def new_secret() -> str:
    return "al_" + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def issue(name: str, role: str, known: list[Token], now: float) -> tuple[str, Token]:
    """A new token: the secret, which is shown once, and what is kept of it.

    Raises AlphaloomError `bad_id`, `bad_role` or `token_exists`.
    """
    check.identifier(name)
    if role not in ROLES:
        raise AlphaloomError("bad_role", f"No role is called {role[:80]!r}. Use one of {', '.join(ROLES)}.", role=role[:80])
    if any(token.name == name for token in known):
        raise AlphaloomError(
            "token_exists", f"{name!r} has a token already. Take it away first: python -m broker token remove {name}", name=name
        )
    secret = new_secret()
    return secret, Token(name, role, digest(secret), now)


class Auth:
    """Tokens are kept in memory and read again every few seconds."""

    def __init__(self, store: Store, is_open: bool, failures: int = 10, clock: Clock = time.monotonic):
        """`is_open`: who comes without a token is trusted (Settings.is_open)."""
        self._store, self.is_open = store, is_open
        self._tokens: list[Token] = []
        self._failures = Buckets(1 / FORGIVE_S, failures, clock=clock)
        self._watched: dict[Callable[[], None], str] = {}

    def begin(self) -> None:
        """Read the tokens for the first time. Blocks. Raises AlphaloomError `token_needed` where there must be one."""
        self._tokens = self._store.tokens()
        if not self.is_open and not self._tokens:
            raise AlphaloomError(
                "token_needed",
                f"Others than this machine's own programs could come, and nobody has a token. Make one first: {ADD}; or listen "
                "on 127.0.0.1 only.",
            )

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[None]:
        """While this lasts, the tokens are read again and again."""
        reader = asyncio.create_task(self._keep_reading())
        try:
            yield
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def read(self) -> None:
        """Read the tokens again. Who held one that is gone, or has another role now, is shown out."""
        known, self._tokens = set(self._tokens), await self._store.run(self._store.tokens)
        gone = {token.hash for token in known - set(self._tokens)}
        for call in [call for call, hash in self._watched.items() if hash in gone]:
            call()

    async def _keep_reading(self) -> None:
        while True:
            await asyncio.sleep(REREAD_S)
            try:
                await self.read()
            except Exception as problem:  # the database may be away for a while: the tokens that are known still count
                log.warning("the tokens cannot be read: %s", problem)

    @contextmanager
    def watch(self, token: str, close: Callable[[], None]) -> Iterator[None]:
        """While this lasts, `close` is called when the token that they came in with is taken away."""

        def call() -> None:
            close()

        if token:
            self._watched[call] = digest(token)
        try:
            yield
        finally:
            self._watched.pop(call, None)

    # -- who is it --

    def admit(self, hello: m.Hello, address: str, loopback: bool) -> Who:
        """Who says hello on a WebSocket, with the role that is granted: what they ask for, or less if their token says so.

        Raises AlphaloomError `token_needed`, `bad_token`, `too_many_attempts` or `bad_role`.
        """
        if hello.role not in ROLES:
            raise AlphaloomError(
                "bad_role", f"No role is called {hello.role[:80]!r}. Use one of {', '.join(ROLES)}.", role=hello.role[:80]
            )
        role: Role = hello.role
        if not hello.token:
            self._may_come_without(loopback)
            return Who(hello.name or _LOCAL, role)
        token = self._verify(hello.token, address)
        granted = _granted(role, token.role)
        if granted is None:
            raise AlphaloomError(
                "bad_role", f"The token of {token.name!r} is for the role {token.role!r}, not for {role!r}.", role=token.role
            )
        return Who(token.name, granted)

    def caller(self, authorization: str | None, address: str, loopback: bool) -> Who:
        """Who sends an HTTP request: `Authorization: Bearer TOKEN`, or Basic with the token as the password.

        Raises AlphaloomError `token_needed`, `bad_token` or `too_many_attempts`.
        """
        secret = _secret(authorization)
        if not secret:
            self._may_come_without(loopback)
            return Who(_LOCAL, "admin")
        token = self._verify(secret, address)
        return Who(token.name, token.role)

    def _may_come_without(self, loopback: bool) -> None:
        if not (self.is_open and loopback):
            raise AlphaloomError(
                "token_needed", f"This broker needs a token. Who runs it makes one: {ADD}; it goes into Hello, or the header "
                "Authorization: Bearer TOKEN."
            )  # fmt: skip

    def _verify(self, secret: str, address: str) -> Token:
        # A right token always counts. It cannot be guessed, so to lock an address out would only harm those who share it
        # with somebody whose token has been taken away; wrong ones are refused without work and without a line in the log.
        hash, found = digest(secret), None
        for token in self._tokens:  # all of them, so that the time says nothing
            if hmac.compare_digest(token.hash, hash):
                found = token
        if found is not None:
            return found
        wait = self._failures.take(address)
        if wait:
            raise AlphaloomError(
                "too_many_attempts",
                f"Too many wrong tokens came from {address}. Try again in {wait:.0f} s.",
                seconds=round(wait, 1),
            )
        log.warning("a wrong token came from %s", address)
        raise AlphaloomError(
            "bad_token", f"This token is not, or no longer, one of this broker's. Who runs it makes one: {ADD}."
        )


def _granted(asked: Role, most: Role) -> Role | None:
    """What somebody gets who asks for a role with a token that is for another. None: nothing."""
    if asked == most or most == "admin":
        return asked
    people: tuple[Role, ...] = ("viewer", "editor", "admin")
    if asked not in people or most not in people:
        return None
    return min(asked, most, key=people.index)


def _secret(authorization: str | None) -> str:
    """Raises AlphaloomError `bad_token` for a header that is neither."""
    kind, _, value = (authorization or "").strip().partition(" ")
    value = value.strip()
    if not kind:
        return ""
    if kind.lower() == "bearer" and value:
        return value
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:  # not base64, or not a text
            pass
    raise AlphaloomError(
        "bad_token", "Send the header as Authorization: Bearer TOKEN, or Basic with the token as the password."
    )
