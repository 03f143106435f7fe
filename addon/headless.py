"""The extension without a window: build a map, make its pictures, render it, save it.

    python -m addon.headless map.json --out DIR                 with the bpy module
    blender --command alphaloom map.json --out DIR              with Blender and the extension installed
    … --frames 1 24 --node ID                                   also a node's picture for each frame, in DIR/frames

`map.json` holds {"title", "nodes": [...], "links": [...]} with the fields of docs/protocol.md; a node's `source`,
`mask` and `depth` may name picture files beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy

from . import batching, pictures, stage
from . import register as register_addon
from . import scene as cards
from .core.shared import address, check, errors, graph, model, wire
from .session import session

CONNECT_S = 10.0
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, or 1 after one line on stderr that says what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m addon.headless", description="Make a map's pictures without a window.")
    parser.add_argument("map", type=Path, help="the map as JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder for mindmap.png and mindmap.blend")
    parser.add_argument("--broker", default=address.DEFAULT)
    parser.add_argument("--blend", type=Path, help="add the map to this .blend's scene; what is in it stays as it is")
    parser.add_argument("--eeg", type=float, default=0, metavar="SECONDS", help="wait so long for EEG, and fail without it")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for all pictures")
    parser.add_argument("--frames", type=int, nargs=2, metavar=("A", "B"), help="also --node over these frames, in OUT/frames")
    parser.add_argument("--node", help="the node of --frames")
    parser.add_argument("--size", type=int, nargs=2, default=(1600, 900), metavar=("W", "H"))
    options = parser.parse_args(arguments)
    if (options.frames is None) != (options.node is None):
        parser.error("--frames and --node belong together")
    try:
        _run(options)
    except errors.AlphaloomError as error:
        print(f"headless: {error.message}", file=sys.stderr)
        return 1
    finally:
        session.close()
    return 0


def _run(options: argparse.Namespace) -> None:
    broker = address.parse(options.broker)
    title, wanted = load(options.map)
    options.out.mkdir(parents=True, exist_ok=True)
    _open(options.blend)
    if not hasattr(bpy.types.Object, "alphaloom"):
        register_addon()

    session.open(options.broker)
    _wait(
        lambda: session.mirror.loaded, CONNECT_S, lambda: session.connection.problem or f"The broker at {broker.ws} is silent."
    )
    if options.eeg:
        _wait(
            lambda: session.mirror.frame is not None and bool(session.mirror.frame.features),
            options.eeg,
            lambda: f"No EEG within {options.eeg:g} s. The broker says: {session.mirror.eeg}",
        )
    session.put(*(_upload(broker, node, options.map.parent) for node in wanted.nodes.values()), *wanted.links.values())
    _wait(lambda: not session.mirror.pending, 10, _refusal)
    missing = (wanted.nodes.keys() | wanted.links.keys()) - (session.mirror.map.nodes.keys() | session.mirror.map.links.keys())
    if missing:
        raise errors.AlphaloomError("bad_map", f"The broker does not take {min(missing)!r}: {_refusal()}")

    _generate(list(wanted.nodes), options.timeout)
    if options.frames:
        _make_frames(options.node, *options.frames, options.out.resolve() / "frames", bool(options.eeg), options.timeout)
    print("rendering", file=sys.stderr, flush=True)
    stage.render(options.out / "mindmap.png", title, *options.size)
    bpy.ops.wm.save_as_mainfile(filepath=str(options.out.resolve() / "mindmap.blend"), compress=True)


def load(path: Path) -> tuple[str, model.Map]:
    """A map from JSON. Raises AlphaloomError `bad_map`."""
    try:
        data = json.loads(path.read_text())
        nodes = [wire.build(model.Node, node) for node in data["nodes"]]
        links = [wire.build(model.Link, link) for link in data["links"]]
        made = model.Map({n.id: n for n in nodes})
        for node in nodes:
            check.node(replace(node, source=None, mask=None, depth=None))
        known = graph.Graph()
        for link in links:
            check.link(link, made.nodes, known)
            known.put(link)
        made = replace(made, links={link.id: link for link in links})
        return str(data.get("title", "Alphaloom")), made
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise errors.AlphaloomError("bad_map", f"Cannot read the map {str(path)!r}: {problem!r}.") from None


def _open(blend: Path | None) -> None:
    if blend is None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        return
    try:
        bpy.ops.wm.open_mainfile(filepath=str(blend.resolve()))
    except RuntimeError as problem:
        raise errors.AlphaloomError("bad_blend", f"Cannot open {str(blend)!r}: {str(problem).strip()}.") from None


def _upload(broker: address.Address, node: model.Node, folder: Path) -> model.Node:
    """The node with its picture files replaced by the blobs that the broker made of them."""
    changes = {}
    for name in ("source", "mask", "depth"):
        file = getattr(node, name)
        if file and file.lower().endswith(_PICTURES):
            changes[name] = _post(f"{broker.http}/v1/blobs", folder / file)
    return replace(node, **changes)


def _post(url: str, path: Path) -> str:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(urllib.request.Request(url, path.read_bytes()), timeout=30) as answer:
            return str(json.load(answer)["blob"])
    except urllib.error.HTTPError as problem:
        raise errors.AlphaloomError("bad_picture", f"{path}: {json.load(problem)['message']}") from None
    except OSError as problem:
        raise errors.AlphaloomError("bad_picture", f"Cannot upload {path}: {problem}.") from None


def _generate(nodes: list[str], timeout: float) -> None:
    """Make all pictures; a bar on stderr counts diffusion steps."""
    mine = {session.generate(node) for node in nodes}
    ended: dict[str, model.Job] = {}
    shown = -1.0

    def finished() -> bool:
        nonlocal shown
        jobs = session.mirror.jobs
        ended.update({k: jobs[k] for k in mine & jobs.keys() if jobs[k].state in model.ENDED})
        under_way = sum(step / steps for step, steps in session.mirror.progress.values())
        share = (len(ended) + min(under_way, len(mine) - len(ended))) / len(mine)
        if share != shown:
            shown = share
            _bar("pictures", share)
        return len(ended) == len(mine)

    try:
        _wait(finished, timeout, lambda: f"Only {len(ended)} of {len(mine)} pictures came within {timeout:g} s. {_refusal()}")
    finally:
        print(file=sys.stderr)
    failed = [job.error or job.state for job in ended.values() if job.state != "done"]
    if failed:
        raise errors.AlphaloomError("no_picture", f"{len(failed)} of {len(mine)} pictures failed: {failed[0]}")
    # The picture itself travels right behind the news that it is done.
    _wait(lambda: all(pictures.shown_blob(job.node) == job.picture for job in ended.values()), 10, _refusal)


def _make_frames(node: str, first: int, last: int, folder: Path, eeg: bool, timeout: float) -> None:
    """A node over frames; with EEG each as the EEG is then, without it by the card's F-curves."""
    card = cards.find("card", node)
    if card is None:
        raise errors.AlphaloomError("unknown_node", f"No node {node!r} is on the map.", node=node)
    batching.begin(card, batching.Wanted(first, last, 1, str(folder), node, eeg, keyframed=True, overwrite=True))
    _wait(lambda: not batching.is_running(), timeout, lambda: f"Within {timeout:g} s: {batching.line()}. {_refusal()}")
    print(batching.line(), file=sys.stderr, flush=True)
    assert batching.current is not None
    if batching.current.failed or batching.current.problem:
        raise errors.AlphaloomError("no_picture", batching.line())


def _refusal() -> str:
    if not session.mirror.edges:
        return "No edge is at work: start one with python -m edge."
    return session.mirror.error or session.connection.problem or "The broker does not say why."


def _wait(done: Callable[[], bool], seconds: float, reason: Callable[[], str]) -> None:
    """Tick until `done`. Raises AlphaloomError `timeout` with the `reason` after `seconds`."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end or (session.connection.state == "offline" and session.connection.problem):
            raise errors.AlphaloomError("timeout", reason())
        session.tick()
        time.sleep(0.005)  # nothing to await here: the tick itself is what makes things happen


def _bar(what: str, share: float) -> None:
    print(f"\r{what} [{'#' * round(30 * share):<30}] {share:4.0%}", end="", file=sys.stderr, flush=True)


_command = None


def register() -> None:
    global _command
    _command = bpy.utils.register_cli_command("alphaloom", main)


def unregister() -> None:
    global _command
    if _command is not None:
        bpy.utils.unregister_cli_command(_command)
        _command = None


if __name__ == "__main__":
    sys.exit(main())
