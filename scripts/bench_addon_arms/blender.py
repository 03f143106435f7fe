"""Blender's side of the `addon` benchmark: the extension in an empty file; each question names a part below and its numbers."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bench_turns
import bpy
import numpy as np

import addon
from addon import pictures
from addon import scene as cards
from addon.core.mirror import Mirror
from addon.core.shared import edits, model
from addon.core.shared import messages as m
from addon.hands import Hands
from addon.session import INTERVAL_S, session


def connect(broker: str) -> int:
    """Until the whole map is there; its nodes."""
    _empty()
    session.open(broker)
    while not session.mirror.loaded or session.connection.inbox:
        session.tick()
        time.sleep(0.001)
    bpy.context.view_layer.update()
    return len(session.mirror.map.nodes)


def ticks(seconds: float) -> dict[str, Any]:
    """Tick as the timer does; the seconds of each, and how many pictures were shown."""
    spent, shown, end = [], 0, time.monotonic() + seconds
    before = pictures.shown_blobs()
    while time.monotonic() < end:
        spent.append(_timed(session.tick))
        now = pictures.shown_blobs()
        shown += sum(before.get(node) != blob for node, blob in now.items())
        before = now
        time.sleep(INTERVAL_S)
    return {"ticks": spent, "shown": shown}


def build(nodes: int, rounds: int) -> list[float]:
    """A map that arrives in an empty file."""
    spent = []
    for _ in range(rounds):
        _empty()
        arrives = m.Snapshot(_map(nodes), (), (), 1, "off")
        spent.append(_timed(lambda arrives=arrives: session._receive(arrives)))
    return spent


def changes(nodes: int, rounds: int) -> dict[str, list[float]]:
    """What somebody else does, heard and shown: a node's words and place, a new node with its link, one deleted with them."""
    _empty()
    session._receive(m.Snapshot(_map(nodes), (), (), 1, "off"))
    ids, revision = list(session.mirror.map.nodes), 1
    found: dict[str, list[float]] = {"update": [], "new": [], "deletion": [], "look": []}
    for number in range(rounds):
        known = session.mirror.map
        made, gone = model.Node(model.new_id(), "fresh", x=float(number), y=2.0), ids[-1 - number]
        hung = [edits.create(model.Link(model.new_id(), ids[0], made.id))]
        loose = [model.Change("delete", "link", link.id) for link in known.links.values() if gone in (link.parent, link.child)]
        for name, done in (
            ("update", [model.Change("update", "node", ids[number], {"prompt": f"new {number}", "x": float(number)})]),
            ("new", [edits.create(made), *hung]),
            ("deletion", [model.Change("delete", "node", gone), *loose]),
        ):
            revision += 1
            heard = m.Edited(model.Operation(revision, f"o{revision}", tuple(done)))
            found[name].append(_timed(lambda heard=heard: session._receive(heard)))
        found["look"].append(_timed(lambda: session.hands.look(session.mirror.map)))
    return found


def naive(files: list[str], rounds: int) -> dict[str, list[float]]:
    """A picture's bytes into one that is shown, ours beside what comes to mind first; in turn, and all until it is decoded."""
    _empty()
    cards.put_card(bpy.context.scene, model.Node("n"))
    found: dict[str, list[float]] = {"ours": [], "pixels": [], "load": []}
    with tempfile.TemporaryDirectory(prefix="alphaloom-") as folder:
        for number in range(rounds):
            for file in files:
                data = Path(file).read_bytes()
                found["ours"].append(_timed(lambda data=data, blob=f"{file}{number}": _ours(blob, data)))
                found["load"].append(_timed(lambda data=data: _load(Path(folder) / "picture", data)))
                decoded = bpy.data.images.load(file)
                floats = np.empty(len(decoded.pixels), np.float32)
                decoded.pixels.foreach_get(floats)
                plain = bpy.data.images.new("naive", *decoded.size)
                found["pixels"].append(_timed(lambda plain=plain, floats=floats: _pixels(plain, floats)))
                for image in (decoded, plain):
                    bpy.data.images.remove(image)
    return found


def _ours(blob: str, data: bytes) -> None:
    pictures.show_picture("n", blob, data)
    _decode(next(image for image in bpy.data.images if image.get("alphaloom") == "n"))


def _load(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    image = bpy.data.images.load(str(file))
    _decode(image)
    bpy.data.images.remove(image)


def _pixels(image: bpy.types.Image, floats: np.ndarray) -> None:
    image.pixels[:] = floats
    image.update()


def _decode(image: bpy.types.Image) -> None:
    assert tuple(image.size) > (0, 0)


def _map(count: int) -> model.Map:
    ids = [model.new_id() for _ in range(count)]
    nodes = {k: model.Node(k, f"prompt {n} of many", x=n % 40 * 1.35, y=-(n // 40) * 1.4) for n, k in enumerate(ids)}
    links = [model.Link(model.new_id(), ids[n // 2], ids[n]) for n in range(1, count)]
    return model.Map(nodes, {link.id: link for link in links}, 1)


def _empty() -> None:
    """As after a start: no file, nobody to talk to."""
    session.close()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    session.mirror, session.hands = Mirror(), Hands(session._send)


def _timed(does: Callable[[], Any]) -> float:
    start = time.perf_counter()
    does()
    return time.perf_counter() - start


def questions() -> Iterator[tuple[str, dict[str, Any]]]:
    for question in bench_turns.questions():
        yield question.pop("part"), question


if __name__ == "__main__":
    addon.register()
    for part, numbers in questions():
        bench_turns.answer(getattr(sys.modules[__name__], part)(**numbers))
