"""One performer, live: a stream is found, followed, and come back to when it was lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np
import pylsl

from protocol.errors import AlphaloomError
from protocol.model import Event, Frame, Performer

from .baseline import Baseline
from .engine import Engine, Options
from .lsl import BUFFER_S, Inlet, Markers, Query
from .stream import StreamFormat

log = logging.getLogger("signals")

LOOK_S = 0.02
SILENT_S = 0.5
"""After this long without a sample, frames say so, ten a second."""
GONE_S = 5.0
"""After this long the stream is looked for anew: its program may have started again elsewhere."""

AHEAD_S = 5.0
"""Nobody's stamps are so far in the future, but those of another clock."""

OnSamples = Callable[[StreamFormat, np.ndarray, np.ndarray], None]
Recall = Callable[[StreamFormat], Baseline | None]


class Listener:
    """Frames of the stream that `query` means, for as long as `poll` is called. A late or lost stream raises nothing.

    `on_samples` gets every pulled chunk: its format, (n,) times on the local LSL clock, (n, channels) in µV.
    `recall` finds the baseline for a stream's format, where none is given.
    """

    def __init__(
        self,
        query: Query | None = None,
        options: Options | None = None,
        baseline: Baseline | None = None,
        on_samples: OnSamples | None = None,
        recall: Recall | None = None,
    ):
        self.query, self.options, self.baseline = query or Query(), options or Options(), baseline
        self.problem = f"looking for the LSL stream {self.query}"
        self.looking = True
        """Whether no stream that fits has been found yet, now or since it was lost."""
        """Why nothing is heard; empty while something is."""
        self.engine: Engine | None = None
        """Of the stream that was last heard."""
        self.on_samples = on_samples
        self._recall = recall
        self._inlet: Inlet | None = None
        self._search: pylsl.ContinuousResolver | None = None
        self._heard = self._newest = self._framed = self._since = self._told = 0.0
        self._offset: float | None = None

    @property
    def performer(self) -> Performer | None:
        """The stream that is or was last heard; None until the first."""
        return self.engine.performer if self.engine else None

    def poll(self, timeout: float = 0.1) -> list[Frame]:
        """Wait up to `timeout` seconds for the next frames. A known stream that is silent still gives frames, which
        say so."""
        if self._inlet is None:
            self._connect(timeout)
        frames = self._pull(timeout) if self._inlet else []
        return frames or self._silence()

    def recalibrate(self) -> None:
        """Take what `recall` finds now as the baseline of the stream that is heard; its first window takes its time again.
        Raises AlphaloomError `wrong_baseline`."""
        if self.engine:
            self.engine = self._make_engine(self.engine.format)
            self._framed = pylsl.local_clock() + self.options.window_s

    def _make_engine(self, format: StreamFormat) -> Engine:
        recalled = self._recall(format) if self._recall else None
        return Engine(format, self.options, self.baseline or recalled)

    def close(self) -> None:
        if self._inlet:
            self._inlet.close()
        self._inlet = self._search = None

    def _connect(self, timeout: float) -> None:
        self._search = self._search or self.query.search()
        end = time.monotonic() + timeout
        while not (found := self._search.results()):
            if time.monotonic() >= end:
                return
            time.sleep(LOOK_S)
        self.looking, inlet = False, None
        try:
            inlet = Inlet(found[0])
            if self.engine is None or self.engine.format != inlet.format:
                self.engine = self._make_engine(inlet.format)
        except AlphaloomError as error:
            self.problem = error.message
            if inlet:
                inlet.close()
            time.sleep(timeout)  # it would answer the same at once
            return
        if len(found) > 1:
            which = f"{len(found)} streams are {self.query}; heard is id={inlet.format.source_id}. Name one by id=SOURCE_ID"
            self.engine.tell(Event("ambiguous", pylsl.local_clock(), which))
        self._inlet, self._search, self.problem = inlet, None, ""
        self._offset = None
        self._since = pylsl.local_clock()
        self._heard = self._heard or self._since
        self._framed = self._framed or self._since + self.options.window_s  # the first window takes its time

    def _pull(self, timeout: float) -> list[Frame]:
        assert self._inlet and self.engine
        # Asleep until the sample that completes the next frame is due: waiting in liblsl would wake for every sample.
        rest = self._newest + self.engine.until_update / self.engine.performer.rate - pylsl.local_clock()
        rest = min(max(rest, 0.0), timeout)
        time.sleep(rest)
        try:
            values, times = self._inlet.pull(timeout - rest, self.engine.until_update)
        except AlphaloomError as error:
            self._drop(error.message)
            return []
        now = pylsl.local_clock()
        if not len(times):
            if now - max(self._heard, self._since) > GONE_S:
                self._drop(f"The LSL stream {self._inlet.format.name!r} has sent nothing for {GONE_S:g} s.")
            return []
        times = self._on_our_clock(times, now)
        self._heard, self._newest = now, float(times[-1])
        if self.on_samples:
            self.on_samples(self._inlet.format, times, values * self.engine.to_microvolts)
        try:
            frames = self.engine.push(times, values, now, time.time() - now)
        except AlphaloomError as error:
            self._drop(error.message)
            return []
        except Exception as problem:  # whatever a stream may send, the performance goes on
            log.exception("the analysis of %s failed and begins anew", self._inlet.format.name)
            self.problem = f"The analysis of {self._inlet.format.name!r} failed and begins anew: {problem!r}."
            self.engine = self._make_engine(self._inlet.format)
            return []
        if frames:
            self._framed, self.problem = now, ""
        return frames

    def _on_our_clock(self, times: np.ndarray, now: float) -> np.ndarray:
        """Stamps of a program that does not use LSL's clock, moved by what they are off at the beginning."""
        assert self.engine
        if self._offset is None:
            # A backlog is late by as much as there is room for it; what is off by more, or ahead, is another clock.
            off = now - float(times[-1])
            self._offset = off if not -AHEAD_S < off < 2 * BUFFER_S else 0.0
            if self._offset:
                self.engine.tell(Event("clock", now, f"the stamps are {off:.1f} s off LSL's clock, and are moved by that"))
        return times + self._offset

    def _drop(self, problem: str) -> None:
        self.problem, self.looking = problem, True
        self.close()

    def _silence(self) -> list[Frame]:
        """A frame without features, where there has been none for a while: nothing comes, or no window gets full."""
        now = pylsl.local_clock()
        quiet = now - self._framed
        if self.engine is None or quiet < SILENT_S or now - self._told < 0.1:
            return []
        self._told = now
        return [self.engine.silence(now, now - self._heard, time.time() - now)]


class Cues:
    """The markers of the stream of texts that `query` means, whenever it is there."""

    def __init__(self, query: Query):
        self._search = query.search()
        self._inlet: Markers | None = None

    def pull(self) -> list[tuple[float, str]]:
        """(time on the local LSL clock, text) of what has come. Raises AlphaloomError `unusable_stream`."""
        if self._inlet is None and (found := self._search.results()):
            self._inlet = Markers(found[0])
        return self._inlet.pull() if self._inlet else []

    def close(self) -> None:
        if self._inlet:
            self._inlet.close()
