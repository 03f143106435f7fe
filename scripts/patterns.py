"""The embedded model's pattern families: each a field of heights, drawn in two colours from white noise.

The noise is what the model's sampler will begin with: (4, size / 4, size / 4), standard normal. All that is left to chance in a
texture is a fixed, local function of it, the same for every size. So noise and texture make a pair, the model has one
picture to find for each noise instead of the average of many, and needs few steps (compare Liu et al., "Flow Straight and
Fast", 2023, which finds such pairs by training twice).

A field is (size, size), 0..1; 1 shows the main colour. Coordinates are in pixels and have been warped by the caller. What
repeats regularly repeats every 16, 32 or 64 pixels, counted from the corner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree
from scipy.special import ndtr

Array = np.ndarray
Rng = np.random.Generator

PERIOD = 32
"""Pixels a repeat where no word says otherwise."""
LATENT = 4
"""Pixels a side of what one place of the noise stands for."""
_OFFSET = 4.5
"""Pixels by which a pattern begins before the picture, whose border is else the border of a brick, a square or a stripe."""
_HAAR = {"mean": (1, 1, 1, 1), "across": (1, -1, 1, -1), "down": (1, 1, -1, -1), "cross": (1, -1, -1, 1)}
"""Four independent fields of the noise's four channels; "fine" has all of them side by side, at twice the resolution."""


