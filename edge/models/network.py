"""HTTP to the internet with a guard: allowed hosts only, public addresses only, at every redirect.

Design notes
- The address that was checked is the one that is connected to, so a name that resolves to something else a moment later
  changes nothing. TLS is still for the name.
- What the user allows by name (--allow-host) may be anywhere and may be plain http; nobody else's word widens it.
- No proxy: it would resolve names itself, behind our back.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import certifi
import httpx

from protocol.errors import AlphaloomError

HUB_HOSTS = ("huggingface.co", "*.huggingface.co", "*.hf.co")
MAX_HOPS = 10
TIMEOUT = httpx.Timeout(30.0, connect=15.0)
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_REDIRECTS = (301, 302, 303, 307, 308)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Resolve = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> Sequence[str]:
    """A name's addresses. Raises OSError."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


class Network:
    """`allowed` are exact names (or addresses) that the user trusts, `hosts` patterns on the public internet."""

    def __init__(self, allowed: Sequence[str] = (), hosts: Sequence[str] = HUB_HOSTS, resolve: Resolve = resolve):
        """Raises AlphaloomError `bad_host`."""
        self._allowed = frozenset(map(_exact, allowed))
        self._hosts, self._resolve = tuple(hosts), resolve

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str] | None = None, secret: str = "") -> Iterator[httpx.Response]:
        """The answer to a GET, its body unread, once there are no more redirects. `secret` is a bearer token, which only
        the origin of `url` itself hears.

        Raises AlphaloomError `bad_host` or `unreachable_model`, and httpx.TransportError when the line breaks.
        """
        at = first = self._checked(url)
        for _ in range(MAX_HOPS):
            sent = {"Accept-Encoding": "identity", "User-Agent": "alphaloom", **(headers or {})}
            if secret and _origin(at) == _origin(first):
                sent["Authorization"] = f"Bearer {secret}"
            with self._client.stream("GET", at, headers=sent) as answer:
                if answer.status_code not in _REDIRECTS:
                    yield answer
                    return
                at = self._checked(str(_joined(at, answer.headers.get("Location", ""))))
        raise AlphaloomError("unreachable_model", f"{first.host!r} redirects more than {MAX_HOPS} times.", url=url[:500])

    def _checked(self, url: str) -> httpx.URL:
        try:
            at = httpx.URL(url)
            host = at.raw_host.decode("ascii").lower()
        except (httpx.InvalidURL, UnicodeError):
            raise AlphaloomError("bad_host", f"{url[:200]!r} is no address of a file.", url=url[:500]) from None
        trusted = host in self._allowed
        if at.userinfo or not (at.scheme == "https" or (at.scheme == "http" and trusted)):
            raise AlphaloomError(
                "bad_host", f"Models are taken by https only, not from {at.scheme}://{host}: --allow-host {host}", host=host
            )
        # A port of another service behind a good name is none that files come from.
        if not trusted and not (at.port in (None, 443) and any(_matches(host, known) for known in self._hosts)):
            raise AlphaloomError(
                "bad_host",
                f"Models are not taken from {at.netloc.decode()!r}. If you trust it, start the edge with --allow-host {host}",
                host=host,
            )
        return at

    def addresses(self, host: str, port: int) -> Sequence[str]:
        """Where to connect to. Raises AlphaloomError `bad_host` if any of the addresses is no public one, OSError."""
        found = self._resolve(host, port)
        private = [address for address in found if not is_public(address)]
        if private and host not in self._allowed:
            raise AlphaloomError(
                "bad_host",
                f"{host!r} leads to {private[0]}, which is no public address. If that is meant, start the edge with "
                f"--allow-host {host}",
                host=host,
                address=private[0],
            )
        return found

    def close(self) -> None:
        self._client.close()

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(transport=_Guard(self.addresses), timeout=TIMEOUT, trust_env=False)


class _Guard(httpx.BaseTransport):
    """Connects to the addresses that it is given for a name, and to no other."""

    def __init__(self, addresses: Resolve):
        tls = ssl.create_default_context()  # what this machine believes, and
        tls.load_verify_locations(certifi.where())  # where it knows nobody, what browsers do
        # Each request has its own connection: one to an address that two names share was verified for the first of them.
        self._inner = httpx.HTTPTransport(verify=tls, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
        self._addresses = addresses

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.raw_host.decode("ascii").lower()
        try:
            found = self._addresses(host, request.url.port or (443 if request.url.scheme == "https" else 80))
        except OSError as problem:
            raise httpx.ConnectError(f"{host}: {problem.strerror or problem}", request=request) from None
        failed: httpx.ConnectError | httpx.ConnectTimeout = httpx.ConnectError(f"{host} has no address", request=request)
        for address in found:
            extensions = {**request.extensions, "sni_hostname": host}
            there = httpx.Request(
                request.method, request.url.copy_with(host=address), headers=request.headers, extensions=extensions
            )
            try:
                return self._inner.handle_request(there)
            except (httpx.ConnectError, httpx.ConnectTimeout) as problem:  # the next one may answer, as IPv4 after IPv6
                failed = problem
        raise failed

    def close(self) -> None:
        self._inner.close()


def is_public(address: str) -> bool:
    """Whether it is an address of the internet, also if it holds another one of an older kind."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _NAT64:
            inner = ipaddress.IPv4Address(found.packed[-4:])
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def _exact(name: str) -> str:
    """A name as it stands in a URL. Raises AlphaloomError `bad_host`."""
    host = name.strip().lower().removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise AlphaloomError("bad_host", f"{name[:200]!r} is no host's name: write it as models.example.org.", host=name[:200])
    return host


def _matches(host: str, known: str) -> bool:
    return host == known or (known.startswith("*.") and host.endswith(known[1:]))


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port


def _joined(url: httpx.URL, location: str) -> httpx.URL | str:
    try:
        return url.join(location)
    except (httpx.InvalidURL, UnicodeError):
        return location
