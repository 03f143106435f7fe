"""Where an edge has its manifest from: a file of its own, or its broker."""

from __future__ import annotations

import ssl

import httpx

from protocol.errors import AlphaloomError
from protocol.manifest import MAX_BYTES, Entry, parse, served

TIMEOUT_S = 15.0


def from_broker(http: str, token: str = "", tls: ssl.SSLContext | None = None) -> tuple[Entry, ...]:
    """What the broker at `http` (as protocol.address.Address.http) serves; a folder that it names is none of ours.

    Raises AlphaloomError `no_manifest` or `bad_manifest`.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = bytearray()
    try:
        with (
            httpx.Client(headers=headers, verify=tls or True, trust_env=False, timeout=TIMEOUT_S) as client,
            client.stream("GET", f"{http}/v1/models") as answer,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_bytes(1 << 16):
                data += chunk
                if len(data) > 4 * MAX_BYTES:  # JSON says more words than TOML
                    raise ValueError("it is too long")
            values = httpx.Response(200, content=bytes(data)).json()
    except (httpx.HTTPError, ValueError) as problem:
        reason = (
            f"it answers {problem.response.status_code}"
            if isinstance(problem, httpx.HTTPStatusError)
            else str(problem) or type(problem).__name__
        )
        raise AlphaloomError("no_manifest", f"The broker at {http} does not tell which models there are: {reason}.") from None
    return served(parse(values))