@dataclass(frozen=True)
class Place:
    """Where and how a family draws: warped coordinates `x`, `y`, (size, size) in pixels."""

    white: dict[str, Array]
    x: Array
    y: Array
    scale: float
    turbulence: float

    @property
    def size(self) -> int:
        return len(self.x)

    @property
    def period(self) -> float:
        """Of what repeats irregularly."""
        return PERIOD * 2.0 ** (0.8 * self.scale)

    @property
    def regular(self) -> int:
        """Of what repeats regularly: 16, 32 or 64."""
        return PERIOD * 2 ** int(np.clip(np.round(0.9 * self.scale), -1, 1))

    def field(self, of: str, wavelength: float, slope: float = 2.0, stretch: float = 1.0, angle: float = 0.0) -> Array:
        """`filtered` noise of the picture's places; wilder textures have more fine detail."""
        return filtered(self.white[of], self.size, wavelength, slope - 0.35 * self.turbulence, stretch, angle)

    def noise(self, of: str, wavelength: float, slope: float = 2.0, stretch: float = 1.0, angle: float = 0.0) -> Array:
        """The same, seen through the warped coordinates."""
        return look(self.field(of, wavelength, slope, stretch, angle), self.x, self.y)

    def points(self, spacing: int, jitter: float, of: tuple[str, str] = ("mean", "cross")) -> tuple[Array, Array]:
        """x and y, (n,) pixels, of a grid's points, each off its place by at most `jitter` of the spacing."""
        centres = (np.arange(self.size // spacing) + 0.5) * spacing
        x, y = (axis.ravel() for axis in np.meshgrid(centres, centres))
        off = [jitter * spacing * (2 * self.chance(name, spacing, x, y) - 1) for name in of]
        return x + off[0], y + off[1]

    def chance(self, of: str, wavelength: float, x: Array, y: Array) -> Array:
        """Numbers 0..1, evenly spread, of places in pixels."""
        return ndtr(look(filtered(self.white[of], self.size, wavelength, 2.0), x, y))

    def cells(self, spacing: int, jitter: float, of: tuple[str, str] = ("mean", "cross")) -> tuple[Array, Array, Array]:
        """Distances to the nearest two points, in units of the spacing, and a number 0..1 of the nearest's.

        Worley, "A cellular texture basis function", 1996.
        """
        x, y = self.points(spacing, jitter, of)
        where = np.stack([self.x, self.y], -1).reshape(-1, 2) % self.size
        around = [(dx, dy) for dx in (-self.size, 0, self.size) for dy in (-self.size, 0, self.size)]
        tree = cKDTree(np.concatenate([np.stack([x + dx, y + dy], -1) for dx, dy in around]))
        distance, index = tree.query(where, k=2)
        near, far = (distance[:, n].reshape(self.x.shape) / spacing for n in (0, 1))
        return near, far, self.chance("across", spacing, x, y)[index[:, 0] % len(x)].reshape(self.x.shape)


def whites(noise: Array) -> dict[str, Array]:
    """Independent white fields of (4, n, n) noise: four (n, n), and "fine" (2n, 2n), which is all of them."""
    fields = {name: sum(s * part for s, part in zip(signs, noise, strict=True)) / 2 for name, signs in _HAAR.items()}
    side = noise.shape[-1]
    return fields | {"fine": noise.reshape(2, 2, side, side).transpose(2, 0, 3, 1).reshape(2 * side, 2 * side)}


def filtered(white: Array, size: int, wavelength: float, slope: float = 2.0, stretch: float = 1.0, angle: float = 0.0) -> Array:
    """Periodic Gaussian noise, (size, size), zero mean and unit variance, of white noise of any resolution.

    Its amplitude falls as `f ** -slope` for waves shorter than `wavelength` pixels; `stretch` > 1 makes the grain longer
    along y, turned by `angle` radians. Spectral synthesis: Ebert et al., "Texturing and Modeling", 2003, ch. 16.
    """
    side = len(white)
    spectrum = np.zeros((size, size), complex)
    low, high = (size - side) // 2, (size + side) // 2
    spectrum[low:high, low:high] = np.fft.fftshift(np.fft.fft2(white))
    shape = _amplitude(size, side, wavelength, slope, stretch, angle)
    return np.fft.ifft2(np.fft.ifftshift(spectrum) * shape).real


_LARGE = 512
"""Of a picture of so many pixels the variance is taken: small ones have the same filter, not the same variance."""


def _amplitude(size: int, side: int, wavelength: float, slope: float, stretch: float, angle: float) -> Array:
    cell = size // side
    key = (cell, round(wavelength, 1), round(slope, 2), stretch, angle)
    return _response(size, *key[1:]) * (size / side) ** 2 / _deviation(*key)


def _response(size: int, wavelength: float, slope: float, stretch: float, angle: float) -> Array:
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :]
    along, across = fy * np.cos(angle) + fx * np.sin(angle), fx * np.cos(angle) - fy * np.sin(angle)
    f = np.hypot(across, along * stretch) * wavelength
    found: Array = (1 + f**2) ** (-slope / 2 - 0.25)
    return found


@cache
def _deviation(cell: int, wavelength: float, slope: float, stretch: float, angle: float) -> float:
    """Of white noise of unit variance, a value for every `cell` pixels, after the filter."""
    side = _LARGE // cell
    inside = np.abs(np.fft.fftfreq(_LARGE)) * cell <= 0.5
    power = _response(_LARGE, wavelength, slope, stretch, angle)[np.ix_(inside, inside)] ** 2
    return float(np.sqrt(power.sum()) / side)


def look(field: Array, x: Array, y: Array) -> Array:
    """Values of a periodic (size, size) field at coordinates in pixels."""
    return map_coordinates(field, [y, x], order=1, mode="grid-wrap")


def smoothstep(low: float, high: float, x: Array) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _clouds(at: Place) -> Array:
    return smoothstep(-1.5, 0.6, at.noise("mean", at.period * 2.2, 2.1))


def _marble(at: Place) -> Array:
    veins = np.exp(-((at.noise("mean", at.period * 2.5, 2.3) / 0.16) ** 2))
    fine = np.exp(-((at.noise("cross", at.period * 1.4, 2.3) / 0.08) ** 2))
    return np.clip(1 - veins - 0.55 * fine, 0, 1)


def _wood(at: Place) -> Array:
    ring = (at.y / (at.regular / 2) + 0.5 * at.noise("mean", 4 * PERIOD, 2.7, 0.3)) % 1
    fibre = at.field("fine", 24, 1.3, 12, np.pi / 2)
    return np.clip(0.2 + 0.8 * smoothstep(0, 0.7, ring) * (1 - smoothstep(0.86, 1.0, ring)) + 0.1 * fibre, 0, 1)


def _cells(at: Place) -> Array:
    near, far, _ = at.cells(at.regular, 0.32)
    return smoothstep(0.03, 0.32, far - near) * (1 - 0.45 * np.clip(near, 0, 1) ** 2)


def _cracks(at: Place) -> Array:
    near, far, plate = at.cells(at.regular, 0.42)
    return smoothstep(0.03, 0.15, far - near) * (0.75 + 0.25 * plate)


def _scales(at: Place) -> Array:
    width, height = at.regular, at.regular / 2
    field = np.zeros_like(at.x)
    for step in (0, 1):  # from each row hang half discs, over those of the row below
        row = np.floor(at.y / height) - step
        dx = (at.x / width + 0.5 * (row % 2)) % 1 - 0.5
        dy = at.y / height - row
        inside = np.hypot(2 * dx, dy)
        disc = (1 - 0.95 * smoothstep(0.78, 0.98, inside)) * (0.6 + 0.4 * np.clip(inside, 0, 1))
        field = np.where(inside < 1, disc, field) if step else disc
    return np.clip(field, 0, 1)


def _checker(at: Place) -> Array:
    wave = np.sin(2 * np.pi * at.x / at.regular) * np.sin(2 * np.pi * at.y / at.regular)
    return smoothstep(-0.16, 0.1, wave)


def _bricks(at: Place) -> Array:
    width, height = at.regular, at.regular / 2
    row = np.floor(at.y / height)
    column = np.floor(at.x / width + 0.5 * (row % 2))
    across = np.abs((at.x / width + 0.5 * (row % 2)) % 1 - 0.5) * width
    down = np.abs(at.y / height % 1 - 0.5) * height
    gap = np.minimum(width / 2 - across, height / 2 - down)
    shade = at.chance("cross", width, (column + 0.5 - 0.5 * (row % 2)) * width, (row + 0.5) * height)
    return smoothstep(0.05 * height, 0.2 * height, gap) * (0.7 + 0.3 * shade)


def _bands(at: Place, cycles: Array) -> Array:
    return smoothstep(-0.45, 0.2, np.sin(2 * np.pi * cycles))


def _stripes(at: Place) -> Array:
    return _bands(at, at.x / at.regular)


def _horizontal(at: Place) -> Array:
    return _bands(at, at.y / at.regular)


def _diagonal(at: Place) -> Array:
    return _bands(at, (at.x + at.y) / at.regular)


def _dots(at: Place) -> Array:
    period = at.regular / 2
    row = np.floor(at.y / period)
    distance = np.hypot((at.x / period + 0.5 * (row % 2)) % 1 - 0.5, at.y / period % 1 - 0.5)
    return 1 - smoothstep(0.36, 0.46, distance)


def _waves(at: Place) -> Array:
    crest = (at.y / (at.regular / 2) + 0.3 * np.sin(2 * np.pi * at.x / at.regular)) % 1
    return 0.1 + 0.9 * crest**0.8 * (1 - smoothstep(0.82, 1.0, crest))


def _grass(at: Place) -> Array:
    blades = at.noise("fine", at.period * 0.25, 1.7, 7) + 0.5 * at.noise("cross", at.period * 0.5, 2, 5)
    return smoothstep(-1.5, 0.9, blades)


def _fur(at: Place) -> Array:
    bend = 0.5 * at.period * at.field("across", at.period * 4, 3)
    strands = at.field("fine", at.period * 0.28, 1.9, 9, np.pi / 4)
    return smoothstep(-1.8, 1.1, look(strands, at.x + bend, at.y + bend))


def _stars(at: Place) -> Array:
    spacing = at.regular
    x, y = at.points(spacing, 0.28)
    shine = np.zeros_like(at.x)
    for cx, cy, large in zip(x, y, at.chance("across", spacing, x, y), strict=True):
        dx, dy = ((a - c + at.size / 2) % at.size - at.size / 2 for a, c in ((at.x, cx), (at.y, cy)))
        reach = spacing * (0.3 + 0.22 * large)
        # An astroid: |x|^p + |y|^p = 1 with p < 1 has four points.
        shape = (np.abs(dx / reach) ** 0.62 + np.abs(dy / reach) ** 0.62) ** (1 / 0.62)
        shine = np.maximum(shine, 1 - smoothstep(0.5, 1.15, shape))
    return shine


def _flames(at: Place) -> Array:
    """Rows of tongues, brightest low in their middle, each before those of the row above; the higher, the more they sway."""
    width, height = at.regular / 2, min(at.regular, PERIOD)  # so that 64 pixels have an even number of rows
    sway = 0.3 * at.noise("across", at.period * 2, 2.4)
    field = np.zeros_like(at.x)
    for step in (1, 0):  # a tongue is higher than a row
        row = np.floor(at.y / height) + step
        up = (row + 1 - at.y / height) / 1.6
        dx = (at.x / width + 0.5 * (row % 2) + sway * up**1.3) % 1 - 0.5
        half = 0.5 * np.clip(1 - up, 0, 1) ** 0.8 * smoothstep(-0.12, 0.3, up)
        inside = np.abs(dx) / np.maximum(half, 1e-3)
        tongue = (1 - smoothstep(0.35, 1.0, inside)) * (1 - 0.4 * up)
        field = np.maximum(field, tongue)
    return np.clip(1.15 * field, 0, 1)


def _water(at: Place) -> Array:
    bend = 0.25 * at.period * at.noise("across", at.period * 1.5, 2.4)
    near, far, _ = replace(at, x=at.x + bend, y=at.y - bend).cells(at.regular, 0.42)
    return 1 - (1 - smoothstep(0, 0.6, far - near)) ** 3


def _fabric(at: Place) -> Array:
    thread = at.regular / 2
    across, down = at.x / thread, at.y / thread
    over = (np.floor(across) + np.floor(down)) % 2
    round_x, round_y = np.sin(np.pi * (across % 1)) ** 0.6, np.sin(np.pi * (down % 1)) ** 0.6
    return np.where(over == 1, 0.55 + 0.45 * round_x, 0.5 * round_y)


def _rust(at: Place) -> Array:
    specks = at.field("fine", 9, 2.4)
    return smoothstep(-0.7, 0.1, at.noise("mean", at.period * 2, 1.9) + 0.9 * specks) * (0.8 + 0.14 * specks)


FIELDS: dict[str, Callable[[Place], Array]] = {
    "clouds": _clouds,
    "marble": _marble,
    "wood": _wood,
    "cells": _cells,
    "cracks": _cracks,
    "scales": _scales,
    "checker": _checker,
    "bricks": _bricks,
    "stripes": _stripes,
    "dots": _dots,
    "waves": _waves,
    "grass": _grass,
    "fur": _fur,
    "stars": _stars,
    "flames": _flames,
    "water": _water,
    "fabric": _fabric,
    "rust": _rust,
}
TURNED = {"horizontal": _horizontal, "diagonal": _diagonal}
"""The other ways of stripes."""
RELIEF = {
    "marble": 0.0,
    "clouds": 0.25,
    "checker": 0.0,
    "stripes": 0.1,
    "dots": 0.35,
    "stars": 0.1,
    "flames": 0.0,
    "water": 0.2,
    "rust": 0.35,
    "fur": 0.35,
    "grass": 0.35,
    "fabric": 0.3,
}
"""How much a field's slopes catch the light; 0.5 for the others."""


def paint(
    family: str,
    main: tuple[float, float, float],
    second: tuple[float, float, float],
    value: dict[str, float],
    noise: Array,
    turn: str = "",
) -> Array:
    """(size, size, 3) uint8 sRGB of colours 0..1, from (4, size / 4, size / 4) standard normal noise.

    The size is a multiple of 64. Features keep their size in pixels whatever it is. `value` has each attribute's.
    """
    size = noise.shape[-1] * LATENT
    x, y = np.meshgrid(np.arange(size, dtype=float), np.arange(size, dtype=float))
    place = Place(whites(noise), x, y, value["scale"], value["turbulence"])
    reach = 0.05 * 2 ** (1.5 * value["turbulence"]) * place.period
    bend = [reach * filtered(place.white[of], size, place.period * 1.6, 2.4) for of in ("across", "down")]
    place = replace(place, x=x + bend[0] + _OFFSET, y=y + bend[1] + _OFFSET)
    field = (TURNED[turn] if turn else FIELDS[family])(place)

    grain = filtered(place.white["down"], size, 9, 2.2) * 0.022 * 2 ** (1.7 * value["roughness"])
    steps = np.stack([np.roll(field, 1, 1) - np.roll(field, -1, 1), np.roll(field, 1, 0) - np.roll(field, -1, 0)])
    light = np.clip(-steps.sum(0), -0.6, 0.6) * RELIEF.get(family, 0.5) * 2 ** (0.4 * value["roughness"])
    shown = np.clip(field, 0, 1)[..., None]
    a, b = np.array(main), np.array(second)
    # Bold colours lie further apart than they are called, soft ones nearer together; the main one stays what it is.
    b = np.clip(a + (b - a) * 2 ** (0.7 * min(value["contrast"], 0.3)), 0, 1)
    if value["contrast"] > 0:
        shown = np.clip(0.5 + (shown - 0.5) * (1 + 1.2 * value["contrast"]), 0, 1)
    picture = b + (a - b) * shown
    picture = picture * (1 + 0.3 * light[..., None]) + 0.12 * light[..., None] + grain[..., None]
    glow = value["brightness"]
    picture = picture + (1 - picture) * 0.32 * glow if glow > 0 else picture * (1 + 0.45 * glow)
    picture = picture + value["warmth"] * np.array([0.12, 0.0, -0.12])
    # Against stairs at edges, which no autoencoder could keep either: 3.7 dB between them and this.
    smooth = gaussian_filter(np.clip(picture, 0, 1), (0.65, 0.65, 0), mode="wrap")
    return (smooth * 255 + 0.5).astype(np.uint8)
