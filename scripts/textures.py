"""Procedural textures and their captions: the training data of the embedded model.

Every texture is periodic (it tiles), is drawn in two colours by one pattern family, and knows the
words that describe it. Nothing is downloaded: numpy's generator is the only source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

Array = np.ndarray
Rng = np.random.Generator

# sRGB, 0..1. The first name of a colour is the one the classifier-free captions use most.
COLOURS: dict[str, tuple[float, float, float]] = {
    "black": (0.05, 0.05, 0.06),
    "white": (0.95, 0.95, 0.93),
    "grey": (0.5, 0.5, 0.51),
    "red": (0.82, 0.08, 0.08),
    "orange": (0.95, 0.5, 0.06),
    "yellow": (0.96, 0.86, 0.12),
    "gold": (0.8, 0.62, 0.2),
    "green": (0.12, 0.62, 0.16),
    "teal": (0.05, 0.58, 0.58),
    "cyan": (0.3, 0.85, 0.93),
    "blue": (0.1, 0.22, 0.82),
    "navy": (0.04, 0.08, 0.32),
    "purple": (0.48, 0.14, 0.68),
    "pink": (0.96, 0.5, 0.7),
    "brown": (0.42, 0.24, 0.11),
    "cream": (0.94, 0.88, 0.72),
}
COLOUR_SYNONYMS = {
    "grey": ("gray", "silver"),
    "red": ("crimson", "scarlet"),
    "gold": ("golden",),
    "teal": ("turquoise",),
    "cyan": ("sky blue", "ice blue"),
    "navy": ("deep blue", "dark blue", "midnight blue"),
    "purple": ("violet",),
    "cream": ("beige", "ivory"),
    "orange": ("amber",),
    "green": ("emerald",),
}
FAMILY_WORDS: dict[str, tuple[str, ...]] = {
    "clouds": ("clouds", "cloudy sky", "mist", "smoke", "fog"),
    "marble": ("marble", "veined marble", "marble stone"),
    "wood": ("wood", "wood grain", "timber", "planks"),
    "cells": ("cells", "pebbles", "bubbles", "honeycomb"),
    "cracks": ("cracked earth", "cracks", "dry mud", "cracked stone"),
    "scales": ("scales", "fish scales", "dragon scales"),
    "checker": ("checker", "checkerboard", "chessboard", "tiles"),
    "bricks": ("bricks", "brick wall", "wall"),
    "stripes": ("stripes", "striped fabric", "bands"),
    "dots": ("dots", "polka dots", "spots"),
    "waves": ("waves", "ripples", "dunes"),
    "grass": ("grass", "fur", "hair", "fibres"),
    "flames": ("flames", "fire", "blaze"),
    "water": ("water", "water caustics", "pool", "sea"),
}
FAMILIES = tuple(FAMILY_WORDS)
SWIRLING = {"marble", "wood", "grass", "flames", "water"}  # noisy by nature: they need less warping
# A thing implies a family and colours: what ordinary prompts say.
THINGS: dict[str, tuple[str, str, str]] = {
    "moss": ("grass", "green", "brown"),
    "forest": ("grass", "green", "black"),
    "meadow": ("grass", "green", "yellow"),
    "ocean": ("water", "blue", "cyan"),
    "lagoon": ("water", "teal", "white"),
    "lava": ("cracks", "black", "orange"),
    "desert": ("waves", "gold", "brown"),
    "sunset": ("clouds", "orange", "purple"),
    "sky": ("clouds", "cyan", "white"),
    "night": ("clouds", "navy", "black"),
    "storm": ("clouds", "grey", "navy"),
    "campfire": ("flames", "orange", "black"),
    "inferno": ("flames", "red", "yellow"),
    "coral": ("cells", "pink", "orange"),
    "oak": ("wood", "brown", "gold"),
    "ice": ("cracks", "cyan", "white"),
    "dragon": ("scales", "green", "black"),
    "snow": ("clouds", "white", "cyan"),
}
# Paired words, each an attribute in -1..1: below -1/3 the first is said, above 1/3 the second.
PAIRS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "turbulence": (("calm", "smooth", "still"), ("turbulent", "wild", "stormy")),
    "brightness": (("dark", "gloomy"), ("bright", "luminous")),
    "warmth": (("cold", "icy"), ("warm", "hot")),
    "scale": (("fine", "tiny", "small"), ("coarse", "large", "big")),
}
FILLERS = ("", "a texture of ", "texture, ", "a picture of ", "an image of ", "a close-up of ")


@dataclass(frozen=True)
class Texture:
    """What one texture is. `attributes` maps each key of `PAIRS` to -1..1."""

    family: str
    main: str
    second: str
    attributes: dict[str, float]
    thing: str | None = None


def draw(rng: Rng) -> Texture:
    """Choose a texture at random."""
    attributes = {name: float(rng.uniform(-1, 1)) for name in PAIRS}
    if rng.random() < 0.25:
        thing = str(rng.choice(list(THINGS)))
        family, main, second = THINGS[thing]
        return Texture(family, main, second, attributes, thing)
    family = str(rng.choice(FAMILIES))
    main, second = (str(c) for c in rng.choice(list(COLOURS), 2, replace=False))
    return Texture(family, main, second, attributes)


def noise(rng: Rng, size: int, cycles: float, slope: float = 2.0, stretch: float = 1.0) -> Array:
    """Periodic Gaussian noise, (size, size), zero mean and unit variance.

    The amplitude spectrum falls as `f ** -slope` above `cycles` per picture; `stretch` > 1 makes the
    grain longer in y. Spectral synthesis: Ebert et al., "Texturing and Modeling", 2003, ch. 16.
    """
    fy = np.fft.fftfreq(size, 1 / size)[:, None] * stretch
    fx = np.fft.rfftfreq(size, 1 / size)[None, :]
    f = np.hypot(fx, fy)
    amplitude = (1 + (f / max(cycles, 0.5)) ** 2) ** (-slope / 2 - 0.25)
    amplitude[0, 0] = 0
    phase = rng.standard_normal((size, size // 2 + 1)) + 1j * rng.standard_normal((size, size // 2 + 1))
    field = np.fft.irfft2(amplitude * phase, (size, size))
    return field / (field.std() + 1e-9)


def smoothstep(low: float, high: float, x: Array) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def unit(x: Array) -> Array:
    """Stretch to 0..1 between the 2nd and 98th percentile."""
    low, high = np.percentile(x, (2, 98))
    return np.clip((x - low) / (high - low + 1e-9), 0, 1)


def nearest(rng: Rng, u: Array, v: Array, cells: int, jitter: float = 0.5) -> tuple[Array, Array, Array]:
    """Distances to the nearest two of `cells`² points on a jittered torus, and the nearest's index.

    Distances are in units of the cells' spacing. Worley, "A cellular texture basis function", 1996.
    """
    grid = np.stack(np.meshgrid(np.arange(cells), np.arange(cells)), -1).reshape(-1, 2)
    points = ((grid + 0.5 + rng.uniform(-jitter, jitter, grid.shape)) / cells) % 1
    where = np.stack([u, v], -1).reshape(-1, 2) % 1
    distance, index = cKDTree(points, boxsize=1).query(where, k=2)
    shape = u.shape
    near, far = distance[:, 0] * cells, distance[:, 1] * cells
    return near.reshape(shape), far.reshape(shape), index[:, 0].reshape(shape)


# Each family turns warped coordinates (u, v in cycles of the whole picture) into a field 0..1, where 1 shows
# the main colour. k is the number of repeats over the picture.
Family = Callable[[Rng, Array, Array, int], Array]


def _clouds(rng: Rng, u: Array, v: Array, k: int) -> Array:
    return smoothstep(0.05, 0.8, unit(_look(noise(rng, len(u), k * 0.7, 1.9), u, v)))


def _marble(rng: Rng, u: Array, v: Array, k: int) -> Array:
    swirl = _look(noise(rng, len(u), k * 0.6, 1.7), u, v)
    a, b = rng.permutation([max(1, k // 2), int(rng.integers(0, k // 2 + 1))])
    veins = np.abs(np.sin(2 * np.pi * (a * u + b * v) + 1.6 * swirl))
    return veins**0.45


def _wood(rng: Rng, u: Array, v: Array, k: int) -> Array:
    bend = _look(noise(rng, len(u), 1.5, 2.5, stretch=0.3), u, v)
    fibre = _look(noise(rng, len(u), 30, 1.0, stretch=0.06).T, v, u)
    rings = (k * v + 0.55 * bend) % 1
    return np.clip(0.25 + 0.75 * smoothstep(0, 0.85, rings) * (1 - smoothstep(0.9, 1.0, rings)) + 0.1 * fibre, 0, 1)


def _cells(rng: Rng, u: Array, v: Array, k: int) -> Array:
    near, far, _ = nearest(rng, u, v, k, 0.35)
    return smoothstep(0.02, 0.3, far - near) * (1 - 0.35 * near)


def _cracks(rng: Rng, u: Array, v: Array, k: int) -> Array:
    near, far, index = nearest(rng, u, v, k, 0.48)
    plates = rng.uniform(0.72, 1.0, k * k)[index]
    return smoothstep(0.03, 0.14, far - near) * plates


def _scales(rng: Rng, u: Array, v: Array, k: int) -> Array:
    k += k % 2
    best = np.full(u.shape, -1.0)
    y = v * k
    for step in (1, 0):  # the lower row lies over the upper one
        row = np.floor(y) - step
        x = u * k + 0.5 * (row % 2)
        dx, dy = (x % 1) - 0.5, y - row
        inside = np.hypot(dx * 1.35, (dy - 0.15) * 0.62)
        shade = 1 - smoothstep(0.55, 0.78, inside) * 0.95 - 0.25 * np.clip(1 - dy, 0, 1)
        best = np.where((inside < 0.8) | (best < 0), np.where(inside < 0.8, shade, best), best)
    return np.clip(best, 0, 1)


def _checker(rng: Rng, u: Array, v: Array, k: int) -> Array:
    k += k % 2
    wave = np.sin(np.pi * k * u) * np.sin(np.pi * k * v)
    return smoothstep(-0.05, 0.05, wave + 0.04)


def _bricks(rng: Rng, u: Array, v: Array, k: int) -> Array:
    rows, columns = k + k % 2, max(1, (k + k % 2) // 2)
    row = np.floor(v * rows)
    x = u * columns + 0.5 * (row % 2)
    fx, fy = x % 1, (v * rows) % 1
    edge = np.minimum(np.minimum(fx, 1 - fx) * 2, np.minimum(fy, 1 - fy))
    shade = rng.uniform(0.74, 1.0, (rows, columns))
    return smoothstep(0.04, 0.12, edge) * shade[row.astype(int) % rows, np.floor(x).astype(int) % columns]


def _stripes(rng: Rng, u: Array, v: Array, k: int) -> Array:
    a, b = ((k, 0), (0, k), (k // 2 + 1, k // 2 + 1))[int(rng.integers(3))]
    return smoothstep(-0.25, 0.1, np.sin(2 * np.pi * (a * u + b * v)) + 0.1)


def _dots(rng: Rng, u: Array, v: Array, k: int) -> Array:
    k += k % 2
    row = np.floor(v * k)
    distance = np.hypot((u * k + 0.5 * (row % 2)) % 1 - 0.5, (v * k) % 1 - 0.5)
    return 1 - smoothstep(0.36, 0.42, distance)


def _waves(rng: Rng, u: Array, v: Array, k: int) -> Array:
    bend = 0.18 * np.sin(2 * np.pi * (max(1, k // 2) * u + rng.random())) + 0.1 * np.sin(2 * np.pi * (k * u + rng.random()))
    crest = (k * v + bend) % 1
    return np.clip(crest**0.8 * (1 - smoothstep(0.88, 1.0, crest)) + 0.1, 0, 1)


def _grass(rng: Rng, u: Array, v: Array, k: int) -> Array:
    lean = 0.02 * _look(noise(rng, len(u), 3, 2), u, v)
    blades = _look(noise(rng, len(u), 6 * k, 0.9, stretch=6.0), u + lean, v)
    return np.clip(unit(blades) * 1.1 + 0.1, 0, 1)


def _flames(rng: Rng, u: Array, v: Array, k: int) -> Array:
    lick = _look(noise(rng, len(u), k * 0.9, 1.6, stretch=2.2), u, v)
    ridge = 1 - np.abs(lick + 0.25 * _look(noise(rng, len(u), 2 * k, 1.4), u, v))
    return smoothstep(-0.1, 0.95, ridge)


def _water(rng: Rng, u: Array, v: Array, k: int) -> Array:
    bend = 0.25 / k * _look(noise(rng, len(u), k, 2), u, v)
    near, far, _ = nearest(rng, u + bend, v - bend, k, 0.45)
    light = 1 - smoothstep(0, 0.5, far - near)
    return 1 - light**1.6


FIELDS: dict[str, Family] = {name: globals()[f"_{name}"] for name in FAMILIES}


def _look(field: Array, u: Array, v: Array) -> Array:
    """Sample a periodic (size, size) field at coordinates in cycles."""
    size = len(field)
    return map_coordinates(field, [v * size, u * size], order=1, mode="grid-wrap")


def render(texture: Texture, rng: Rng, size: int) -> Array:
    """Draw `texture` as (size, size, 3) uint8 sRGB. Features keep their size in pixels whatever `size` is."""
    grid = np.arange(size) / size
    u, v = np.meshgrid(grid, grid)
    attributes = texture.attributes
    period = 34 * 2 ** (0.75 * attributes["scale"])  # 20 to 57 pixels a repeat
    k = max(2, round(size / period))
    wild = np.clip(0.5 + 0.5 * attributes["turbulence"], 0, 1) ** 1.5
    warp = (0.08 if texture.family in SWIRLING else 0.2) * wild / k
    u = u + warp * noise(rng, size, k * 0.8, 2.2) + rng.random()
    v = v + warp * noise(rng, size, k * 0.8, 2.2) + rng.random()
    field = FIELDS[texture.family](rng, u, v, k)
    grain = noise(rng, size, 3 * k, 1.2)
    field = np.clip(field + 0.035 * (0.3 + 1.6 * wild) * grain, 0, 1)[..., None]

    main = np.array(COLOURS[texture.main]) + rng.normal(0, 0.025, 3)
    second = np.array(COLOURS[texture.second]) + rng.normal(0, 0.025, 3)
    shade = 1 + 0.08 * noise(rng, size, 1.5 * k, 2.0)[..., None]
    picture = (second + (main - second) * smoothstep(0, 0.8, field)) * shade + 0.1 * smoothstep(0.75, 1, field)
    picture = picture * (1 + 0.28 * attributes["brightness"])
    picture = picture * (1 + attributes["warmth"] * np.array([0.15, 0.0, -0.18]))
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def caption(texture: Texture, rng: Rng) -> str:
    """Describe `texture` in one of many natural ways; some attributes go unsaid."""
    words = [_adjective(name, value, rng) for name, value in texture.attributes.items()]
    adjectives = [w for w in words if w and rng.random() < 0.75]
    rng.shuffle(adjectives)
    main, second = _colour(texture.main, rng), _colour(texture.second, rng)
    if texture.thing is not None:
        subject = texture.thing if rng.random() < 0.8 else f"{texture.thing} {_family(texture.family, rng)}"
    else:
        family = _family(texture.family, rng)
        subject = (
            f"{main} and {second} {family}",
            f"{main} {family} with {second}",
            f"{main} {family} on {second}",
            f"{main} {family}",
            f"{family} in {main} and {second}",
            f"{family}, {main}, {second}",
        )[int(rng.choice(6, p=[0.25, 0.1, 0.1, 0.35, 0.1, 0.1]))]
    if rng.random() < 0.5:
        text = str(rng.choice(FILLERS)) + " ".join([*adjectives, subject])
    else:
        parts = [subject, *adjectives]
        if rng.random() < 0.3:
            rng.shuffle(parts)
        text = ", ".join(parts)
    if rng.random() < 0.12:  # words the model does not know must not throw it off
        text += ", " + "".join(rng.choice(list("abcdefghijklmnoprstuvw"), int(rng.integers(3, 8))))
    return text


def _adjective(name: str, value: float, rng: Rng) -> str | None:
    low, high = PAIRS[name]
    if abs(value) < 1 / 3:
        return None
    return str(rng.choice(low if value < 0 else high))


def _colour(name: str, rng: Rng) -> str:
    others = COLOUR_SYNONYMS.get(name, ())
    return str(rng.choice(others)) if others and rng.random() < 0.3 else name


def _family(name: str, rng: Rng) -> str:
    first, *others = FAMILY_WORDS[name]
    return first if rng.random() < 0.55 else str(rng.choice(others))
