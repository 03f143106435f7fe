"""Features that `python -m signals record` wrote, read back; and what they are at each frame of a scene. No `bpy`."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

from .arrays import Array, np
from .shared import errors

FEATURES = "features.vhdr"


@dataclass(frozen=True)
class Recording:
    rate: float
    """Rows a second."""
    names: tuple[str, ...]
    values: Array
    """(rows, features); NaN where a feature was not there."""

    def feature(self, name: str) -> Array:
        """(rows,). Raises AlphaloomError `no_feature`."""
        if name not in self.names:
            raise errors.AlphaloomError(
                "no_feature", f"The recording has no feature {name!r}; it has {', '.join(self.names)}.", feature=name
            )
        return self.values[:, self.names.index(name)]


def read(path: Path) -> Recording:
    """A recording's folder, or one of its `features*.vhdr`. Raises AlphaloomError `bad_recording`."""
    header = path / FEATURES if path.is_dir() else path
    try:
        text = header.read_text(encoding="utf-8")
        found = configparser.ConfigParser(interpolation=None, strict=False, delimiters="=", comment_prefixes=(";",))
        found.read_string(text[text.index("[") :])
        common, count = found["Common Infos"], found.getint("Common Infos", "NumberOfChannels")
        if (found["Binary Infos"]["BinaryFormat"], common["DataOrientation"]) != ("IEEE_FLOAT_32", "MULTIPLEXED"):
            raise ValueError("it is not of 32-bit floats, multiplexed")
        names = tuple(found["Channel Infos"][f"Ch{n}"].split(",")[0].replace(r"\1", ",") for n in range(1, count + 1))
        rate = 1e6 / float(common["SamplingInterval"])
        values = np.fromfile(header.with_name(common["DataFile"]), "<f4")
    except (OSError, ValueError, KeyError, ZeroDivisionError, configparser.Error) as problem:
        raise errors.AlphaloomError(
            "bad_recording",
            f"Cannot read features from {str(path)!r}: {problem}. Name a folder that `python -m signals record` wrote, or its "
            f"{FEATURES}.",
        ) from None
    rows = len(values) // count if count else 0
    if rows < 2 or not 0 < rate < 1e5:
        raise errors.AlphaloomError("bad_recording", f"{str(header)!r} has {rows} rows at {rate:g} Hz: nothing to bake.")
    return Recording(rate, names, values[: rows * count].reshape(rows, count).astype(float))


def at_frames(values: Array, rate: float, fps: float, start: float = 0.0) -> Array:
    """What evenly sampled `values` (rows,) are at each frame, (frames,): frame k is at k / fps + `start` seconds.

    Between rows a cubic Hermite spline with the slopes of central differences (Catmull-Rom). Where rows come faster than
    frames, each frame is the mean over its own time, so that nothing folds over. NaN where there is none on either side.
    """
    times = np.arange(int(np.floor((len(values) - 1) / rate * fps + 1e-9)) + 1) / fps + start
    times = times[(times >= 0) & (times <= (len(values) - 1) / rate + 1e-9)]
    if rate <= fps:
        return _spline(values, times * rate)
    parts = int(np.ceil(2 * rate / fps))
    within = (np.arange(parts) + 0.5) / parts - 0.5
    places = np.clip((times[:, None] + within / fps) * rate, 0, len(values) - 1)
    return np.asarray(_spline(values, places.ravel()).reshape(places.shape).mean(1))


def _spline(values: Array, places: Array) -> Array:
    """At places counted in rows."""
    left = np.clip(np.floor(places).astype(int), 0, len(values) - 2)
    t = places - left
    before, a, b, behind = (values[np.clip(left + k, 0, len(values) - 1)] for k in (-1, 0, 1, 2))
    before = np.where(np.isnan(before) | (left == 0), 2 * a - b, before)  # at an end the line goes on
    behind = np.where(np.isnan(behind) | (left == len(values) - 2), 2 * b - a, behind)
    m, n = (b - before) / 2, (behind - a) / 2
    found = (2 * t**3 - 3 * t**2 + 1) * a + (t**3 - 2 * t**2 + t) * m + (3 * t**2 - 2 * t**3) * b + (t**3 - t**2) * n
    # On a row itself its neighbour does not matter, even where it is none.
    return np.asarray(np.where(t == 0, a, np.where(t == 1, b, found)))
