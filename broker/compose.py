"""From what a node asks for to what is really run: inheritance along links, then the EEG. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from protocol.errors import AlphaloomError
from protocol.model import Map, Modulation, Move, Node, Phrase, ResolvedRequest, Rule
from signals import patch

FADE = 0.6
"""An ancestor's words weigh this to the power of their distance."""
LEAST = 0.01
"""Words that weigh less change nothing that could be seen."""
MAX_WORDS = 10_000
"""Characters of a phrase; what the EEG says comes on top."""


@dataclass(frozen=True)
class Playing:
    """The patch as it plays now."""

    rules: tuple[Rule, ...] = ()
    state: patch.State = ()
    time: float = 0.0
    """Of the newest frame that drives, in seconds since 1970."""
    streams: Mapping[int, str] = field(default_factory=dict)
    """Each performer's stream, or the recording that stands in for it."""
    sham: bool = False


def resolve(map: Map, node_id: str, playing: Playing | None = None) -> tuple[ResolvedRequest, Modulation | None]:
    """The request to run for a node now, and the EEG's part in it (None where it moved nothing).

    Raises AlphaloomError `unknown_node`, `no_prompt`, `no_source` or `no_mask`.
    """
    if node_id not in map.nodes:
        raise AlphaloomError("unknown_node", f"No node {node_id!r} is on the map.", node=node_id)
    node = map.nodes[node_id]
    settings = node.settings
    values = {"guidance": settings.guidance, "seed": float(settings.seed)}
    if node.task != "txt2img":
        values["strength"] = settings.strength
    if map.parents(node_id, "blend"):
        values["blend"] = settings.blend
    weights: dict[str, float] = {}
    modulation = None
    if playing is not None and settings.modulate:
        meant = _phrases_meant(playing.rules)
        said = [one.prompt for end in (node, *map.parents(node_id, "blend")) for one, _ in _speakers(map, end)] if meant else []
        weights = {target: 1.0 for target in meant if any(_stands(target, text) for text in said)}
        values, moves = patch.apply(playing.rules, playing.state, values | weights)
        weights = {target: values[target] for target in weights}
        modulation = _modulation(playing, moves)

    extra = "".join(f", ({word}){weight:.2f}" for word, weight in patch.words(values))
    phrases = tuple(Phrase(text + extra, share) for text, share in _phrases(map, node, values.get("blend", 0.0), weights))
    source, mask = _pictures(map, node)
    resolved = ResolvedRequest(
        task=node.task,
        phrases=phrases,
        negative=node.negative,
        width=settings.width,
        height=settings.height,
        steps=settings.steps,
        guidance=values["guidance"],
        strength=values.get("strength", 1.0),
        seed=int(values["seed"]),
        model=settings.model,
        source=source,
        mask=mask,
    )
    return resolved, modulation


def waits_for(map: Map, node_id: str) -> list[str]:
    """The nodes whose pictures this node's picture needs."""
    node = map.nodes.get(node_id)
    if node is None or node.task == "txt2img":
        return []
    return [parent.id for parent in map.parents(node_id, "image")]


def _modulation(playing: Playing, moves: Iterable[tuple[Rule, Move]]) -> Modulation | None:
    moves = tuple(moves)
    if not moves:
        return None
    streams = dict.fromkeys(playing.streams.get(rule.performer, "") for rule, _ in moves)
    return Modulation(playing.time, tuple(filter(None, streams)), tuple(move for _, move in moves), playing.sham)


def _phrases(map: Map, node: Node, blend: float, weights: Mapping[str, float]) -> list[tuple[str, float]]:
    own = words(map, node, weights)
    left = MAX_WORDS - len(own) - len(", ") if own else MAX_WORDS
    ends = [words(map, parent, weights, left) for parent in map.parents(node.id, "blend")]
    if not ends:
        if not own:
            raise AlphaloomError(
                "no_prompt", "The node has no prompt and inherits none: write one, or link it to a parent.", node=node.id
            )
        return [(own, 1.0)]
    if len(ends) == 1:
        ends.insert(0, own or ends[0])
    elif own:
        ends = [f"{end}, {own}" if end else own for end in ends]
    return [(ends[0], 1 - blend), (ends[1], blend)]


