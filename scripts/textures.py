"""Procedural textures and what is said of them: the training data of the embedded model.

Nothing is downloaded: numpy's generator is the only source. What a caption leaves unsaid is what it usually is (the usual
second colour, no attribute), so that a caption means one kind of picture and not an average of many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from patterns import FIELDS, LATENT, TURNED, Array, Rng, paint

COLOURS: dict[str, tuple[float, float, float]] = {
    "black": (0.05, 0.05, 0.06),
    "white": (0.95, 0.95, 0.94),
    "grey": (0.5, 0.5, 0.51),
    "red": (0.82, 0.08, 0.08),
    "orange": (0.95, 0.47, 0.05),
    "yellow": (0.97, 0.87, 0.1),
    "gold": (0.76, 0.58, 0.18),
    "green": (0.12, 0.6, 0.16),
    "lime": (0.58, 0.88, 0.15),
    "teal": (0.04, 0.55, 0.55),
    "cyan": (0.35, 0.85, 0.95),
    "blue": (0.1, 0.24, 0.84),
    "navy": (0.04, 0.07, 0.3),
    "purple": (0.46, 0.13, 0.66),
    "magenta": (0.88, 0.1, 0.6),
    "pink": (0.97, 0.6, 0.74),
    "brown": (0.4, 0.23, 0.1),
    "cream": (0.94, 0.87, 0.7),
}
"""sRGB, 0..1."""
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "black": ("ebony", "obsidian", "jet"),
    "white": ("snowy", "ivory", "pale"),
    "grey": ("gray", "silver", "silvery", "ashen", "steel"),
    "red": ("crimson", "scarlet", "ruby", "blood"),
    "orange": ("amber", "tangerine"),
    "yellow": ("lemon", "sunny"),
    "gold": ("golden", "ochre", "bronze", "brass"),
    "green": ("emerald", "jade", "mossy"),
    "lime": ("neon green", "bright green"),
    "teal": ("turquoise", "sea green"),
    "cyan": ("sky blue", "ice blue", "light blue", "aqua"),
    "blue": ("sapphire", "cobalt", "azure"),
    "navy": ("deep blue", "dark blue", "midnight blue", "indigo"),
    "purple": ("violet", "lavender", "lilac"),
    "magenta": ("fuchsia", "hot pink"),
    "pink": ("rose", "rosy"),
    "brown": ("chocolate", "umber", "chestnut", "earthen"),
    "cream": ("beige", "sandy", "tan", "bone"),
}
SECOND: dict[str, str] = {
    "black": "grey",
    "white": "grey",
    "grey": "black",
    "red": "black",
    "orange": "brown",
    "yellow": "orange",
    "gold": "brown",
    "green": "black",
    "lime": "green",
    "teal": "navy",
    "cyan": "blue",
    "blue": "navy",
    "navy": "cyan",
    "purple": "black",
    "magenta": "purple",
    "pink": "magenta",
    "brown": "black",
    "cream": "brown",
}
"""What goes with a colour where no other is said."""
FAMILY_WORDS: dict[str, tuple[str, ...]] = {
    "clouds": ("clouds", "cloud", "mist", "smoke", "fog", "nebula", "haze"),
    "marble": ("marble", "veined marble", "marbled stone", "veins"),
    "wood": ("wood", "wood grain", "timber", "planks", "wooden board"),
    "cells": ("cells", "pebbles", "bubbles", "honeycomb", "cobblestones", "giraffe"),
    "cracks": ("cracked earth", "cracks", "dry mud", "cracked stone", "cracked"),
    "scales": ("scales", "fish scales", "dragon scales", "reptile skin", "roof tiles"),
    "checker": ("checker", "checkerboard", "chessboard", "checkered", "tiles", "squares"),
    "bricks": ("bricks", "brick", "brick wall", "wall", "masonry"),
    "stripes": ("stripes", "striped", "bands", "lines", "bars"),
    "dots": ("dots", "polka dots", "spots", "circles", "dotted"),
    "waves": ("waves", "ripples", "dunes", "wavy lines", "ripple"),
    "grass": ("grass", "reeds", "blades", "straw", "stalks"),
    "fur": ("fur", "hair", "fibres", "pelt", "coat"),
    "stars": ("stars", "starry", "sparkles", "glitter", "star"),
    "flames": ("flames", "fire", "blaze", "flame", "burning"),
    "water": ("water", "water caustics", "pool", "sea", "caustics"),
    "fabric": ("fabric", "cloth", "weave", "woven", "basket", "textile"),
    "rust": ("rust", "rusty metal", "corroded metal", "patina", "rusty"),
}
FAMILIES = tuple(FAMILY_WORDS)
assert set(FAMILIES) == set(FIELDS)
TURNS = ("", *TURNED)
"""Of stripes; upright are those of which nothing is said."""

Thing = tuple[str, str, str, dict[str, float]]
_THINGS = """
moss: grass green brown; forest: grass green black; meadow: grass lime green; jungle: grass green navy turbulence+.6
lawn: grass green lime; hay: grass gold brown; wheat: grass yellow gold; savanna: grass gold green
garden: grass green lime; ocean: water blue cyan; lagoon: water teal white; lake: water blue white
river: water teal navy; reef: cells pink teal; rain: water grey navy brightness-.5
swamp: rust green brown brightness-.4; glacier: cracks cyan white; ice: cracks cyan white; frost: stars white cyan
snow: clouds white cyan; winter: clouds white grey warmth-.8; blizzard: clouds white grey turbulence+.9
lava: cracks black orange; magma: cracks brown red; volcano: cracks black red; ember: cells orange black
desert: waves gold brown; sand: waves cream gold; beach: waves cream cyan; canyon: wood orange brown
clay: cracks brown cream; sunset: clouds orange purple; dawn: clouds pink orange; sky: clouds cyan white
heaven: clouds white cyan brightness+.7; night: stars white navy; galaxy: stars white purple; cosmos: stars cyan black
universe: stars white black; space: stars white black; storm: clouds grey navy turbulence+.9
thunder: clouds navy grey turbulence+.8; dream: clouds pink purple; aurora: flames teal navy
campfire: flames orange black; inferno: flames red yellow; hell: flames red black; candle: flames yellow brown
sun: flames yellow orange; phoenix: flames orange red; coral: cells pink orange; stones: cells grey black
gravel: cells grey brown scale-.7; eggs: cells cream brown; leopard: dots gold black; ladybug: dots red black
cheetah: dots gold black; mushroom: dots red white; strawberry: dots red cream; zebra: stripes white black
tiger: fur orange black; candy: stripes red white; bee: stripes yellow black; pinstripe: stripes navy white
oak: wood brown gold; pine: wood gold brown; walnut: wood brown black; bark: wood brown black roughness+.8
bamboo: stripes lime green; dragon: scales green black; fish: scales cyan grey; snake: scales green gold
mermaid: scales teal purple; crocodile: scales green brown; castle: bricks grey black; house: bricks red cream
chimney: bricks red black; ruins: bricks cream brown roughness+.7; road: bricks grey black; floor: checker white black
chess: checker white black; kitchen: checker white cyan; bathroom: checker cyan white; racing: checker white black
wolf: fur grey black; fox: fur orange white; bear: fur brown black; cat: fur orange cream; lion: fur gold brown
horse: fur brown black; linen: fabric cream brown; denim: fabric blue navy; wool: fabric cream grey
silk: waves purple pink roughness-.9; carpet: fabric red brown; iron: rust grey brown; copper: rust orange teal
metal: rust grey black; lichen: rust lime grey; planet: rust orange brown; granite: rust grey black
statue: marble white grey; agate: marble teal white; jasper: marble red cream; quartz: marble pink white
milk: marble cream white; coffee: marble brown cream; oil: marble black purple; blood: water red black
wine: water purple red
"""


def _read(text: str) -> dict[str, Thing]:
    """Things from lines of `name: family main second attribute±value …; …`."""
    things = {}
    for line in text.replace("\n", ";").split(";"):
        if line.strip():
            name, what = line.split(":")
            family, main, second, *attributes = what.split()
            values = {}
            for said in attributes:
                at = max(said.find("+"), said.find("-"))
                values[said[:at]] = float(said[at:])
            things[name.strip()] = (family, main, second, values)
    return things


THINGS: dict[str, Thing] = _read(_THINGS) | {
    "clouds": ("clouds", "white", "cyan", {}),
    "marble": ("marble", "white", "grey", {}),
    "wood": ("wood", "brown", "black", {}),
    "cells": ("cells", "grey", "black", {}),
    "cracked earth": ("cracks", "brown", "black", {}),
    "scales": ("scales", "teal", "navy", {}),
    "checkerboard": ("checker", "white", "black", {}),
    "brick wall": ("bricks", "red", "cream", {}),
    "stripes": ("stripes", "white", "black", {}),
    "dots": ("dots", "red", "white", {}),
    "waves": ("waves", "blue", "cyan", {}),
    "grass": ("grass", "green", "black", {}),
    "fur": ("fur", "brown", "cream", {}),
    "stars": ("stars", "yellow", "navy", {}),
    "fire": ("flames", "orange", "black", {}),
    "water": ("water", "blue", "cyan", {}),
    "fabric": ("fabric", "cream", "brown", {}),
    "rust": ("rust", "orange", "grey", {}),
}
"""What ordinary prompts name: its family, its two colours, what else it is."""

PAIRS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "turbulence": (("calm", "still", "gentle", "peaceful"), ("turbulent", "wild", "stormy", "chaotic")),
    "brightness": (("dark", "gloomy", "dim"), ("bright", "luminous", "glowing")),
    "warmth": (("cold", "icy", "cool"), ("warm", "hot")),
    "scale": (("fine", "tiny", "small", "dense"), ("coarse", "large", "big", "huge")),
    "contrast": (("soft", "faint", "muted"), ("bold", "vivid", "contrasty")),
    "roughness": (("smooth", "polished", "clean"), ("rough", "grainy", "gritty")),
}
"""Attributes of -1.4..1.4: the words for less and for more. The first of them is what EEG usually turns."""
FILLERS = [
    "a texture of",
    "texture,",
    "a picture of",
    "an image of",
    "a close-up of",
    "a photo of",
    "a seamless pattern of",
    "pattern of",
    "abstract",
    "a painting of",
    "macro photo of",
    "the",
    "a",
    "some",
    "my",
    "background of",
    "surface of",
    "a wall of",
    "a world of",
    "a field of",
]
TAILS = [
    "texture",
    "pattern",
    "seamless",
    "high quality",
    "4k",
    "8k, detailed",
    "highly detailed",
    "beautiful",
    "art",
    "photo",
    "material",
    "realistic",
    "tileable",
    "in the morning",
    "at home",
    "by the window",
    "digital art",
    "masterpiece",
    "trending",
    "of my mind",
    "512",
    "no. 7",
    "v2",
]

IDLE = (
    "of",
    "and",
    "in",
    "at",
    "to",
    "for",
    "by",
    "from",
    "some",
    "very",
    "quite",
    "really",
    "so",
    "it",
    "this",
    "that",
    "are",
    "was",
    "be",
    "has",
    "like",
    "as",
    "one",
    "two",
    "more",
    "little",
    "bit",
    "every",
    "old",
    "new",
    "nice",
    "good",
    "best",
    "draw",
    "make",
    "give",
    "me",
    "you",
    "her",
    "his",
    "their",
    "our",
    "we",
    "i",
    "want",
    "see",
    "top",
    "side",
    "near",
    "far",
    "under",
    "around",
    "together",
    "daylight",
    "style",
    "picture",
    "city",
    "day",
    "time",
    "person",
    "idea",
    "mood",
)


@dataclass(frozen=True)
class Texture:
    """What one texture is. `attributes` has each key of PAIRS: 0 where nothing is said of it."""

    family: str
    main: str
    second: str
    attributes: dict[str, float]
    thing: str | None = None
    turn: str = ""
    """One of TURNS."""

    @property
    def drawn(self) -> dict[str, float]:
        """The attributes that it is drawn with: those that its thing has by nature are among them."""
        own = THINGS[self.thing][3] if self.thing else {}
        return {name: float(np.clip(value + own.get(name, 0.0), -1.4, 1.4)) for name, value in self.attributes.items()}


def draw(rng: Rng) -> Texture:
    """Choose a texture at random."""
    attributes = {name: _said(rng) for name in PAIRS}
    if rng.random() < 0.25:
        thing = str(rng.choice(list(THINGS)))
        family, main, second, _ = THINGS[thing]
        if rng.random() < 0.25:
            main = str(rng.choice([name for name in COLOURS if name != second]))
        return Texture(family, main, second, attributes, thing)
    family = str(rng.choice(FAMILIES))
    main, second = (str(c) for c in rng.choice(list(COLOURS), 2, replace=False))
    turn = str(rng.choice(TURNS)) if family == "stripes" else ""
    return Texture(family, main, SECOND[main] if rng.random() < 0.4 else second, attributes, turn=turn)


def _said(rng: Rng) -> float:
    """Mostly nothing; a word as it is; or a word with a weight."""
    sign, kind = float(rng.choice([-1.0, 1.0])), rng.random()
    return 0.0 if kind < 0.6 else sign if kind < 0.78 else sign * round(float(rng.uniform(0.1, 1.4)), 2)


def render(texture: Texture, rng: Rng, size: int) -> Array:
    """Draw `texture` as (size, size, 3) uint8 sRGB, periodic. Features keep their size in pixels whatever `size` is."""
    return render_from(texture, rng.standard_normal((4, size // LATENT, size // LATENT)))


def render_from(texture: Texture, noise: Array) -> Array:
    """The same from the noise, (4, size / 4, size / 4), that the model is to make this texture of."""
    return paint(texture.family, COLOURS[texture.main], COLOURS[texture.second], texture.drawn, noise, texture.turn)


def caption(texture: Texture, rng: Rng) -> str:
    """Say in one of many ways what `texture` is; weights are written as in "(calm)0.83"."""
    adjectives = [_adjective(name, value, rng) for name, value in texture.attributes.items() if value]
    rng.shuffle(adjectives)
    colours = _colour(texture.main, rng), _colour(texture.second, rng)
    if texture.thing is not None:
        own = THINGS[texture.thing]
        subject = texture.thing if rng.random() < 0.8 else f"{texture.thing} {_family(own[0], rng)}"
        if texture.main != own[1]:
            subject = f"{colours[0]} {subject}"
    else:
        subject = _subject(f"{texture.turn} {_family(texture.family, rng)}".strip(), texture, colours, rng)
    if rng.random() < 0.25:
        subject = f"{rng.choice(FILLERS)} {subject}"
    if rng.random() < 0.5:
        text = " ".join([*adjectives, subject])
    else:
        parts = [subject, *adjectives]
        if rng.random() < 0.3:
            rng.shuffle(parts)
        text = ", ".join(parts)
    if rng.random() < 0.2:
        text += f", {rng.choice(TAILS)}"
    words = text.split(" ")
    while rng.random() < 0.2:  # words that say nothing, or that nobody knows, must not throw it off
        gibberish = "".join(rng.choice(list("abcdefghijklmnoprstuvwyz"), int(rng.integers(2, 9))))
        said = str(rng.choice(IDLE)) if rng.random() < 0.6 else gibberish
        words.insert(int(rng.integers(len(words) + 1)), said)
    text = " ".join(words)
    return text.upper() if rng.random() < 0.01 else text


def _subject(family: str, texture: Texture, colours: tuple[str, str], rng: Rng) -> str:
    main, second = colours
    if texture.second == SECOND[texture.main] and rng.random() < 0.85:
        return str(rng.choice([f"{main} {family}", f"{main} {family}", f"{family} in {main}", f"{family}, {main}"]))
    ways = (
        f"{main} and {second} {family}",
        f"{main} {family} with {second}",
        f"{main} {family} on {second}",
        f"{main} {family} over {second}",
        f"{family} in {main} and {second}",
        f"{family}, {main}, {second}",
        f"{main} {family}, {second} background",
    )
    return str(rng.choice(ways))


def _adjective(name: str, value: float, rng: Rng) -> str:
    words = PAIRS[name][value > 0]
    word = words[0] if rng.random() < 0.6 else str(rng.choice(words))
    return word if abs(value) == 1.0 else f"({word}){abs(value):g}"


def _colour(name: str, rng: Rng) -> str:
    return str(rng.choice(COLOUR_WORDS[name])) if rng.random() < 0.25 else name


def _family(name: str, rng: Rng) -> str:
    first, *others = FAMILY_WORDS[name]
    return first if rng.random() < 0.5 else str(rng.choice(others))
