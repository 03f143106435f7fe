"""The broker's ears: a thread for each performer (liblsl blocks), and one that plays the sham's recording.

What they hear is said on the event loop: `Hub.hear`, `Hub.set_performer`, `Hub.hear_sham`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from protocol.errors import AlphaloomError
from protocol.model import Event, Frame
from signals import patch_files

from .calibrations import Seat
from .duet import Duet
from .hub import Hub

if TYPE_CHECKING:
    from signals.engine import Engine
    from signals.lsl import Query

log = logging.getLogger("broker")

POLL_S = 0.1  # how long stopping may have to wait for a stream
TICK_S = 0.25
AGAIN_S = 1.0
CUES_S = 0.05
MAX_CUES = 200  # of a stream of markers that nobody's frames take along, the last ones
WATCH_S = 0.5


@dataclass(frozen=True)
class EegOptions:
    queries: tuple[str, ...] = ()
    """Each a performer, in order: a stream's NAME, `type=EEG` or `id=SOURCE_ID`. None: the first of type EEG."""
    baselines: tuple[Path, ...] = ()
    """In the same order."""
    sham: Path | None = None
    mains_hz: float = 0.0
    """0: both 50 and 60."""
    unit: str = ""
    reference: Literal["none", "average"] = "none"
    markers: tuple[str, ...] = ()
    """Streams of texts, meant as `queries` are; their markers are events of the first performer's frames."""
    frames_hz: float = 10.0
    """Of each performer."""


class Ears:
    """Everything that listens; baselines are kept in the folder `kept`. Raises AlphaloomError for what was named and cannot
    be used."""

    def __init__(self, options: EegOptions, kept: Path):
        # Here and not above: a broker without EEG needs neither liblsl nor MNE.
        from signals.baseline import Baseline
        from signals.engine import Engine, Options
        from signals.lsl import Query

        queries = options.queries or ("",)
        if len(options.baselines) > len(queries):
            raise AlphaloomError(
                "bad_options", f"{len(options.baselines)} baselines for {len(queries)} stream(s): give one --eeg for each."
            )
        self._options = Options(
            updates_hz=options.frames_hz, mains_hz=options.mains_hz, unit=options.unit, reference=options.reference
        )
        self._queries = [Query.parse(query or None) for query in queries]
        loaded = [Baseline.load(file) for file in options.baselines]
        baselines = loaded + [None] * (len(queries) - len(loaded))
        self.seats = [Seat(number, kept, self._options, given) for number, given in enumerate(baselines, 1)]
        """The performers', in their order."""
        self._markers = [Query.parse(query) for query in options.markers]
        self._cues: deque[Event] = deque(maxlen=MAX_CUES)
        self._duet = Duet() if len(queries) > 1 else None
        self._sham: Engine | None = None
        if options.sham is not None:
            from signals.recordings import Recording

            self._recording = Recording(options.sham)
            try:
                self._sham = Engine(self._recording.format, self._options, baselines[0])
            except AlphaloomError as error:
                if error.code != "wrong_baseline":
                    raise
                log.warning("sham: the baseline is not used, for it was made with other channels than the recording's")
                self._sham = Engine(self._recording.format, self._options)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def open(self, hub: Hub) -> None:
        """Begin to listen. Called on the event loop."""
        self._hub, self._loop = hub, asyncio.get_running_loop()
        runs: list[Callable[[], None]] = [partial(self._listen, number) for number in range(1, len(self._queries) + 1)]
        runs += [partial(self._await_cues, query) for query in self._markers]
        if self._sham:
            hub.player.recording = self._recording.format.name
            runs.append(self._play_sham)
        for number, query in enumerate(self._queries, 1):
            hub.stage.set_performer(number, None, f"looking for the LSL stream {query}")
        for number, run in enumerate(runs, 1):
            thread = threading.Thread(target=self._keep_on, args=(run,), name=f"eeg-{number}")
            thread.start()
            self._threads.append(thread)

    async def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _keep_on(self, run: Callable[[], None]) -> None:
        """A performance does not stop for a mistake in the analysis: say so, and begin again."""
        while not self._stop.is_set():
            try:
                run()
            except AlphaloomError as error:
                log.warning("%s", error.message)
                return  # nothing that begins again would mend it
            except Exception:
                log.exception("the EEG's analysis failed and begins again")
                self._stop.wait(AGAIN_S)

    def _listen(self, number: int) -> None:
        from signals.listen import Listener

        seat = self.seats[number - 1]
        listener = Listener(self._queries[number - 1], self._options, recall=seat.recall)
        duet = self._duet if number <= 2 else None
        known: Any = None
        engine: Engine | None = None
        try:
            while not self._stop.is_set():
                frames = listener.poll(POLL_S)
                seat.follow(listener, frames)
                if duet and listener.engine and listener.engine is not engine:
                    engine = listener.engine
                    duet.join(number, engine)
                if (listener.performer, listener.problem) != known:
                    known = listener.performer, listener.problem
                    self._post(self._hub.stage.set_performer, number, *known)
                if frames:
                    frame = newest(frames)
                    if number == 1:
                        frame = replace(frame, events=frame.events + self._take_cues())
                    self._post(self._hub.stage.hear, number, duet.add(frame) if duet else frame)
        finally:
            listener.close()

    def _await_cues(self, query: Query) -> None:
        from signals.listen import Cues

        cues = Cues(query)
        try:
            while not self._stop.wait(CUES_S):
                self._cues.extend(Event("marker", at, text) for at, text in cues.pull())
        finally:
            cues.close()

    def _take_cues(self) -> tuple[Event, ...]:
        return tuple(self._cues.popleft() for _ in range(len(self._cues)))

    def _play_sham(self) -> None:
        from pylsl import local_clock

        assert self._sham
        start = local_clock()
        for times, values in self._recording.chunks(loop=True):
            if not len(times):
                continue
            if self._stop.wait(max(0.0, start + times[-1] - local_clock())):
                return
            frames = self._sham.push(start + times, values)
            if frames:
                self._post(self._hub.stage.hear_sham, newest(frames))

    def _post(self, call: Callable[..., None], *values: Any) -> None:
        if not self._stop.is_set():
            self._loop.call_soon_threadsafe(call, *values)


def newest(frames: list[Frame]) -> Frame:
    """Of a backlog only the newest window is now; what happened meanwhile has happened all the same."""
    return replace(frames[-1], events=tuple(event for frame in frames for event in frame.events))


async def tick(hub: Hub) -> None:
    """Let the patch feel that time passes, also when nothing is heard."""
    while True:
        await asyncio.sleep(TICK_S)
        hub.player.tick(time.time())


async def watch_patch(hub: Hub, file: Path) -> None:
    """Play a patch file anew whenever it is saved; a broken edit is reported, and the old patch stays."""
    known = before = await asyncio.to_thread(_text, file)
    while True:
        await asyncio.sleep(WATCH_S)
        now = await asyncio.to_thread(_text, file)
        # An editor may be half-way through: only what has stayed for a moment counts.
        if now is not None and now == before and now != known:
            known = now
            try:
                hub.stage.set_patch(patch_files.parse(patch_files.text(now, str(file)), str(file)))
                log.info("patch: %s was read again", file)
            except AlphaloomError as error:
                hub.report(error)
        before = now


def _text(file: Path) -> bytes | None:
    try:
        with open(file, "rb") as opened:
            return opened.read(patch_files.MAX_BYTES + 1)
    except OSError:
        return None
