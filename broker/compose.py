"""From what a node asks for to what is really run: inheritance along links, then the EEG. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from protocol.errors import AlphaloomError
from protocol.model import Lora, Map, Modulation, Move, Node, Phrase, ResolvedRequest, Rule, Settings
from signals import patch

from . import loras

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


def resolve(
    map: Map, node_id: str, playing: Playing | None = None, settings: Settings | None = None
) -> tuple[ResolvedRequest, Modulation | None]:
    """The request to run for a node now, and the EEG's part in it (None where it moved nothing). `settings` go before the
    node's own.

    Raises AlphaloomError `unknown_node`, `no_prompt`, `no_source`, `no_mask`, `no_depth`, `bad_lora` or `too_many_loras`.
    """
    if node_id not in map.nodes:
        raise AlphaloomError("unknown_node", f"No node {node_id!r} is on the map.", node=node_id)
    node = map.nodes[node_id]
    settings = settings or node.settings
    values = {"guidance": settings.guidance, "seed": float(settings.seed), "variation": settings.variation}
    if node.task != "txt2img":
        values["strength"] = settings.strength
    if map.parents(node_id, "blend"):
        values["blend"] = settings.blend
    weights: dict[str, float] = {}
    modulation = None
    if playing is not None and settings.modulate:
        meant = _phrases_meant(playing.rules)
        said = [one.text for end in (node, *map.parents(node_id, "blend")) for one, _ in _speakers(map, end)] if meant else []
        weights = {target: 1.0 for target in meant if any(_stands(target, text) for text in said)}
        values, moves = patch.apply(playing.rules, playing.state, values | weights)
        weights = {target: values[target] for target in weights}
        modulation = _modulation(playing, moves)

    extra = "".join(f", ({word}){weight:.2f}" for word, weight in patch.words(values))
    speeches = _speeches(map, node, values.get("blend", 0.0), weights)
    source, mask = _pictures(map, node)
    resolved = ResolvedRequest(
        task=node.task,
        phrases=tuple(Phrase(one.text + extra, share) for one, share in speeches),
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
        scheduler=settings.scheduler,
        tiling=settings.tiling,
        variation=values["variation"],
        variation_seed=settings.variation_seed,
        loras=loras.mixed((share, one.loras) for one, share in speeches),
        control=settings.control,
        control_strength=settings.control_strength,
        depth=_depth(node, settings),
    )
    return _settled(resolved), modulation


def direct(asked: ResolvedRequest) -> ResolvedRequest:
    """A request that was asked for without a node, with the LoRAs that its words name beside those that it lists.

    Raises AlphaloomError `bad_lora` or `too_many_loras`.
    """
    split = [(phrase, *loras.split(phrase.text)) for phrase in asked.phrases]
    if any(tags for _, _, tags in split):
        # As the edge sees the shares: each of both together, and a single phrase is said in full.
        whole = sum(phrase.share for phrase in asked.phrases)
        shares = [phrase.share / whole if whole else float(at == 0) for at, phrase in enumerate(asked.phrases)]
        named = ((share, _weights(tags)) for share, (_, _, tags) in zip(shares, split, strict=True))
        phrases = tuple(Phrase(words, phrase.share) for phrase, words, _ in split)
        asked = replace(asked, phrases=phrases, loras=loras.mixed(named, first=asked.loras))
    return _settled(asked)


def _settled(request: ResolvedRequest) -> ResolvedRequest:
    """What plays no part is as it is by default: two requests of one picture are equal, and are run and remembered once."""
    if not request.variation:
        request = replace(request, variation_seed=ResolvedRequest.variation_seed)
    if not request.control:
        request = replace(request, control_strength=ResolvedRequest.control_strength)
    return request


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


@dataclass(frozen=True)
class Speech:
    """What a node speaks with."""

    text: str = ""
    loras: Mapping[str, float] = field(default_factory=dict)
    """Weights by id, the nearest first."""

    def __bool__(self) -> bool:
        return bool(self.text)


def _speeches(map: Map, node: Node, blend: float, weights: Mapping[str, float]) -> list[tuple[Speech, float]]:
    """What it is made from, each with its share."""
    own = speech(map, node, weights)
    left = MAX_WORDS - len(own.text) - len(", ") if own else MAX_WORDS
    ends = [speech(map, parent, weights, left) for parent in map.parents(node.id, "blend")]
    if not ends:
        if not own:
            raise AlphaloomError(
                "no_prompt", "The node has no prompt and inherits none: write one, or link it to a parent.", node=node.id
            )
        return [(own, 1.0)]
    if len(ends) == 1:
        ends.insert(0, own or Speech(ends[0].text, {**ends[0].loras, **own.loras}))
    else:
        ends = [_after(end, own) for end in ends]
    return [(ends[0], 1 - blend), (ends[1], blend)]


def _after(end: Speech, own: Speech) -> Speech:
    """Of two LoRAs of one id, a node's own counts."""
    return Speech(", ".join(filter(None, (end.text, own.text))), {**end.loras, **own.loras})


def speech(map: Map, node: Node, weights: Mapping[str, float] | None = None, most: int = MAX_WORDS) -> Speech:
    """A node's prompt with its ancestors' along `prompt` links, each said once, fading with distance; so do their LoRAs.

    A node without words of its own speaks with its nearest ancestors' at full weight. Whose words would weigh less than
    `LEAST` is not heard. The nearest speak first, and who would make it longer than `most` characters is left out with all
    who come after. `weights` has phrases, as `(moss)`, that are said with a weight wherever they stand without one.
    Raises AlphaloomError `bad_lora`.
    """
    said: list[str] = []
    found: dict[str, float] = {}
    for one, weight in _speakers(map, node):
        if one.text:
            text = _weigh(one.text, weights or {})
            text = text if weight == 1.0 else f"({text}){weight:.2f}"
            most -= len(text) + len(", ")
            if most < -len(", "):
                break
            said.append(text)
        for id, own in one.loras.items():
            found.setdefault(id, own * weight)
    return Speech(", ".join(said), found)


def _speakers(map: Map, node: Node) -> Iterator[tuple[Speech, float]]:
    """What all say whom a node speaks with, the nearest first, and what that weighs."""
    seen = {node.id}
    row, weight = [node], 1.0
    heard = False
    while row and weight >= LEAST:
        for one in row:
            text, tags = loras.split(one.prompt.strip())
            if text or tags:
                heard = heard or bool(text)
                yield Speech(text, _weights(tags)), weight
        parents = {p.id: p for one in row for p in map.parents(one.id, "prompt") if p.id not in seen}
        seen |= parents.keys()
        row = list(parents.values())
        if heard:
            weight *= FADE


def _weights(tags: Iterable[Lora]) -> dict[str, float]:
    return {lora.id: lora.weight for lora in tags}


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


def _depth(node: Node, settings: Settings) -> str | None:
    """Without a ControlNet a depth map guides nothing, and lies where it is."""
    if not settings.control:
        return None
    if node.depth is None:
        raise AlphaloomError("no_depth", f"ControlNet {settings.control!r} needs a depth map: give the node one.", node=node.id)
    return node.depth
