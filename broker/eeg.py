"""The broker's ear: an LSL inlet on a thread of its own (liblsl blocks), heard on the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from protocol.errors import AlphaloomError

from .hub import Hub

LOOK_S = 1.0  # how long stopping may have to wait for a search
SILENT_S = 5.0


class Ear:
    """Keeps listening for a stream, by name or the first of type EEG, and comes back to it when it was lost."""

    def __init__(self, hub: Hub, name: str | None, timeout: float):
        self._hub, self._name, self._timeout = hub, name, timeout
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="eeg")
        self._thread.start()

    async def close(self) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        looked = 0.0
        while not self._stop.is_set():
            try:
                self._listen()
                looked = 0.0
            except AlphaloomError as error:
                looked += LOOK_S
                if looked >= self._timeout or error.code != "no_stream":
                    self._post(self._hub.set_eeg, error.message)

    def _listen(self) -> None:
        from signals.listen import frames
        from signals.lsl import Inlet

        inlet = Inlet(self._name, LOOK_S)
        self._post(self._hub.set_eeg, inlet.format.name)
        heard = time.monotonic()
        for frame in frames(inlet):
            if self._stop.is_set():
                break
            if frame:
                heard = time.monotonic()
                self._post(self._hub.set_frame, frame)
            elif time.monotonic() - heard > SILENT_S:
                self._post(self._hub.set_eeg, f"{inlet.format.name} has sent nothing for {SILENT_S:g} s")
                break
        inlet.close()

    def _post(self, call: Callable[[Any], None], value: Any) -> None:
        if not self._stop.is_set():
            self._loop.call_soon_threadsafe(call, value)
