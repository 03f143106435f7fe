"""The embedded model's pattern families: each a periodic field of heights, drawn in two colours.

A field is (size, size), 0..1; 1 shows the main colour. Coordinates are in pixels and have been warped by the caller. What
repeats regularly repeats every 16, 32 or 64 pixels, counted from the corner: of such a pattern, then, nothing is left to
chance, and a small model has to learn one picture where it would have to learn one for every phase.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

Array = np.ndarray
Rng = np.random.Generator

PERIOD = 32
"""Pixels a repeat where no word says otherwise."""
_OFFSET = 4.5
"""Pixels by which a pattern begins before the picture, whose border is else the border of a brick, a square or a stripe."""


@dataclass(frozen=True)
class Place:
    """Where and how a family draws: warped coordinates `x`, `y`, (size, size) in pixels."""

    rng: Rng
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

    def noise(self, wavelength: float, slope: float = 2.0, stretch: float = 1.0, angle: float = 0.0) -> Array:
        """`noise` of so many pixels, seen through the warped coordinates; wilder textures have more fine detail."""
        return look(noise(self.rng, self.size, wavelength, slope - 0.35 * self.turbulence, stretch, angle), self.x, self.y)

    def cells(self, period: float, jitter: float) -> tuple[Array, Array, Array]:
        """Distances to the nearest two points of a jittered grid, in units of its spacing, and a number of the nearest's.

        Worley, "A cellular texture basis function", 1996.
        """
        count = max(2, round(self.size / period))
        grid = np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1).reshape(-1, 2) + 0.5
        points = (grid + self.rng.uniform(-jitter, jitter, grid.shape)) / count % 1
        where = np.stack([self.x, self.y], -1).reshape(-1, 2) / self.size % 1
        distance, index = cKDTree(points, boxsize=1).query(where, k=2)
        near, far = (distance[:, n].reshape(self.x.shape) * count for n in (0, 1))
        return near, far, self.rng.random(count * count)[index[:, 0]].reshape(self.x.shape)


def noise(rng: Rng, size: int, wavelength: float, slope: float = 2.0, stretch: float = 1.0, angle: float = 0.0) -> Array:
    """Periodic Gaussian noise, (size, size), zero mean and unit variance.

    Its amplitude falls as `f ** -slope` for waves shorter than `wavelength` pixels; `stretch` > 1 makes the grain longer
    along y, turned by `angle` radians. Spectral synthesis: Ebert et al., "Texturing and Modeling", 2003, ch. 16.
    """
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    along, across = fy * np.cos(angle) + fx * np.sin(angle), fx * np.cos(angle) - fy * np.sin(angle)
    f = np.hypot(across, along * stretch) * min(wavelength, size * 0.8)
    amplitude = (1 + f**2) ** (-slope / 2 - 0.25)
    amplitude[0, 0] = 0
    waves = rng.standard_normal((2, size, size // 2 + 1))
    field = np.fft.irfft2(amplitude * (waves[0] + 1j * waves[1]), (size, size))
    return field / (field.std() + 1e-9)


def look(field: Array, x: Array, y: Array) -> Array:
    """Values of a periodic (size, size) field at coordinates in pixels."""
    return map_coordinates(field, [y, x], order=1, mode="grid-wrap")


def smoothstep(low: float, high: float, x: Array) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _clouds(at: Place) -> Array:
    return smoothstep(-1.5, 0.6, at.noise(at.period * 2.2, 2.1))


def _marble(at: Place) -> Array:
    veins = np.exp(-((at.noise(at.period * 2.5, 2.3) / 0.16) ** 2))
    fine = np.exp(-((at.noise(at.period * 1.4, 2.3) / 0.08) ** 2))
    return np.clip(1 - veins - 0.55 * fine + 0.06 * at.noise(at.period), 0, 1)


def _wood(at: Place) -> Array:
    period = at.regular / 2
    ring = (at.y / period + 0.5 * at.noise(at.size, 2.7, 0.3)) % 1
    fibre = noise(at.rng, at.size, 24, 1.3, 12, np.pi / 2)
    return np.clip(0.2 + 0.8 * smoothstep(0, 0.7, ring) * (1 - smoothstep(0.86, 1.0, ring)) + 0.1 * fibre, 0, 1)


def _cells(at: Place) -> Array:
    near, far, _ = at.cells(at.period * 0.75, 0.3)
    return smoothstep(0.03, 0.35, far - near) * (1 - 0.45 * np.clip(near, 0, 1) ** 2)


def _cracks(at: Place) -> Array:
    near, far, plate = at.cells(at.period * 1.15, 0.5)
    near2, far2, _ = at.cells(at.period * 0.6, 0.5)
    wide = smoothstep(0.03, 0.13, far - near)
    return wide * (0.7 + 0.3 * smoothstep(0.02, 0.1, far2 - near2)) * (0.8 + 0.2 * plate)


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
    x = at.x / width + 0.5 * (row % 2)
    across, down = np.abs(x % 1 - 0.5) * width, np.abs(at.y / height % 1 - 0.5) * height
    gap = np.minimum(width / 2 - across, height / 2 - down)
    shade = at.rng.uniform(0.7, 1.0, (64, 64))
    rows, columns = round(at.size / height), round(at.size / width)
    return smoothstep(0.05 * height, 0.2 * height, gap) * shade[row.astype(int) % rows, np.floor(x).astype(int) % columns]


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
    blades = at.noise(at.period * 0.22, 1.5, 7) + 0.5 * at.noise(at.period * 0.4, 2, 5)
    return smoothstep(-1.5, 0.9, blades)


def _fur(at: Place) -> Array:
    bend = 0.5 * at.period * noise(at.rng, at.size, at.period * 4, 3)
    strands = noise(at.rng, at.size, at.period * 0.25, 1.7, 9, np.pi / 4)
    return smoothstep(-1.8, 1.1, look(strands, at.x + bend, at.y + bend))


def _stars(at: Place) -> Array:
    count = max(2, round(at.size / at.period / 0.9))
    spacing = at.size / count
    shine = np.zeros_like(at.x)
    for row in range(count):
        for column in range(count):
            cx, cy = (np.array([column, row]) + 0.5 + at.rng.uniform(-0.28, 0.28, 2)) * spacing
            dx, dy = ((a - c + at.size / 2) % at.size - at.size / 2 for a, c in ((at.x, cx), (at.y, cy)))
            reach = spacing * at.rng.uniform(0.3, 0.52)
            # An astroid: |x|^p + |y|^p = 1 with p < 1 has four points.
            shape = (np.abs(dx / reach) ** 0.62 + np.abs(dy / reach) ** 0.62) ** (1 / 0.62)
            shine = np.maximum(shine, 1 - smoothstep(0.5, 1.15, shape))
    return shine


def _flames(at: Place) -> Array:
    sway = 0.35 * at.period * at.noise(at.period * 2, 2.4)
    tongues = look(noise(at.rng, at.size, at.period * 0.9, 2.3, 2.6), at.x + sway, at.y)
    return smoothstep(-0.25, 0.85, 1 - 0.9 * np.abs(tongues))


def _water(at: Place) -> Array:
    bend = 0.22 * at.period * at.noise(at.period * 1.5, 2.4)
    near, far, _ = Place(at.rng, at.x + bend, at.y - bend, at.scale, at.turbulence).cells(at.period, 0.42)
    return 1 - (1 - smoothstep(0, 0.6, far - near)) ** 3


def _fabric(at: Place) -> Array:
    thread = at.regular / 2
    across, down = at.x / thread, at.y / thread
    over = (np.floor(across) + np.floor(down)) % 2
    round_x, round_y = np.sin(np.pi * (across % 1)) ** 0.6, np.sin(np.pi * (down % 1)) ** 0.6
    return np.where(over == 1, 0.55 + 0.45 * round_x, 0.5 * round_y)


def _rust(at: Place) -> Array:
    blotches = at.noise(at.period * 2, 1.5)
    specks = noise(at.rng, at.size, 9, 2.4)
    return smoothstep(-0.75, 0.05, blotches + 0.35 * specks) * (0.78 + 0.16 * specks)


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
    attributes: dict[str, float],
    rng: Rng,
    size: int,
    turn: str = "",
) -> Array:
    """(size, size, 3) uint8 sRGB of colours 0..1; `size` is a multiple of 64. Features keep their size in pixels."""
    value = {"turbulence": 0.0, "brightness": 0.0, "warmth": 0.0, "scale": 0.0, "contrast": 0.0, "roughness": 0.0} | attributes
    grid = np.arange(size, dtype=float)
    x, y = np.meshgrid(grid, grid)
    place = Place(rng, x, y, value["scale"], value["turbulence"])
    reach = 0.05 * 2 ** (1.5 * value["turbulence"]) * place.period
    bend = [reach * noise(rng, size, place.period * 1.6, 2.4) for _ in range(2)]
    x, y = x + bend[0] + _OFFSET, y + bend[1] + _OFFSET
    place = Place(rng, x, y, value["scale"], value["turbulence"])
    field = (TURNED[turn] if turn else FIELDS[family])(place)

    grain = noise(rng, size, 9, 2.2) * 0.022 * 2 ** (1.7 * value["roughness"])
    steps = np.stack([np.roll(field, 1, 1) - np.roll(field, -1, 1), np.roll(field, 1, 0) - np.roll(field, -1, 0)])
    light = np.clip(-steps.sum(0), -0.6, 0.6) * RELIEF.get(family, 0.5) * 2 ** (0.4 * value["roughness"])
    shown = np.clip(field, 0, 1)[..., None]
    a, b = (np.array(colour) + rng.normal(0, 0.012, 3) for colour in (main, second))
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
