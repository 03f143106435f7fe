"""`<lora:id:weight>` in a prompt: what is said with words, and which LoRAs it asks for. Pure.

The same way of writing as in AUTOMATIC1111's web UI. A tag that cannot be read is refused: left among the words, it would
bend the picture without anybody knowing why. Tags of other kinds, as `<hypernet:...>`, stay words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from protocol import check
from protocol.errors import AlphaloomError
from protocol.model import Lora

LEAST = 1e-3
"""A LoRA of less weight changes nothing that could be seen."""
_TAG = re.compile(r"<lora:([^<>]*)>", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)")


@lru_cache(1024)
def split(prompt: str) -> tuple[str, tuple[Lora, ...]]:
    """The words without the tags, and what those ask for, each LoRA once: the last tag of an id counts.

    Raises AlphaloomError `bad_lora`.
    """
    if "<" not in prompt:
        return prompt, ()
    found: dict[str, Lora] = {}
    for tag in _TAG.finditer(prompt):
        lora = _read(tag)
        found[lora.id] = lora
    if not found:
        return prompt, ()
    return _without_tags(prompt), tuple(found.values())


def mixed(asked: Iterable[tuple[float, Mapping[str, float]]], first: Iterable[Lora] = ()) -> tuple[Lora, ...]:
    """The LoRAs of several phrases, each with its share of the picture: their weights mix as the phrases do.

    `first` has those that were asked for otherwise; they go before tags of the same id. Raises AlphaloomError
    `too_many_loras`.
    """
    weights: dict[str, float] = {}
    for share, loras in asked:
        for id, weight in loras.items():
            weights[id] = weights.get(id, 0.0) + share * weight
    known = {lora.id: lora.weight for lora in first}
    weights = known | {id: round(weight, 4) for id, weight in weights.items() if abs(weight) >= LEAST and id not in known}
    if len(weights) > check.MAX_LORAS:
        raise AlphaloomError(
            "too_many_loras",
            f"{len(weights)} LoRAs are asked for, with those that are inherited: {', '.join(weights)[:400]}. "
            f"The most is {check.MAX_LORAS}: take some out.",
        )
    return tuple(Lora(id, weight) for id, weight in weights.items())


def _read(tag: re.Match[str]) -> Lora:
    id, _, rest = tag[1].partition(":")
    id = id.strip()
    # Theirs may have a second weight, for the UNet alone; here one is for both.
    weight = rest.partition(":")[0].strip() or "1"
    low, high = check.LORA_WEIGHT
    if not id or len(id) > check.MAX_MODEL or not _NUMBER.fullmatch(weight) or not low <= float(weight) <= high:
        raise AlphaloomError(
            "bad_lora",
            f"{tag[0][:120]!r} cannot be read: write <lora:ID:WEIGHT>, with a weight from {low:g} to {high:g}, or <lora:ID>.",
            tag=tag[0][:120],
        )
    return Lora(id, float(weight))


def _without_tags(prompt: str) -> str:
    """Where a tag stood there is one space or one comma, as there would be without it."""
    words = re.sub(r"[ \t]+", " ", _TAG.sub(" ", prompt))
    words = re.sub(r"(?: ?, ?){2,}", ", ", words)
    words = re.sub(r"\( ?,? ?", "(", words)
    return re.sub(r" ?,? ?\)| (?=,)", lambda found: found[0].strip(" ,"), words).strip(" ,\t\n")
