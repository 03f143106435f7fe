"""Channel names to regions of the scalp, by the positions of MNE-Python's 10-05 montage."""

from __future__ import annotations

import functools
import re

import numpy as np

REGIONS = ("frontal", "central", "temporal", "parietal", "occipital")
POSTERIOR = ("parietal", "occipital")
_EARS = {"A1", "A2", "M1", "M2"}
_MONTAGE = "colin27_1005"


@functools.cache
def _positions() -> dict[str, np.ndarray]:
    import mne  # takes a second to import

    places = mne.channels.make_standard_montage(_MONTAGE).get_positions()["ch_pos"]
    return {name.upper(): 1000 * place for name, place in places.items()}


def site(channel: str) -> str | None:
    """The 10-05 site that a channel's name means (`EEG Fp1-REF` is FP1), in capitals; None if it means none."""
    name = re.sub(r"^EEG[\s_:.-]*", "", channel.strip().upper())
    name = re.split(r"[\s_:.-]", name)[0]
    return name if name in _positions() and name not in _EARS else None


def region(channel: str) -> str:
    """One of `REGIONS`, or empty for what is no site on the scalp.

    By position on the Colin 27 head, in mm (x right, y front, z up).
    """
    name = site(channel)
    if name is None:
        return ""
    x, y, z = _positions()[name]
    if y > 30:
        return "frontal"
    if y < -95 and z < 25:
        return "occipital"
    if y < -60:
        return "parietal"
    return "temporal" if abs(x) > 65 and z < 15 else "central"


def frontal_pairs(channels: tuple[str, ...]) -> list[tuple[int, int]]:
    """Indices (left, right) of channels at mirrored frontal sites, such as AF7 and AF8."""
    at = {site(name): n for n, name in enumerate(channels) if region(name) == "frontal"}
    pairs = []
    for name, left in at.items():
        stem = re.fullmatch(r"([A-Z]+)(\d+)", name or "")
        if stem and int(stem[2]) % 2 and (right := at.get(f"{stem[1]}{int(stem[2]) + 1}")) is not None:
            pairs.append((left, right))
    return pairs