def words(map: Map, node: Node, weights: Mapping[str, float] | None = None, most: int = MAX_WORDS) -> str:
    """A node's prompt with its ancestors' along `prompt` links, each said once, fading with distance.

    A node without words of its own speaks with its nearest ancestors' at full weight. Whose words would weigh less than
    `LEAST` is not heard. The nearest speak first, and who would make it longer than `most` characters is left out with all
    who come after. `weights` has phrases, as `(moss)`, that are said with a weight wherever they stand without one.
    """
    said: list[str] = []
    for one, weight in _speakers(map, node):
        text = _weigh(one.prompt.strip(), weights or {})
        text = text if weight == 1.0 else f"({text}){weight:.2f}"
        most -= len(text) + len(", ")
        if most < -len(", "):
            break
        said.append(text)
    return ", ".join(said)


def _speakers(map: Map, node: Node) -> Iterator[tuple[Node, float]]:
    """All who have words that a node speaks with, the nearest first, and what those weigh."""
    seen = {node.id}
    row, weight = [node], 1.0
    heard = False
    while row and weight >= LEAST:
        for one in row:
            if one.prompt.strip():
                heard = True
                yield one, weight
        parents = {p.id: p for one in row for p in map.parents(one.id, "prompt") if p.id not in seen}
        seen |= parents.keys()
        row = list(parents.values())
        if heard:
            weight *= FADE


def _phrases_meant(rules: Iterable[Rule]) -> list[str]:
    return [rule.target for rule in rules if patch.kind(rule.target) == "phrase"]


def _stands(target: str, text: str) -> bool:
    return any(_pattern(target).search(part) for part in _unweighted(text)[::2])


def _weigh(text: str, weights: Mapping[str, float]) -> str:
    """`text` with its phrases weighted: wet moss -> wet (moss)1.35. A weight of 1 is not written."""
    # The longest first: `(wet moss)` before `(moss)`, which then finds it weighted already.
    for target, weight in sorted(weights.items(), key=lambda item: -len(item[0])):
        if round(weight, 2) != 1.0:
            parts = _unweighted(text)
            parts[::2] = [_pattern(target).sub(rf"(\g<0>){weight:.2f}", part) for part in parts[::2]]
            text = "".join(parts)
    return text


def _pattern(target: str) -> re.Pattern[str]:
    """A phrase as whole words; `moss++` and `moss-green` are other words."""
    return re.compile(rf"(?<![\w-]){re.escape(target[1:-1].strip())}(?![\w+-])", re.IGNORECASE)


def _unweighted(text: str) -> list[str]:
    """`text` cut into what stands outside of brackets (at even places) and within them."""
    parts, depth = [""], 0
    for character in text:
        if character == "(":
            parts += [""] * (depth == 0)
            depth += 1
        parts[-1] += character
        if character == ")" and depth:
            depth -= 1
            parts += [""] * (depth == 0)
    return parts


def _pictures(map: Map, node: Node) -> tuple[str | None, str | None]:
    if node.task == "txt2img":
        return None, None
    parents = map.parents(node.id, "image")
    source = parents[0].picture if parents else node.source
    if source is None:
        raise AlphaloomError(
            "no_source",
            f"{node.task} needs a source picture: "
            + ("generate the parent's picture first." if parents else "link a parent by 'image', or upload one."),
            node=node.id,
        )
    if node.task == "inpaint" and node.mask is None:
        raise AlphaloomError("no_mask", "inpaint needs a mask: white is painted anew, black stays.", node=node.id)
    return source, node.mask if node.task == "inpaint" else None
