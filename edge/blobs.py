"""Sources and masks from the broker, checked against their names; those used last are kept."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections import OrderedDict

import httpx

from protocol import MAX_BINARY_BYTES
from protocol.errors import AlphaloomError

KEPT_BYTES = 2 * MAX_BINARY_BYTES
TIMEOUT_S = 30.0
_NAME = re.compile("[0-9a-f]{64}")


class Blobs:
    """`tls` is None for plain HTTP."""

    def __init__(self, http: str, token: str = "", tls: ssl.SSLContext | None = None, kept: int = KEPT_BYTES):
        self._kept, self._most = OrderedDict[str, bytes](), kept
        # Proxies and .netrc are for the internet; a broker is spoken to directly.
        self._client = httpx.AsyncClient(
            base_url=f"{http}/v1/blobs/",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            verify=tls or True,
            trust_env=False,
            timeout=TIMEOUT_S,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def get(self, name: str) -> bytes:
        """Raises AlphaloomError `unreachable_source` when the broker does not give it, or gives something else."""
        if not _NAME.fullmatch(name):  # nor any other address that a broker may think of
            raise AlphaloomError("unreachable_source", f"{name[:80]!r} is no blob's SHA-256.")
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        try:
            data = await self._download(name)
        except (httpx.HTTPError, ValueError) as problem:
            raise AlphaloomError("unreachable_source", f"The broker does not give blob {name}: {_reason(problem)}.") from None
        self._keep(name, data)
        return data

    async def _download(self, name: str) -> bytes:
        data, digest = bytearray(), hashlib.sha256()
        async with self._client.stream("GET", name) as answer:
            answer.raise_for_status()
            async for chunk in answer.aiter_bytes(1 << 16):
                data += chunk
                digest.update(chunk)
                if len(data) > MAX_BINARY_BYTES:
                    raise ValueError(f"it has more than {MAX_BINARY_BYTES} bytes")
        if digest.hexdigest() != name:
            raise ValueError(f"what came is {digest.hexdigest()}")
        return bytes(data)

    def _keep(self, name: str, data: bytes) -> None:
        self._kept[name] = data
        while sum(map(len, self._kept.values())) > self._most:
            self._kept.popitem(last=False)


def _reason(problem: Exception) -> str:
    if isinstance(problem, httpx.HTTPStatusError):
        return f"it answers {problem.response.status_code}"
    return str(problem) or type(problem).__name__
