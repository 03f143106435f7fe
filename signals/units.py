"""Units of electric potential, as headsets spell them, in microvolts."""

from __future__ import annotations

from protocol.errors import AlphaloomError

from .stream import StreamFormat

_MICROVOLTS = {"nanovolt": 1e-3, "microvolt": 1.0, "millivolt": 1e3, "volt": 1e6}
_SHORT = {"nv": "nanovolt", "uv": "microvolt", "mv": "millivolt", "v": "volt"}

PLAUSIBLE_RMS = (0.2, 2000.0)
"""In µV, of the filtered signal: outside it the unit is hardly what the stream says."""


def in_microvolts(unit: str) -> float:
    """What one `unit` is in µV. Raises KeyError for what is no unit of potential that we know.

    Both Unicode letters for micro (U+00B5 and U+03BC) count, and so do plurals and any case.
    """
    name = unit.strip().lower().replace("\u00b5", "u").replace("\u03bc", "u").removesuffix("s")
    return _MICROVOLTS[_SHORT.get(name, name)]


def stated(unit: str) -> str:
    """A unit that a person has given, or nothing. Raises AlphaloomError `unknown_unit`."""
    try:
        if unit:
            in_microvolts(unit)
    except KeyError:
        raise AlphaloomError(
            "unknown_unit", f"{unit!r} is no unit of EEG. Use microvolts, millivolts, nanovolts or volts.", unit=unit
        ) from None
    return unit


def scales(format: StreamFormat, given: str = "") -> list[float]:
    """For each channel, the factor from the stream's numbers to µV. `given` goes before the stream's own words.

    Raises AlphaloomError `unknown_unit`, which says how to state the unit.
    """
    units = [given] * len(format.channels) if given else format.units or (format.unit,) * len(format.channels)
    found = []
    types = format.types or ("",) * len(format.channels)
    for channel, unit, kind in zip(format.channels, units, types, strict=True):
        try:
            found.append(in_microvolts(unit))
        except KeyError:
            if kind and kind.upper() != "EEG":  # an accelerometer, say, which nobody looks at
                found.append(1.0)
                continue
            says = f"says {unit!r} of" if unit else "does not say the unit of"
            raise AlphaloomError(
                "unknown_unit",
                f"The stream {format.name!r} {says} channel {channel!r}. If you know it, state it: "
                "--unit microvolts (or volts, millivolts, nanovolts).",
                stream=format.name,
                channel=channel,
                unit=unit,
            ) from None
    return found
