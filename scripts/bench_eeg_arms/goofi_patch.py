"""An arm of the `eeg` benchmark: goofi-pipe without its window. NAME CHANNELS RATE SECONDS.

Its own nodes, each in its own process as it likes them: LSLClient at 30 Hz → Filter → Buffer of 2 s → PSD →
PowerBandEEG, and a last node in the manager's process that notes what arrives. Two things are taken away that cost
only start-up: the window, and loading all the other nodes with their hundred packages. Two things are added: the
samples' numbers and newest time stamp ride along as metadata, which goofi-pipe passes on by itself. The nodes after
the client have their rate limit off: with it, features came twice as late.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
from record import UPDATES_HZ, Recorder, numbers, runs_of

PATIENCE_S = 0.5
"""goofi-pipe looks for streams for this long, twice; its own 2 s find nothing more on one machine."""


def main(name: str, rate: float, seconds: float) -> None:
    if sys.platform.startswith("linux"):
        # However this process ends, its nodes do too (PR_SET_PDEATHSIG, SIGKILL); by themselves they would live on.
        os.register_at_fork(after_in_child=lambda: ctypes.CDLL(None).prctl(1, 9))
    sys.modules["goofi.gui.window"] = types.SimpleNamespace(Window=None)  # type: ignore[assignment]
    from goofi import manager
    from goofi.nodes.inputs import lslclient
    from goofi.nodes.signal import buffer

    manager.list_nodes = lambda verbose: []
    lslclient.LSL_RESOLVE_WAIT_S = PATIENCE_S
    _number_what_is_pulled(lslclient.LSLClient, rate)
    _count_what_is_buffered(buffer.Buffer)
    import pylsl

    recorder = Recorder(rate, seconds, pylsl.local_clock)
    last: dict = {}
    _add_last_node(recorder, last)
    with tempfile.TemporaryDirectory(prefix="alphaloom-") as folder:
        patch = Path(folder) / "bench.gfi"
        patch.write_text(json.dumps(_patch(name)))  # JSON is YAML
        manager.Manager.running = property(lambda self: self._running and not recorder.done)
        manager.Manager(str(patch), headless=True).terminate()
    recorder.finish(last["runs"], last["first_stamp"])


def _patch(name: str) -> dict:
    nodes = {
        "client": ("inputs", "LSLClient", {"lsl_stream": {"source_name": name, "stream_name": name}}),
        "filter": (
            "signal",
            "Filter",
            {
                "bandpass": {"apply": True, "order": 2, "f_low": 1.0, "f_high": 100.0},
                "notch": {"apply": True, "f_center": 50.0},
            },
        ),
        "buffer": ("signal", "Buffer", {"buffer": {"size": 2.0, "unit": "seconds"}}),
        "psd": ("signal", "PSD", {"psd": {"f_min": 1.0, "f_max": 50.0}, "welch": {"nperseg": 1.0}}),
        "bands": ("analysis", "PowerBandEEG", {}),
        "last": ("misc", "Last", {}),
    }
    described = {}
    for node, (category, kind, params) in nodes.items():
        common = {"max_frequency": float(UPDATES_HZ), "autotrigger": True} if node == "client" else {"max_frequency": 0.0}
        gui = {"pos": [0, 0]}
        described[node] = {"_type": kind, "category": category, "params": params | {"common": common}, "gui_kwargs": gui}
    links = [
        ("client", "out", "filter", "data"),
        ("filter", "filtered_data", "buffer", "val"),
        ("buffer", "out", "psd", "data"),
        ("psd", "psd", "bands", "data"),
        *(("bands", band, "last", band) for band in SHOWN),
    ]
    keys = ("node_out", "slot_out", "node_in", "slot_in")
    return {"nodes": described, "links": [dict(zip(keys, link, strict=True)) for link in links]}


SHOWN = ("delta", "theta", "alpha", "lowbeta", "highbeta", "gamma")


def _number_what_is_pulled(client: type, rate: float) -> None:
    """Put into the client's metadata which samples are in a chunk, and when its newest was taken."""
    process = client.process
    known: dict = {}

    def numbered(self, *inputs, **named):
        if self.client is not None and not hasattr(self.client, "pulled"):
            pull = self.client.pull_chunk

            def pull_and_remember():
                self.client.pulled = pull()
                return self.client.pulled

            self.client.pull_chunk = pull_and_remember
        made = process(self, *inputs, **named)
        if made is not None:
            samples, stamps = self.client.pulled
            stamps, written = np.asarray(stamps), np.asarray(samples)[:, 0]
            if not known:
                known.update(stamp=stamps[0], value=written[0])
            # Each chunk is numbered from the very first sample on.
            which = numbers(np.r_[known["stamp"], stamps], rate, np.r_[known["value"], written])[1:]
            made["out"][1].update(newest=stamps[-1], chunk=runs_of(which), first_stamp=known["stamp"])
        return made

    client.process = numbered


def _count_what_is_buffered(buffer: type) -> None:
    """Put into the buffer's metadata which samples have come so far."""
    process = buffer.process
    runs: list[list[int]] = []

    def counted(self, val, reset):
        for first, end in val.meta.get("chunk", []) if val is not None else []:
            if runs and first == runs[-1][1] + 1:
                runs[-1][1] = end
            elif not runs or first > runs[-1][1]:  # a chunk that goofi-pipe hands over twice is counted once
                runs.append([first, end])
        made = process(self, val, reset)
        if made is not None:
            made["out"][1]["runs"] = runs
        return made

    buffer.process = counted


def _add_last_node(recorder: Recorder, last: dict) -> None:
    from goofi.data import DataType
    from goofi.node import Node

    class Last(Node):
        NO_MULTIPROCESSING = True

        def config_input_slots():
            return dict.fromkeys(SHOWN, DataType.ARRAY)

        def process(self, alpha, **others):
            if alpha is not None and alpha.meta["newest"] != last.get("newest"):
                recorder.ready()
                last.update(alpha.meta)
                recorder.update(alpha.meta["newest"], float(alpha.data.mean()))

    Last.__module__ = "goofi.nodes.misc.last"
    sys.modules[Last.__module__] = types.SimpleNamespace(Last=Last)  # type: ignore[assignment]


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[3]), float(sys.argv[4]))
