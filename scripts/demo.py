"""The whole loop in one command: EEG in, a mind map of pictures in Blender out.

python3 scripts/demo.py                     makes out/mindmap.png, out/mindmap.blend, out/session.json
python3 scripts/demo.py --eeg aroused       another state of the synthetic EEG
python3 scripts/demo.py --recording FILE    a recording instead of synthetic EEG
python3 scripts/demo.py --serve             leaves broker, edge and EEG running, for work from Blender
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import environments
import processes

ROOT = environments.ROOT
PORT = 4444
STAGES = 6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--eeg", choices=("relaxed", "aroused", "drifting"), default="drifting", help="the synthetic EEG's state"
    )
    parser.add_argument("--recording", type=Path, metavar="FILE", help="play a recording instead")
    parser.add_argument("--map", type=Path, default=ROOT / "scripts/demo_map.json", help="another map than the demo's")
    parser.add_argument("--blend", type=Path, help="add the map to a copy of this .blend; what is in it stays as it is")
    parser.add_argument("--out", type=Path, default=ROOT / "out")
    parser.add_argument("--model", default="texture-tiny", help="a folder in diffusers format, or a hub id")
    parser.add_argument("--serve", action="store_true", help="leave broker, edge and EEG running until Ctrl-C")
    parser.add_argument("--cpu-torch", action="store_true", help="take torch's CPU build from its official index (first run)")
    options = parser.parse_args()
    processes.end_on_signals()
    started = time.monotonic()
    try:
        run(options)
    except (environments.SetupError, processes.ChildError, OSError) as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 0 if options.serve else 130
    print(f"done in {time.monotonic() - started:.0f} s")
    return 0


def run(options: argparse.Namespace) -> None:
    stage(1, "environments")
    python = environments.main_python(cpu_torch=options.cpu_torch)
    blender = None if options.serve else environments.blender_python()
    environments.make_known()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="alphaloom-") as data, processes.Children(out / "logs") as children:
        stream = f"AlphaloomDemo-{os.getpid()}"
        if options.recording:
            stage(2, f"EEG: the recording {options.recording}")
            play = ["replay", options.recording.resolve(), "--loop"]
        else:
            stage(2, f"EEG: synthetic, {options.eeg}")
            play = ["synth", "--state", options.eeg]
        children.start("signals", [python, "-m", "signals", *play, "--name", stream])
        children.await_line("signals", repr(stream), 60)

        store = out / "data" if options.serve else Path(data)
        broker = start_broker(children, [python, "-m", "broker"], ["--data", store, "--eeg", stream])
        stage(4, f"edge: loading the model {options.model}")
        children.start("edge", [python, "-m", "edge", "--broker", broker, "--model", options.model])
        children.await_line("edge", "at work", 600)
        if options.serve:
            serve(children, broker)
        assert blender is not None
        stage(5, f"Blender: building {options.map.name}, making its pictures, rendering")
        build(children, blender, broker, out, options)
        stage(6, "results")
        session = processes.get(broker.replace("ws:", "http:") + "/v1/rooms/main/session")
        (out / "session.json").write_text(json.dumps(session, indent=1))
        for picture in session["pictures"]:
            print(f"      {picture['node']:>8}: {moved(picture)}")
        for name in ("mindmap.png", "mindmap.blend", "session.json"):
            print(f"      {out / name}")


def start_broker(children: processes.Children, command: list[str | Path], options: list[str | Path]) -> str:
    """Start a broker on port 4444, or a free one where that is busy; its address."""
    busy = _is_busy(PORT)
    children.start("broker", [*command, "0" if busy else str(PORT), *options])
    address = children.await_broker()
    stage(3, f"broker: {address}" + (f" (port {PORT} is busy)" if busy else ""))
    return address


def _is_busy(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def build(children: processes.Children, blender: Path, broker: str, out: Path, options: argparse.Namespace) -> None:
    """Run the headless extension, passing its progress through."""
    command = [blender, "-m", "addon.headless", options.map.resolve(), "--out", out, "--broker", broker, "--eeg", "30"]
    if options.blend:
        command += ["--blend", options.blend.resolve()]
    child = children.start("blender", command)
    log, shown = out / "logs" / "blender.log", 0
    for _ in processes.until(1800):
        ended = child.poll() is not None
        text = log.read_text(errors="replace").replace("\r", "\n")
        fresh = [line for line in text[shown:].splitlines() if line.startswith(("pictures", "rendering"))]
        shown = len(text)
        if fresh and sys.stdout.isatty():
            print(f"\r      {fresh[-1]:<60}", end="\n" if ended else "", flush=True)
        if ended:
            break
        children.check("signals", "broker", "edge")
    if child.poll() != 0:
        raise processes.ChildError(f"Blender: {children.last_line('blender')}")
    children.end("blender")


def moved(picture: dict) -> str:
    """What the EEG did to one picture, in a line."""
    if not picture["modulation"]:
        return "not moved"
    return ", ".join(
        f"{m['feature']} {m['value']:.2f} (z {m['z']:+.1f}) → {m['target']} {m['before']:g} → {m['after']:g}"
        for m in picture["modulation"]["moves"]
    )


def serve(children: processes.Children, broker: str) -> None:
    print(f"      running. In Blender: sidebar (N), tab Alphaloom, broker {broker}, Connect. Ctrl-C ends it.", flush=True)
    while True:
        children.check()
        time.sleep(1)


def stage(number: int, text: str) -> None:
    print(f"[{number}/{STAGES}] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
