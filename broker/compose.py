"""From what a node asks for to what is really run: inheritance along links, then the EEG. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.errors import AlphaloomError
from protocol.model import Frame, Map, Modulation, Node, Phrase, ResolvedRequest, Rule
from signals import patch

FADE = 0.6
"""An ancestor's words weigh this to the power of their distance."""


def resolve(
    map: Map, node_id: str, rules: Iterable[Rule] = (), frame: Frame | None = None
) -> tuple[ResolvedRequest, Modulation | None]:
    """The request to run for a node now, and the EEG's part in it.

    Raises AlphaloomError `unknown_node`, `no_prompt`, `no_source` or `no_mask`.
    """
    if node_id not in map.nodes:
        raise AlphaloomError("unknown_node", f"No node {node_id!r} is on the map.", node=node_id)
    node = map.nodes[node_id]
    settings = node.settings
    values = {"guidance": settings.guidance}
    if node.task != "txt2img":
        values["strength"] = settings.strength
    if map.parents(node_id, "blend"):
        values["blend"] = settings.blend
    modulation = None
    if frame is not None and settings.modulate:
        values, moves = patch.apply(rules, frame.features, values)
        modulation = Modulation(frame, moves) if moves else None

    extra = "".join(f", ({word}){weight:.2f}" for word, weight in patch.words(values))
    phrases = tuple(Phrase(text + extra, share) for text, share in _phrases(map, node, values.get("blend", 0.0)))
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
        seed=settings.seed,
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


def _phrases(map: Map, node: Node, blend: float) -> list[tuple[str, float]]:
    ends = [words(map, parent) for parent in map.parents(node.id, "blend")]
    own = words(map, node)
    if not ends:
        if not own:
            raise AlphaloomError(
                "no_prompt", "The node has no prompt and inherits none: write one, or link it to a parent.", node=node.id
            )
        return [(own, 1.0)]
    if len(ends) == 1:
        ends.insert(0, own or ends[0])
    elif own:
        ends = [f"{end}, {own}" for end in ends]
    return [(ends[0], 1 - blend), (ends[1], blend)]


def words(map: Map, node: Node) -> str:
    """A node's prompt with its ancestors' along `prompt` links, each said once, fading with distance.

    A node without words of its own speaks with its nearest ancestors' at full weight.
    """
    said: list[tuple[str, int]] = []
    seen = {node.id}
    row, distance = [node], 0
    while row:
        said += [(one.prompt.strip(), distance) for one in row if one.prompt.strip()]
        parents = {p.id: p for one in row for p in map.parents(one.id, "prompt") if p.id not in seen}
        seen |= parents.keys()
        row, distance = list(parents.values()), distance + 1
    if not said:
        return ""
    first = said[0][1]
    return ", ".join(t if d == first else f"({t}){FADE ** (d - first):.2f}" for t, d in said)


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
