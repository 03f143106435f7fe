"""A person's calibration: what their features are like at rest, eyes open and eyes closed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from protocol.errors import AlphaloomError
from protocol.model import Frame, Performer

from .quality import GOOD

Phase = Literal["open", "closed"]
PHASES: tuple[Phase, ...] = ("open", "closed")
PHASE_S = 60.0
CLEAN_SHARE = 0.7
ALPHA_RISE = 0.1
"""log10 units (a quarter more power) that alpha rises at least when the eyes close."""
_MAD = 1.4826  # of a normal distribution, the standard deviation over the median absolute deviation


@dataclass(frozen=True)
class Baseline:
    """Frozen. `features` maps a name to (median, robust standard deviation)."""

    features: dict[str, tuple[float, float]]
    stream: str = ""
    channels: dict[str, str] = field(default_factory=dict)
    """Channel to region, in the stream's order."""
    unit: str = ""
    reference: str = "none"
    rate: float = 0.0
    alpha_peak: float | None = None
    warnings: tuple[str, ...] = ()
    made: float = 0.0
    """Seconds since 1970."""

    @property
    def hash(self) -> str:
        """SHA-256 of everything in it, in hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def z(self, name: str, value: float) -> float | None:
        """Robust standard deviations from the median; None for a feature that was not measured."""
        if name not in self.features:
            return None
        median, deviation = self.features[name]
        return (value - median) / deviation

    def check(self, channels: Iterable[str], reference: str) -> None:
        """Raise AlphaloomError `wrong_baseline` when it was made with other channels or another reference."""
        channels = list(channels)
        if channels != list(self.channels):
            mine, other = f"the channels {', '.join(self.channels)}", ", ".join(channels)
        elif reference != self.reference:
            mine, other = f"the reference {self.reference!r}", repr(reference)
        else:
            return
        raise AlphaloomError(
            "wrong_baseline",
            f"The baseline was made with {mine}; this stream has {other}. Make one for it: python -m signals baseline",
            channels=channels,
            reference=reference,
        )

    def save(self, path: Path) -> None:
        Path(path).write_text(json.dumps(asdict(self) | {"hash": self.hash}, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Raises AlphaloomError `bad_baseline` for a file that is none, or was changed by hand."""
        try:
            body = json.loads(Path(path).read_text(encoding="utf-8"))
            said = body.pop("hash")
            body["features"] = {name: (float(m), float(d)) for name, (m, d) in body["features"].items()}
            body["warnings"] = tuple(body["warnings"])
            found = cls(**body)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            reason = (
                "there is no such file" if isinstance(problem, FileNotFoundError) else f"{type(problem).__name__}: {problem}"
            )
            raise AlphaloomError("bad_baseline", f"Cannot read the baseline {str(path)!r}: {reason}.", path=str(path)) from None
        if found.hash != said:
            raise AlphaloomError(
                "bad_baseline",
                f"The baseline {str(path)!r} is not as it was saved: its hash differs. Make it anew.",
                path=str(path),
            )
        return found


REFERENCE = Baseline(
    {
        "delta": (0.35, 0.15),
        "theta": (0.16, 0.07),
        "alpha": (0.3, 0.15),
        "beta": (0.16, 0.08),
        "gamma": (0.04, 0.03),
        "engage": (-1.0, 0.6),
    }
)
"""What adults' relative powers are roughly like at rest, so that something can be played before anybody calibrates.
Nobody's baseline: `Performer.baseline` is then empty."""


def of(frames: dict[Phase, list[Frame]], performer: Performer, reference: str = "none", expected: int = 0) -> Baseline:
    """The baseline that the frames of the two phases make; `expected` is how many each would have without gaps.

    Raises AlphaloomError `baseline_not_clean` when less than `CLEAN_SHARE` of a phase can be used.
    """
    for phase in PHASES:
        clean = sum(map(_is_clean, frames[phase])) / max(1, expected, len(frames[phase]))
        if clean < CLEAN_SHARE:
            raise AlphaloomError(
                "baseline_not_clean",
                f"Only {clean:.0%} of the time with eyes {phase} was clean; {CLEAN_SHARE:.0%} are needed. Check the "
                "electrodes, relax the jaw, and try again.",
                phase=phase,
                clean=clean,
            )
    by_phase = {phase: _columns(frames[phase]) for phase in PHASES}
    features = {}
    for name in sorted(by_phase["open"].keys() & by_phase["closed"].keys()):
        values = np.concatenate([by_phase[phase][name] for phase in PHASES])
        median = float(np.median(values))
        deviation = _MAD * float(np.median(np.abs(values - median)))
        if deviation > 1e-9:
            features[name] = (median, deviation)
    return Baseline(
        features,
        performer.stream,
        dict(performer.channels),
        performer.unit,
        reference,
        performer.rate,
        performer.alpha_peak,
        tuple(_warnings(by_phase, performer.alpha_peak)),
        time.time(),
    )


def _warnings(by_phase: dict[Phase, dict[str, np.ndarray]], peak: float | None) -> list[str]:
    found = []
    behind = [n for n in ("log_alpha.occipital", "log_alpha.parietal", "log_alpha") if n in by_phase["open"]]
    if behind and behind[0] in by_phase["closed"]:
        rise = float(np.median(by_phase["closed"][behind[0]]) - np.median(by_phase["open"][behind[0]]))
        if rise < ALPHA_RISE:
            found.append(
                f"Closing the eyes did not raise alpha ({behind[0]} changed by {rise:+.2f} log10 units, {ALPHA_RISE} "
                "are usual): features of alpha may not follow this person."
            )
    if peak is None:
        found.append("No clear alpha peak: the bands are the fixed ones.")
    return found


def _is_clean(frame: Frame) -> bool:
    return bool(frame.features) and frame.signal == "good"


def _columns(frames: list[Frame]) -> dict[str, np.ndarray]:
    columns: dict[str, list[float]] = {}
    for frame in filter(_is_clean, frames):
        for name, feature in frame.features.items():
            if feature.confidence >= GOOD:
                columns.setdefault(name, []).append(feature.value)
    return {name: np.array(values) for name, values in columns.items()}
