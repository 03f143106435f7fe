"""python -m signals synth | replay FILE | view"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from protocol.errors import AlphaloomError

from . import synth


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m signals", description="EEG over the Lab Streaming Layer (LSL).")
    commands = parser.add_subparsers(dest="command", required=True)

    make = commands.add_parser("synth", help="an LSL outlet of seeded synthetic EEG")
    make.add_argument("--state", choices=synth.STATES, default="drifting")
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--name", default="AlphaloomSynth", help="the stream's name")

    play = commands.add_parser("replay", help="a recording as an LSL outlet")
    play.add_argument("file", type=Path)
    play.add_argument("--speed", type=_positive, default=1.0, help="times real time")
    play.add_argument("--loop", action="store_true", help="start again at the end")
    play.add_argument("--name", help="the stream's name (the file's without it)")

    view = commands.add_parser("view", help="band powers of a stream, in the terminal")
    view.add_argument("--name", help="the stream's name (else the first of type EEG)")
    view.add_argument("--timeout", type=_positive, default=10.0, help="seconds to look for it")

    options = parser.parse_args(arguments)
    try:
        {"synth": _synth, "replay": _replay, "view": _view}[options.command](options)
    except AlphaloomError as error:
        print(f"signals: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _synth(options: argparse.Namespace) -> None:
    from .lsl import Outlet, StreamFormat

    stream = StreamFormat(options.name, synth.RATE, synth.CHANNELS, f"synth:{options.state}:{options.seed}")
    outlet = Outlet(stream)
    print(f"signals: {options.name!r}, {options.state}, {synth.RATE:g} Hz, {', '.join(synth.CHANNELS)}", flush=True)
    outlet.play(synth.SyntheticEEG(options.seed, options.state).chunks(), synth.RATE)


def _replay(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from .lsl import Outlet
    from .replay import Recording

    recording = Recording(options.file)
    stream = replace(recording.format, name=options.name or recording.format.name)
    outlet = Outlet(stream)
    print(f"signals: {stream.name!r} from {options.file}, {stream.rate:g} Hz, x{options.speed:g}", flush=True)
    outlet.play(recording.chunks(options.loop), recording.rate, options.speed)


def _view(options: argparse.Namespace) -> None:
    from .listen import frames
    from .lsl import Inlet

    inlet = Inlet(options.name, options.timeout)
    print(f"signals: {inlet.format.name!r}, {inlet.format.rate:g} Hz, {', '.join(inlet.format.channels)}")
    for frame in frames(inlet):
        if frame:
            bars = "  ".join(f"{name} {'█' * round(12 * v):<12} {v:4.2f}" for name, v in frame.features.items())
            print(f"\r{bars}", end="", flush=True)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


if __name__ == "__main__":
    sys.exit(main())
