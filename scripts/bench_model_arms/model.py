"""The arm of the `model` benchmark: makes pictures with the embedded model, and says what is in them. [FOLDER]

A question has `part`, one of PARTS, and its keyword arguments.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import bench_turns
import numpy as np
import textures
import torch
from bench_model_arms import judge, measures, prompts, rates, sheet
from bench_model_arms.maker import Maker

from edge import tiling
from edge.autoencoder import Autoencoder
from edge.pipelines import Pipelines


def autoencoder(maker: Maker, each: int) -> dict[str, Any]:
    """Mean squared errors, of 1, of held-out textures of each family, each once there and back."""
    request, device = maker.request, maker.engine.device
    vae = Pipelines(maker.engine.model.source, device).vae
    tiling.apply([vae], request.tiling)
    both = Autoencoder(vae, device)
    found: dict[str, list[float]] = {family: [] for family in textures.FAMILIES}
    for number in range(each * len(textures.FAMILIES)):
        picture = _drawn(prompts.drawn(prompts.AUTOENCODER, number), prompts.AUTOENCODER, number, request.width)
        pixels = torch.from_numpy(picture / 127.5 - 1).float().permute(2, 0, 1)[None]
        with torch.inference_mode():
            back = both.decode(both.encode(pixels))[0].permute(1, 2, 0)
        found[prompts.family_of(number)].append(measures.mean_square(picture, (back * 255).round().cpu().numpy()))
    return {family: float(np.mean(errors)) for family, errors in found.items()}


def words(maker: Maker, each: int, lessons: int, rounds: int) -> dict[str, Any]:
    """What was asked for, and what the judge sees, of the model's pictures and of drawn ones; and how seamless they are."""
    count = each * len(textures.FAMILIES)
    sees = judge.trained(lessons, rounds, lambda text: print(text, file=sys.stderr, flush=True))
    asked = [prompts.asked(prompts.WORDS, number) for number in range(count)]
    orders = [
        maker.order(prompts.prompt(one, number // len(textures.FAMILIES)), 1000 + number) for number, one in enumerate(asked)
    ]
    made = maker.pictures(orders)
    known = [prompts.asked(prompts.HELD_OUT, number) for number in range(count)]
    drawn = [_drawn(one, prompts.HELD_OUT, number, maker.request.width) for number, one in enumerate(known)]
    return {
        "made": _judged(sees, asked, made),
        "drawn": _judged(sees, known, drawn),
        "seams": [seam for picture in made for seam in measures.seams(picture)],
        "drawn_seams": [seam for picture in drawn for seam in measures.seams(picture)],
    }


def _judged(sees: judge.Judge, asked: Sequence[textures.Texture], pictures: Sequence[np.ndarray]) -> list[dict[str, str]]:
    both = zip(asked, sees.look(pictures), strict=True)
    return [
        {"family": one.family, "main": one.main, "second": one.second, "seen": seen.family, "colour": seen.main}
        for one, seen in both
    ]


def _drawn(texture: textures.Texture, use: int, number: int, side: int) -> np.ndarray:
    return textures.render(texture, prompts.rng(use, number, 2), side)


def sweep(maker: Maker, attribute: str, weights: list[float], texts: int, seeds: int) -> dict[str, Any]:
    """What is measured over signed weights of its two words, a row for each prompt and seed; and of drawn textures."""
    signed = [-weight for weight in sorted(weights, reverse=True)] + [0.0] + sorted(weights)
    measure = measures.ATTRIBUTES[attribute]
    asked = [prompts.asked(prompts.SWEEPS, _spread(number, texts)) for number in range(texts)]
    orders = [
        maker.order(prompts.prompt(one, number) + said(attribute, weight), 1 + seed)
        for number, one in enumerate(asked)
        for seed in range(seeds)
        for weight in signed
    ]
    made = np.array([measure(picture) for picture in maker.pictures(orders)]).reshape(-1, len(signed))
    rows = [[measure(_swept(one, attribute, weight, number)) for weight in signed] for number, one in enumerate(asked)]
    single = made.reshape(texts, seeds, -1).mean(1)
    return {
        "made": measures.rank(signed, made.mean(0).tolist()),
        "single": [measures.rank(signed, row.tolist()) for row in single],
        "drawn": measures.rank(signed, np.mean(rows, 0).tolist()),
    }


def _spread(number: int, texts: int) -> int:
    """So many of all families, evenly, each in another turn."""
    families = len(textures.FAMILIES)
    return number * families // min(texts, families) % families + families * number


def said(attribute: str, weight: float) -> str:
    """As the broker adds a word that the EEG moves."""
    low, high = textures.PAIRS[attribute]
    return f", ({high[0] if weight > 0 else low[0]}){abs(weight):.2f}" if weight else ""


def _swept(texture: textures.Texture, attribute: str, value: float, number: int) -> np.ndarray:
    return _drawn(replace(texture, attributes=prompts.PLAIN | {attribute: value}), prompts.SWEEPS, number, judge.SIDE)


def rate(maker: Maker, case: str, batch: int, seconds: float) -> float:
    return rates.rate(maker, case, batch, seconds)


def changes(maker: Maker, sources: int) -> dict[str, list[float]]:
    """Of drawn sources changed to other families: how like them the results are; and of inpainting them."""
    side = maker.request.width
    half = len(textures.FAMILIES) // 2
    asked = [prompts.asked(prompts.SOURCES, 5 * number) for number in range(sources)]
    others = [
        replace(prompts.asked(prompts.SOURCES, 5 * number + half), attributes={**prompts.PLAIN, "scale": 1.0})
        for number in range(sources)
    ]
    drawn = [_drawn(one, prompts.SOURCES, number, side) for number, one in enumerate(others)]
    texts = [prompts.prompt(one, number) for number, one in enumerate(asked)]
    found: dict[str, list[float]] = {}
    for strength in (0.3, 0.9):
        orders = [
            maker.order(text, 1, task="img2img", strength=strength, source=source)
            for text, source in zip(texts, drawn, strict=True)
        ]
        both = zip(drawn, maker.pictures(orders), strict=True)
        found[f"{strength}"] = [measures.likeness(one, other) for one, other in both]
    rows, columns = np.mgrid[:side, :side] - side / 2
    inside = np.hypot(rows, columns) < 0.35 * side
    mask = np.where(inside, 255, 0).astype(np.uint8)
    orders = [
        maker.order(text, 1, task="inpaint", strength=1.0, source=source, mask=mask)
        for text, source in zip(texts, drawn, strict=True)
    ]
    apart = [np.abs(one.astype(int) - other) for one, other in zip(drawn, maker.pictures(orders), strict=True)]
    found["outside"] = [float(one[~inside].max()) for one in apart]
    found["inside"] = [float(one[inside].mean()) for one in apart]
    return found


def contact(maker: Maker, file: str) -> int:
    """A sheet of pictures of every family; its size in bytes."""
    return sheet.write(maker, file)


PARTS: dict[str, Callable[..., Any]] = {made.__name__: made for made in (autoencoder, words, sweep, rate, changes, contact)}


def main() -> None:
    maker = Maker(*sys.argv[1:])
    for question in bench_turns.questions():
        bench_turns.answer(PARTS[question.pop("part")](maker, **question))


if __name__ == "__main__":
    main()
