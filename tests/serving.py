"""A real broker on a real port, in the test's own event loop: quick to start, and open to be looked into."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from broker import auth, serve
from broker.app import create_app
from broker.auth import Auth
from broker.hub import Hub
from broker.settings import Settings
from broker.store import Store


class Served:
    def __init__(self, app: FastAPI, address: str, http: httpx.AsyncClient):
        self.app, self.ws, self.http = app, address, http

    @property
    def hub(self) -> Hub:
        hub: Hub = self.app.state.hub
        return hub

    @property
    def auth(self) -> Auth:
        found: Auth = self.app.state.auth
        return found

    async def give(self, name: str, role: str) -> dict[str, str]:
        """A token, as headers."""
        store = self.hub.store
        secret, token = auth.issue(name, role, await store.run(store.tokens), 1.0)
        await store.run(store.put_token, token)
        await self.auth.read()
        return {"Authorization": f"Bearer {secret}"}


@asynccontextmanager
async def served(data: Path, **settings: Any) -> AsyncIterator[Served]:
    """One that needs tokens, with `host="0.0.0.0"`, has one of `root`."""
    chosen = Settings(port=0, data=data, no_eeg=True, **settings)
    if not chosen.is_open:
        store = Store(data)
        if not store.tokens():
            store.put_token(auth.issue("root", "admin", [], 1.0)[1])
        store.close()
    serve.check_certificate(chosen)
    listener = serve.listen(chosen)
    app = create_app(chosen)
    server = serve.server(chosen, app)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not running.done():  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0.01)
    address = serve.address(chosen, listener).replace("0.0.0.0", "127.0.0.1")
    try:
        async with httpx.AsyncClient(base_url=address.replace("ws", "http"), trust_env=False, timeout=30) as http:
            yield Served(app, address, http)
    finally:
        server.should_exit = True
        await running
