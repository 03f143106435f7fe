"""What a map may hold, a request ask for and a peer say of itself. Pure.

Each function raises AlphaloomError for the first thing that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .errors import AlphaloomError
from .graph import Graph
from .messages import Hello
from .model import LINK_KINDS, SCHEDULERS, TASKS, TILINGS, Link, Node, ResolvedRequest, Settings

SIDE = (64, 2048)
STEPS = (1, 150)
GUIDANCE = (0.0, 30.0)
SEED = (0, 2**31 - 1)  # what an integer property of Blender holds
MAX_PROMPT = 4000
MAX_MODEL = 200
MAX_NAME = 200
MAX_MODELS = 1000
MAX_SLOTS = 1000
MAX_LORAS = 8
LORA_WEIGHT = (-2.0, 2.0)
CONTROL_STRENGTH = (0.0, 2.0)
MAX_CHANGES = 500  # of one edit
MAX_NODES = 5000
MAX_LINKS = 10_000
PLACE = (-1e6, 1e6)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")  # neither PostgreSQL nor UTF-8 takes them
_NO_LINE = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")  # it goes into the log
_BLOB = re.compile(r"[0-9a-f]{64}")


def identifier(text: str) -> None:
    if not _ID.fullmatch(text):
        raise AlphaloomError("bad_id", f"{text[:80]!r} is no id: use up to 64 letters, digits, '-' and '_'.", id=text[:80])


def node(value: Node) -> None:
    identifier(value.id)
    _text("prompt", value.prompt)
    _making(value, value.settings)
    _within("blend", value.settings.blend, (0.0, 1.0))
    _within("x", value.x, PLACE)
    _within("y", value.y, PLACE)
    _blob("picture", value.picture)


def link(value: Link, nodes: Mapping[str, Node], graph: Graph) -> None:
    """Whether a link can be beside those of the graph; one that is in it already may be changed."""
    identifier(value.id)
    if value.kind not in LINK_KINDS:
        raise AlphaloomError("bad_value", f"No link is of kind {value.kind!r}. Use one of {', '.join(LINK_KINDS)}.")
    for end in (value.parent, value.child):
        if end not in nodes:
            raise AlphaloomError("unknown_node", f"The link needs node {end[:80]!r}, which is not on the map.", node=end[:80])
    if any(other.kind == value.kind and other.id != value.id for other in graph.between(value.parent, value.child)):
        raise AlphaloomError(
            "link_exists", f"These nodes have a {value.kind!r} link already.", parent=value.parent, child=value.child
        )
    if graph.reaches(value.child, value.parent, without=value.id):
        raise AlphaloomError("cycle", "This link would make a node its own ancestor.", parent=value.parent, child=value.child)
    most = {"image": 1, "blend": 2}.get(value.kind)
    if most is None:
        return
    beside = [other for other in graph.into(value.child) if other.kind == value.kind and other.id != value.id]
    if len(beside) >= most:
        raise AlphaloomError(
            "too_many_parents", f"A node takes {most} parent(s) by {value.kind!r} links; delete one first.", child=value.child
        )


def hello(value: Hello) -> None:
    """What a peer says of itself."""
    if len(value.models) > MAX_MODELS:
        raise AlphaloomError("bad_value", f"{len(value.models)} models are named; the most is {MAX_MODELS}.", field="models")
    said = ("name", "room", "operation", "model")
    listed = (("models", text) for pair in value.models.items() for text in pair)
    for name, text in (*((name, getattr(value, name)) for name in said), *listed):
        _text(name, text, MAX_NAME)
        if wrong := _NO_LINE.search(text):
            raise AlphaloomError("bad_value", f"{name} has the character {wrong.group()!r}; it is one line.", field=name)
    _within("slots", value.slots, (0, MAX_SLOTS))
    _within("max_side", value.max_side, (0, 2**31 - 1))


def request(value: ResolvedRequest) -> None:
    """A request that is asked for directly."""
    if len(value.phrases) not in (1, 2):
        raise AlphaloomError("bad_value", f"A request has one phrase or two, not {len(value.phrases)}.", field="phrases")
    for phrase in value.phrases:
        _text("phrases", phrase.text)
        _within("share", phrase.share, (0.0, 1.0))
    if value.task != "txt2img" and value.source is None:
        raise AlphaloomError("no_source", f"{value.task} needs a source picture: upload one and name its blob.", field="source")
    if value.task == "inpaint" and value.mask is None:
        raise AlphaloomError("no_mask", "inpaint needs a mask: white is painted anew, black stays.", field="mask")
    if value.depth is not None and not value.control:
        raise AlphaloomError("no_control", "A depth map needs a ControlNet: name one by its id.", field="control")
    if value.control and value.depth is None:
        raise AlphaloomError(
            "no_depth",
            f"ControlNet {value.control[:80]!r} needs a depth map: upload one and name its blob.",
            field="depth",
        )
    if len(value.loras) > MAX_LORAS:
        raise AlphaloomError("bad_value", f"{len(value.loras)} LoRAs are asked for; the most is {MAX_LORAS}.", field="loras")
    for lora in value.loras:
        _text("loras", lora.id, MAX_MODEL)
        _within("loras", lora.weight, LORA_WEIGHT)
    _making(value, value)


def _making(value: Node | ResolvedRequest, settings: Settings | ResolvedRequest) -> None:
    """What nodes and requests share."""
    if value.task not in TASKS:
        raise AlphaloomError("unknown_task", f"No task is called {value.task!r}. Use one of {', '.join(TASKS)}.")
    _text("negative", value.negative)
    for name in ("width", "height"):
        side = getattr(settings, name)
        _within(name, side, SIDE)
        if side % 8:
            raise AlphaloomError("bad_value", f"{name} is {side}; it must be a multiple of 8.", field=name, value=side)
    if settings.steps is not None:
        _within("steps", settings.steps, STEPS)
    _within("guidance", settings.guidance, GUIDANCE)
    _within("strength", settings.strength, (0.0, 1.0))
    _within("seed", settings.seed, SEED)
    _within("variation", settings.variation, (0.0, 1.0))
    _within("variation_seed", settings.variation_seed, SEED)
    _within("control_strength", settings.control_strength, CONTROL_STRENGTH)
    _one_of("scheduler", settings.scheduler, ("", *SCHEDULERS))
    _one_of("tiling", settings.tiling, TILINGS)
    _text("model", settings.model, MAX_MODEL)
    _text("control", settings.control, MAX_MODEL)
    for name in ("source", "mask", "depth"):
        _blob(name, getattr(value, name))


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise AlphaloomError(
            "bad_value",
            f"{name} is {value[:80]!r}; use one of {', '.join(filter(None, known))}, or nothing.",
            field=name,
            value=value[:80],
        )


def _text(name: str, text: str, most: int = MAX_PROMPT) -> None:
    if len(text) > most:
        raise AlphaloomError("bad_value", f"{name} has {len(text)} characters; the most is {most}.", field=name)
    if wrong := _NO_TEXT.search(text):
        raise AlphaloomError("bad_value", f"{name} has the character {wrong.group()!r}, which is none.", field=name)


def _blob(name: str, blob: str | None) -> None:
    if blob is not None and not _BLOB.fullmatch(blob):
        raise AlphaloomError("bad_value", f"{name} is {blob[:80]!r}, not a blob's SHA-256.", field=name)


def _within(name: str, value: float, bounds: tuple[float, float]) -> None:
    low, high = bounds
    if not low <= value <= high:  # nor is what is no number, and an integer may be too large for a float
        shown = str(value)[:40]
        raise AlphaloomError("bad_value", f"{name} is {shown}; it must be from {low:g} to {high:g}.", field=name, value=shown)
