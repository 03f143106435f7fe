"""What the model is asked for: textures of seeds and prompts of a wording that its training never had."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import textures
from textures import Texture

# Training draws from the seeds [1, n] and [2, n].
JUDGE, HELD_OUT, AUTOENCODER, WORDS, SWEEPS, SOURCES, DRAWN, SHEET = range(101, 109)
"""First numbers of the seeds, one for each use."""

FORMS = (
    "a seamless photo of {main} {family} with {second}",
    "please show {main} and {second} {family}",
    "{main} {family}, {second} here and there, seen from above",
    "my favourite {family}: {main} with a little {second}",
    "the {family} is {main} and {second}",
)
UNLIKE = 35.0
"""CIE Lab distance of a prompt's two colours at least. Where they are alike, the pattern is hidden, whoever looks."""
PLAIN = dict.fromkeys(textures.PAIRS, 0.0)
_TINTS = ("brightness", "warmth", "contrast")
"""Attributes that move colours."""


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def family_of(number: int) -> str:
    """All in turn."""
    return textures.FAMILIES[number % len(textures.FAMILIES)]


def drawn(use: int, number: int, tints: float = 1.0) -> Texture:
    """All families in turn, any two colours, attributes as in training; those that move colours times `tints`."""
    made = textures.draw(rng(use, number))
    main, second = (str(name) for name in rng(use, number, 1).choice(list(textures.COLOURS), 2, replace=False))
    attributes = {name: value * (tints if name in _TINTS else 1) for name, value in made.attributes.items()}
    family = family_of(number)
    turn = textures.TURNS[number // len(textures.FAMILIES) % 3] if family == "stripes" else ""
    return replace(made, family=family, main=main, second=second, attributes=attributes, thing=None, turn=turn)


def asked(use: int, number: int) -> Texture:
    """All families in turn, and for each all main colours in turn; the second one unlike the first. Nothing else is asked."""
    turn, place = divmod(number, len(textures.FAMILIES))
    names = list(textures.COLOURS)
    main = names[(7 * turn + 5 * place) % len(names)]
    second = str(rng(use, number).choice([name for name in names if distance(main, name) >= UNLIKE]))
    return Texture(family_of(number), main, second, dict(PLAIN))


def prompt(texture: Texture, turn: int) -> str:
    """Another wording each turn; every other turn calls the family by another of its words."""
    words = textures.FAMILY_WORDS[texture.family]
    word = words[(turn // 2 + 1) % len(words)] if turn % 2 else words[0]
    return FORMS[turn % len(FORMS)].format(main=texture.main, second=texture.second, family=word)


def distance(one: str, other: str) -> float:
    """Of two colours, in CIE Lab (D65): 2 is just seen, 100 is black beside white."""
    return float(np.linalg.norm(_lab(one) - _lab(other)))


@cache
def _lab(name: str) -> np.ndarray:
    rgb = np.array(textures.COLOURS[name])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(matrix @ linear / (0.9505, 1.0, 1.089), 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
