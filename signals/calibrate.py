"""The guided calibration: eyes open, eyes closed, a baseline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from protocol.errors import AlphaloomError
from protocol.model import Frame

from . import baseline, spectrum
from .baseline import PHASE_S, PHASES, Baseline, Phase
from .engine import Engine, Options
from .listen import Listener
from .stream import StreamFormat

_INSTRUCTIONS: dict[str, str] = {
    "open": "Eyes open. Look at one point, sit still, let the jaw hang loose.",
    "closed": "Now close your eyes. A sound tells you when it is over.",
}
SETTLE_S = 3.0
"""After each instruction, what a person does first does not count."""
SILENT_S = 10.0
"""For so long there may be no clean signal."""

Step = Literal["waiting", "open", "closed", "computing"]


class Calibration:
    """Gathers both phases' samples and makes the baseline of them. No streams.

    The samples are gone through twice: the first time finds the alpha peak, the second measures in the bands that are
    anchored to it.
    """

    def __init__(self, format: StreamFormat, options: Options | None = None):
        self._unit = (options.unit if options else "") or format.unit
        self._format = replace(format, unit="microvolts", units=())
        self._options = replace(options or Options(), unit="")
        self._pieces: dict[Phase, list[tuple[np.ndarray, np.ndarray]]] = {phase: [] for phase in PHASES}

    def push(self, phase: Phase, times: np.ndarray, values: np.ndarray) -> None:
        """(n,) stamps in seconds, (n, channels) in µV."""
        self._pieces[phase].append((times, values))

    def result(self, seconds: float = 0.0) -> Baseline:
        """Raises AlphaloomError `baseline_not_clean`. `seconds` is how long each phase was meant to be."""
        _, densities, engine = self._run("closed", self._options)
        peak = None
        densities = [density for density in densities if np.isfinite(density).any()]
        if densities:
            logs = np.log(np.stack(densities))
            behind = engine.posterior & np.isfinite(logs).any(axis=(0, 2))
            logs = logs[:, behind if behind.any() else slice(None)]
            peak = spectrum.alpha_peak(engine.hz, np.exp(np.nanmean(logs, axis=(0, 1))))
        anchored = replace(self._options, alpha_peak=peak)
        runs = {phase: self._run(phase, anchored) for phase in PHASES}
        expected = round(max(0.0, seconds - anchored.window_s) * anchored.updates_hz)
        frames = {phase: run[0] for phase, run in runs.items()}
        return baseline.of(frames, replace(runs["closed"][2].performer, unit=self._unit), anchored.reference, expected)

    def _run(self, phase: Phase, options: Options) -> tuple[list[Frame], list[np.ndarray], Engine]:
        engine = Engine(self._format, options)
        frames: list[Frame] = []
        densities = []
        for times, values in self._pieces[phase]:
            frames += engine.push(times, values)
            if engine.density is not None:
                densities.append(engine.density.copy())
        return frames, densities, engine


class Guided:
    """Leads through both phases: samples and frames go in, `step` is what a person shall do now. No streams; is told the time.

    From `waiting`, while the stream settles, to `computing`, when `result` can make the baseline.
    """

    def __init__(self, seconds: float = PHASE_S, options: Options | None = None, silent_s: float = SILENT_S):
        self.count = 0
        """The frames of this phase that count."""
        self._seconds, self._options, self._silent_s = seconds, options, max(silent_s, 5.0)
        phases = [(phase, *part) for phase in PHASES for part in ((SETTLE_S, False), (seconds, True))]
        self._parts: list[tuple[Step, float, bool]] = [("waiting", SETTLE_S, False), *phases]
        """Each with its seconds, and whether it counts."""
        self._begun = self._heard = -1.0
        self._clean = 0
        self._gathered: Calibration | None = None
        self._format: StreamFormat | None = None
        self._is_another = False

    @property
    def step(self) -> Step:
        return self._parts[0][0] if self._parts else "computing"

    @property
    def clean(self) -> float | None:
        """The share of this phase that is clean so far; None before it counts."""
        return self._clean / self.count if self.count else None

    def left(self, now: float) -> float:
        """Seconds until the next step."""
        seconds = sum(part[1] for part in self._parts if part[0] == self.step)
        return max(0.0, seconds - (now - self._begun if self._begun >= 0 else 0.0))

    def take(self, format: StreamFormat, times: np.ndarray, values: np.ndarray) -> None:
        """A chunk of samples, as a Listener's `on_samples` has it."""
        if self._gathered is None or self._format is None:
            self._gathered, self._format = Calibration(format, self._options), format
        self._is_another = self._is_another or format.channels != self._format.channels
        step, _, counts = self._parts[0] if self._parts else ("computing", 0.0, False)
        if counts and not self._is_another and (step == "open" or step == "closed"):
            self._gathered.push(step, times, values)

    def follow(self, frames: list[Frame], now: float, stream: str) -> None:
        """Frames that have come by `now`, in seconds of a clock that is never set back.

        Raises AlphaloomError `no_stream` when for too long there is none with signal, or the stream has become another.
        """
        self._heard = now if self._heard < 0 or any(frame.features for frame in frames) else self._heard
        if self._is_another:
            raise AlphaloomError("no_stream", f"{stream}: the stream came back with other channels. Begin anew.")
        if now - self._heard > self._silent_s:
            raise AlphaloomError("no_stream", f"{stream}: the stream has no clean signal. See: python -m signals view")
        if self._begun < 0 and any(frame.features or self.step != "waiting" for frame in frames):
            self._begun = now
        if self._parts and self._parts[0][2]:
            self.count += len(frames)
            self._clean += sum(frame.signal == "good" for frame in frames)
        if self._parts and self._begun >= 0 and now - self._begun >= self._parts[0][1]:
            del self._parts[0]
            self._begun = -1.0
            self.count = self._clean = 0

    def result(self) -> Baseline:
        """Takes seconds. Raises AlphaloomError `baseline_not_clean`."""
        assert self._gathered
        return self._gathered.result(self._seconds)


def guide(listener: Listener, say: Callable[[str], None], seconds: float = PHASE_S, timeout: float = SILENT_S) -> Baseline:
    """Lead a person through both phases, `seconds` each. `say` gets every instruction, and what is seen meanwhile.

    Raises AlphaloomError `no_stream` when nothing is heard for `timeout` seconds, and `baseline_not_clean`.
    """
    guided = Guided(seconds, listener.options, timeout)
    listener.on_samples = guided.take
    step, told = guided.step, 0
    while guided.step != "computing":
        frames = listener.poll(0.2)
        try:
            guided.follow(frames, time.monotonic(), str(listener.query))
        except AlphaloomError:
            if listener.problem:
                raise listener.query.missing(timeout) from None
            raise
        if guided.step != step:
            step, told = guided.step, 0
            if step in _INSTRUCTIONS:
                say(_INSTRUCTIONS[step])
        if frames and guided.clean is not None and guided.count // 50 > told:
            told = guided.count // 50
            say(f"  {guided.count / listener.options.updates_hz:.0f} of {seconds:g} s, {guided.clean:.0%} clean")
    say("\aDone. You may open your eyes.")
    return guided.result()
