"""The `addon` benchmark: what the extension costs Blender's main thread.

In Blender's Python without a window: nothing is drawn, so what is measured is what the extension itself does. Its peer is a
program that says that it is no broker; the WebSocket between them is a real one.
"""

from __future__ import annotations

import tempfile
import threading
from statistics import median

import environments
from bench_result import percentile, result
from bench_turns import Arm

ARMS = environments.ROOT / "scripts/bench_addon_arms"
NODES = 1000
PICTURES_HZ, FRAMES_HZ = 10, 20
FORMATS = ("PNG", "JPEG")
CARDS = 20
"""That get pictures, in turn."""


def addon(quick: bool = False) -> list[dict]:
    main, blender = environments.main_python(), environments.blender_python()
    with (
        Arm("fake broker", [main, ARMS / "fake_broker.py", str(NODES)]) as broker,
        Arm("Blender", [blender, ARMS / "blender.py"]) as arm,
    ):
        return [
            *ticks(broker, arm, 3.0 if quick else 20.0),
            *edits(arm, 3 if quick else 15, NODES),
            *naive(broker, arm, 2 if quick else 5),
        ]


def ticks(broker: Arm, blender: Arm, seconds: float) -> list[dict]:
    found = []
    blender.ask({"part": "connect", "broker": broker.hear()})
    for form in FORMATS:
        load = {"seconds": seconds, "pictures": PICTURES_HZ, "frames": FRAMES_HZ, "format": form, "cards": CARDS}
        broker.ask(load | {"seconds": 0})  # it makes the pictures now
        sending = threading.Thread(target=broker.ask, args=(load,))
        sending.start()
        seen = blender.ask({"part": "ticks", "seconds": seconds + 1})
        sending.join()
        spent = [each * 1e3 for each in seen["ticks"]]
        name = f"tick, {form} at {PICTURES_HZ}/s, EEG at {FRAMES_HZ}/s"
        found += [
            result(f"{name}: median", percentile(spent, 50), "ms", 2, "<="),
            result(f"{name}: p99", percentile(spent, 99), "ms", 8, "<="),
            result("  longest", max(spent), "ms"),
            result("  pictures that were shown, a second", seen["shown"] / seconds, "/s", 0.9 * PICTURES_HZ, ">="),
        ]
    return found


def edits(blender: Arm, rounds: int, nodes: int) -> list[dict]:
    """The first of each warms up."""
    built = blender.ask({"part": "build", "nodes": nodes, "rounds": rounds + 1})[1:]
    heard = blender.ask({"part": "changes", "nodes": nodes, "rounds": 4 * rounds + 1})
    of_each = {name: [each * 1e3 for each in spent[1:]] for name, spent in heard.items()}
    map = f"a map of {nodes} nodes"
    return [
        result(f"{map} and its links built, median", median(built) * 1e3, "ms", 250, "<="),
        result("  longest", max(built) * 1e3, "ms"),
        *(
            result(f"{map}: {name} heard, median", median(of_each[name]), "ms", 3, "<=")
            for name in ("update", "new", "deletion")
        ),
        result(f"{map}: look at the cards, median", median(of_each["look"]), "ms", 2, "<="),
    ]


def naive(broker: Arm, blender: Arm, rounds: int) -> list[dict]:
    found = []
    for form in FORMATS:
        with tempfile.TemporaryDirectory(prefix="alphaloom-") as folder:
            files = broker.ask({"folder": folder, "format": form, "cards": 4})
            spent = blender.ask({"part": "naive", "files": files, "rounds": rounds + 1})
        ours, pixels, load = (spent[name][len(files) :] for name in ("ours", "pixels", "load"))
        found += [
            result(f"a {form} of 512² onto its card, decoded: median", median(ours) * 1e3, "ms"),
            result("  image.pixels[:] = of what is decoded already, by ours", _ratio(pixels, ours), ""),
            result("  a file and bpy.data.images.load, by ours", _ratio(load, ours), ""),
        ]
    return found


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return median(a / b for a, b in zip(theirs, ours, strict=True))
