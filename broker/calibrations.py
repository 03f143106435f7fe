"""Each performer's baseline: made when somebody asks for it, kept in the data folder, and found again by the stream.

Design notes
- EEG is personal: nothing is measured before `begin`, one file is kept for each headset, and `forget` deletes it.
- A `Seat` is used by its performer's own thread; the event loop only begins, looks, and calls off. What is computed is
  computed on a thread of its own, so that frames go on coming meanwhile.
- A file of `--baseline` goes before what is kept, until a calibration is made while the broker runs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from protocol.errors import AlphaloomError
from protocol.model import Frame

if TYPE_CHECKING:
    from signals.baseline import Baseline
    from signals.calibrate import Guided
    from signals.engine import Options
    from signals.listen import Listener
    from signals.stream import StreamFormat

log = logging.getLogger("broker")

FOLDER = "baselines"
"""In the data folder."""
Step = Literal["none", "waiting", "open", "closed", "computing", "done", "failed"]


@dataclass(frozen=True)
class BaselineReport:
    """How a performer's calibration stands, and which baseline counts now."""

    performer: int
    step: Step
    """`none`: none was begun since the broker started; `open` and `closed` are what the eyes shall be."""
    seconds: float
    """Until the next step."""
    clean: float | None
    """The share of this step that is clean so far; at least 0.7 is needed."""
    problem: str
    """Why it failed; empty otherwise."""
    alpha_peak: float | None
    """In Hz, of the baseline that counts now; so are the fields below."""
    warnings: tuple[str, ...]
    made: float
    """Seconds since 1970; 0: there is none."""
    file: str
    """Where it is kept on the broker's machine; empty where nothing is kept there."""


class Seat:
    """One performer's."""

    def __init__(self, number: int, folder: Path, options: Options, given: Baseline | None = None):
        self.number = number
        self.current: Baseline | None = None
        """What counts now."""
        self._folder, self._options, self._given = folder, options, given
        self._is_made_here = False
        self._file: Path | None = None
        """Where the present stream's baseline is or would be kept."""
        self._guided: Guided | None = None
        self._ended: Step = "none"
        self._problem = ""
        self._fresh = False
        """Whether what is kept has changed, and is to be taken up."""

    # -- on the event loop --

    def begin(self, seconds: float) -> None:
        """`seconds` for each of the two phases. Raises AlphaloomError `calibrating`."""
        from signals.calibrate import Guided

        if self._guided is not None:
            raise AlphaloomError(
                "calibrating",
                f"Performer {self.number} is being calibrated already: wait until it is done, or call it off with DELETE.",
                performer=self.number,
            )
        self._ended, self._problem, self._guided = "none", "", Guided(seconds, self._options)

    def call_off(self) -> bool:
        """Whether there was something to call off."""
        was, self._guided = self._guided, None
        return was is not None

    def forget(self) -> None:
        """Delete what is kept for the present stream; touches the disk. Raises AlphaloomError `no_baseline`."""
        if self._file is None or not self._file.exists():
            raise AlphaloomError(
                "no_baseline", f"No baseline of performer {self.number} is kept for this stream.", performer=self.number
            )
        self._file.unlink()
        self.current = self._given
        self._ended, self._problem = "none", ""
        self._is_made_here, self._fresh = False, True

    def report(self) -> BaselineReport:
        guided, made = self._guided, self.current
        kept = str(self._file) if made is not None and made is not self._given and self._file else ""
        return BaselineReport(
            self.number,
            guided.step if guided else self._ended,
            round(guided.left(time.monotonic()), 1) if guided else 0.0,
            guided.clean if guided else None,
            self._problem,
            made.alpha_peak if made else None,
            made.warnings if made else (),
            made.made if made else 0.0,
            kept,
        )

    # -- on the performer's thread --

    def recall(self, format: StreamFormat) -> Baseline | None:
        """The baseline of this stream, as a Listener asks for it."""
        from signals.baseline import Baseline

        self._file = self._place(format.name, format.channels)
        self.current = self._given
        if (self._given is None or self._is_made_here) and self._file.exists():
            try:
                self.current = Baseline.load(self._file)
            except AlphaloomError as error:
                log.warning("%s", error.message)
        return self.current

    def follow(self, listener: Listener, frames: list[Frame]) -> None:
        """Let a calibration go on, and take up what came of one."""
        guided = self._guided
        listener.on_samples = guided.take if guided else None
        if guided and guided.step != "computing":
            try:
                guided.follow(frames, time.monotonic(), str(listener.query))
            except AlphaloomError as error:
                self._fail(guided, listener.problem or error.message)
            if guided.step == "computing" and self._guided is guided:
                run = threading.Thread(target=self._compute, args=(guided,), name=f"baseline-{self.number}", daemon=True)
                run.start()
        if self._fresh:
            self._fresh = False
            self._take_up(listener, guided)

    def _take_up(self, listener: Listener, guided: Guided | None) -> None:
        try:
            listener.recalibrate()
        except AlphaloomError as error:
            self._fail(guided, error.message)
            return
        if guided and guided.step == "computing" and self._guided is guided:
            self._guided, self._ended = None, "done"

    def _compute(self, guided: Guided) -> None:
        try:
            found = guided.result()
            if self._guided is not guided:
                return
            file = self._place(found.stream, tuple(found.channels))
            self._folder.mkdir(parents=True, exist_ok=True)
            found.save(file.with_suffix(".new"))
            os.replace(file.with_suffix(".new"), file)
        except AlphaloomError as error:
            self._fail(guided, error.message)
        except OSError as problem:
            self._fail(guided, f"The baseline cannot be kept in {str(self._folder)!r}: {problem.strerror}.")
        except Exception as problem:
            log.exception("a baseline could not be computed")
            self._fail(guided, f"The baseline could not be computed: {problem!r}.")
        else:
            self._is_made_here = self._fresh = True
            log.info("baseline: performer %d's is kept in %s", self.number, file)

    def _fail(self, guided: Guided | None, problem: str) -> None:
        if guided is not None and self._guided is guided:
            self._guided, self._ended, self._problem = None, "failed", problem

    def _place(self, stream: str, channels: tuple[str, ...]) -> Path:
        """A file for each headset of this performer, as it is processed; its name tells nobody's."""
        what = json.dumps([self.number, stream, channels, self._options.reference])
        return self._folder / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.json"
