"""The guided calibration: eyes open, eyes closed, a baseline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from protocol.errors import AlphaloomError
from protocol.model import Frame

from . import baseline, spectrum
from .baseline import PHASE_S, PHASES, Baseline, Phase
from .engine import Engine, Options
from .listen import Listener
from .stream import StreamFormat

_INSTRUCTIONS: dict[Phase, str] = {
    "open": "Eyes open. Look at one point, sit still, let the jaw hang loose.",
    "closed": "Now close your eyes. A sound tells you when it is over.",
}
SETTLE_S = 3.0
"""After each instruction, what a person does first does not count."""


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


def guide(listener: Listener, say: Callable[[str], None], seconds: float = PHASE_S, timeout: float = 10.0) -> Baseline:
    """Lead a person through both phases, `seconds` each. `say` gets every instruction, and what is seen meanwhile.

    Raises AlphaloomError `no_stream` when nothing is heard for `timeout` seconds, and `baseline_not_clean`.
    """
    gathered: Calibration | None = None
    now: Phase | None = None

    def take(format: StreamFormat, times: np.ndarray, values: np.ndarray) -> None:
        nonlocal gathered
        gathered = gathered or Calibration(format, listener.options)
        if now:
            gathered.push(now, times, values)

    listener.on_samples = take
    for _ in _frames(listener, SETTLE_S, timeout):
        pass
    for phase in PHASES:
        say(_INSTRUCTIONS[phase])
        for _ in _frames(listener, SETTLE_S, timeout):
            pass
        now = phase
        count = clean = 0
        for frame in _frames(listener, seconds, timeout):
            count, clean = count + 1, clean + (frame.signal == "good")
            if count % 50 == 0 or count == 20:
                say(f"  {count / 10:.0f} of {seconds:g} s, {clean / count:.0%} clean")
        now = None
    say("\aDone. You may open your eyes.")
    assert gathered
    return gathered.result(seconds)


def _frames(listener: Listener, seconds: float, timeout: float) -> Iterator[Frame]:
    """Frames for a while from the first on. Raises `no_stream` when for `timeout` seconds there is none with signal."""
    begun, heard = 0.0, time.monotonic()
    while not begun or time.monotonic() - begun < seconds:
        for frame in listener.poll(0.2):
            begun = begun or time.monotonic()
            if frame.features:
                heard = time.monotonic()
            yield frame
        if time.monotonic() - heard > max(timeout, 5.0):
            if listener.problem:
                raise listener.query.missing(timeout)
            raise AlphaloomError("no_stream", f"{listener.query}: the stream has no clean signal. See: python -m signals view")
