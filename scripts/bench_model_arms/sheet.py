"""A sheet of the model's pictures: a row for each family, its name beside it, under each picture what was asked for."""

from __future__ import annotations

from pathlib import Path

import textures
from bench_model_arms import prompts
from bench_model_arms.maker import Maker
from PIL import Image, ImageDraw, ImageFont

TILE, GAP, LINE, MARGIN = 128, 8, 14, 84
"""Pixels: a picture's side, what is between them, a line of text, the families' names."""
PAPER, INK, PALE = (252, 252, 250), (20, 20, 24), (110, 110, 118)
QUALITY = 84
WISHES = (
    "{main} {family}",
    "{main} and {second} {family}",
    "{calm} {main} {family}",
    "{coarse} {family} in {main}",
    "{warm} {family}, {main} on {second}",
    "{bold} {main} {family}",
)
"""Words in small letters stand for either word of a pair."""
PAIRED = {"calm": "turbulence", "coarse": "scale", "warm": "warmth", "bold": "contrast"}


def wishes(family: str) -> list[str]:
    """Six prompts, of other colours and words each."""
    number = textures.FAMILIES.index(family)
    found = []
    for turn, form in enumerate(WISHES):
        asked = prompts.asked(prompts.SHEET, number + len(textures.FAMILIES) * turn)
        words = {name: textures.PAIRS[pair][(number + turn) % 2][0] for name, pair in PAIRED.items()}
        found.append(form.format(main=asked.main, second=asked.second, family=textures.FAMILY_WORDS[family][0], **words))
    return found


def write(maker: Maker, file: str) -> int:
    """As JPEG or PNG, by the file's name; its size in bytes."""
    asked = [wishes(family) for family in textures.FAMILIES]
    texts = [text for row in asked for text in row]
    made = maker.pictures([maker.order(text, 1 + number) for number, text in enumerate(texts)])
    big, small = (ImageFont.load_default(size) for size in (13, 10))
    width, height = MARGIN + len(WISHES) * (TILE + GAP) + GAP, TILE + LINE + GAP
    page = Image.new("RGB", (width, len(asked) * height + GAP), PAPER)
    pen = ImageDraw.Draw(page)
    for number, picture in enumerate(made):
        row, column = divmod(number, len(WISHES))
        left, top = MARGIN + column * (TILE + GAP), GAP + row * height
        page.paste(Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.LANCZOS), (left, top))
        pen.text((left, top + TILE + 1), _fitting(texts[number], small), PALE, small)
    for row, family in enumerate(textures.FAMILIES):
        pen.text((GAP, GAP + row * height + TILE / 2), family, INK, big, "lm")
    if file.lower().endswith(".png"):
        page.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(file, optimize=True)
    else:
        page.save(file, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return Path(file).stat().st_size


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of it as goes under a picture."""
    if font.getlength(text) <= TILE:
        return text
    while font.getlength(text + "…") > TILE:
        text = text[:-1]
    return text.rstrip(" ,") + "…"
