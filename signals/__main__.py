"""python -m signals synth | replay FILE | record --out FOLDER | baseline --out FILE | view"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from protocol.errors import AlphaloomError

from . import synth, units
from .stream import StreamFormat

if TYPE_CHECKING:
    from .engine import Options

LISTENER_S = 1.0
_SCHEDULE = "one state after another, relaxed:20,jaw:2,relaxed:20"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m signals", description="EEG over the Lab Streaming Layer (LSL).")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_synth(commands)
    _add_replay(commands)
    _add_record(commands)
    _add_baseline(commands)
    _add_view(commands)
    options = parser.parse_args(arguments)
    _end_on_signals()
    try:
        options.run(options)
    except AlphaloomError as error:
        print(f"signals: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # `| head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor would the last flush find anybody
    return 0


def _add_synth(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    make = commands.add_parser("synth", help="an LSL outlet of seeded synthetic EEG")
    states = make.add_mutually_exclusive_group()
    states.add_argument("--state", choices=synth.NAMES, default="drifting", help="for ever in this state")
    states.add_argument("--schedule", type=_said, metavar="STATE:SECONDS,...", help=_SCHEDULE)
    make.add_argument("--seed", type=_natural, default=0)
    make.add_argument("--name", type=_said, default="AlphaloomSynth", help="the stream's name")
    make.add_argument("--channels", default=",".join(synth.CHANNELS), help="electrodes of the 10-20 system, Fp1,Fz,O2")
    make.add_argument("--rate", type=_positive, default=synth.RATE, help="Hz")
    make.add_argument("--unit", default="microvolts", help="of the numbers and in the metadata: microvolts, volts ...")
    make.add_argument("--wait", action="store_true", help="begin when somebody listens")
    make.set_defaults(run=_synth)


def _synth(options: argparse.Namespace) -> None:
    from .outlet import Outlet

    state = options.schedule or options.state
    channels = tuple(name.strip() for name in options.channels.split(","))
    eeg = synth.SyntheticEEG(options.seed, state, channels, options.rate)
    scale = 1 / units.in_microvolts(units.stated(options.unit))
    stream = StreamFormat(options.name, eeg.rate, channels, f"synth:{state}:{options.seed}", options.unit)
    outlet = Outlet(stream)
    print(f"signals: {options.name!r}, {state}, {eeg.rate:g} Hz, {', '.join(channels)}", flush=True)
    size = max(1, round(eeg.rate / 16))
    _await_listener(outlet.wait_for_listener, options.wait)
    outlet.play((times, values * scale) for times, values in eeg.chunks(size))
    outlet.finish()


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    play = commands.add_parser("replay", help="a recording as an LSL outlet")
    play.add_argument("file", type=Path, help="what MNE-Python reads, XDF, or CSV as a Muse's is written")
    play.add_argument("--speed", type=_positive, default=1.0, help="times real time")
    play.add_argument("--loop", action="store_true", help="start again at the end")
    play.add_argument("--name", help="the stream's name (the file's without it)")
    play.add_argument("--stream", help="which EEG stream of an XDF file, by name (else the first of type EEG)")
    play.add_argument("--wait", action="store_true", help="begin when somebody listens")
    play.set_defaults(run=_replay)


def _replay(options: argparse.Namespace) -> None:
    from .outlet import MARKERS_SUFFIX, Outlet
    from .recordings import Recording

    recording = Recording(options.file, options.stream)
    stream = replace(recording.format, name=options.name or recording.format.name)
    outlet = Outlet(stream, markers=bool(recording.markers))
    if recording.warning:
        print(f"signals: {options.file}: {recording.warning}", file=sys.stderr, flush=True)
    rate = f"{stream.rate:g} Hz" if stream.rate else "no fixed rate"
    print(f"signals: {stream.name!r} from {options.file}, {rate}, {recording.duration:.1f} s, x{options.speed:g}", flush=True)
    if recording.markers:
        print(f"signals: {len(recording.markers)} markers as {stream.name + MARKERS_SUFFIX!r}", flush=True)
    _await_listener(outlet.wait_for_listener, options.wait)
    outlet.play(recording.chunks(options.loop), recording.marker_times(options.loop), options.speed)
    outlet.finish()


def _add_record(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    keep = commands.add_parser("record", help="raw EEG, features and markers of a stream, to files that MNE-Python opens")
    keep.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a folder without a recording")
    keep.add_argument("--markers", action="append", default=[], metavar="QUERY", help="a stream of markers; may be said again")
    _add_listening(keep)
    keep.set_defaults(run=_record)


def _record(options: argparse.Namespace) -> None:
    from .record import record

    def say(text: str) -> None:
        print(f"signals: {text}", flush=True)

    record(
        options.out, options.name, _engine_options(options), options.baseline, options.markers, options.seconds,
        options.timeout, say,
    )  # fmt: skip


def _add_baseline(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    rest = commands.add_parser("baseline", help="lead a person through eyes open and eyes closed, and keep what is theirs")
    rest.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the baseline goes, a JSON file")
    rest.add_argument("--phase", type=_positive, default=60.0, metavar="SECONDS", help="for each of the two (60)")
    _add_stream(rest)
    rest.set_defaults(run=_baseline)


def _baseline(options: argparse.Namespace) -> None:
    from .calibrate import guide
    from .listen import Listener
    from .lsl import Query

    if options.out.exists() or not options.out.parent.is_dir():  # known before two minutes are spent on it
        why = "it is there already" if options.out.exists() else f"there is no folder {str(options.out.parent)!r}"
        raise AlphaloomError("cannot_write", f"Cannot write {str(options.out)!r}: {why}. Give another --out.")
    listener = Listener(Query.parse(options.name), _engine_options(options))
    try:
        found = guide(listener, lambda text: print(text, flush=True), options.phase, options.timeout)
    finally:
        listener.close()
    for warning in found.warnings:
        print(f"signals: {warning}", file=sys.stderr)
    found.save(options.out)
    peak = f"alpha peak at {found.alpha_peak:.1f} Hz" if found.alpha_peak else "no alpha peak"
    print(f"signals: {len(found.features)} features, {peak}, in {options.out}; use it with --baseline {options.out}")


def _add_view(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    look = commands.add_parser("view", help="a stream's features and quality, live in the terminal")
    _add_listening(look)
    look.set_defaults(run=_view)


def _view(options: argparse.Namespace) -> None:
    from .view import view

    view(options.name, _engine_options(options), options.baseline, options.seconds, options.timeout)


def _add_stream(parser: argparse.ArgumentParser) -> None:
    """Which stream, and how it is processed."""
    parser.add_argument(
        "--name", type=_said, metavar="QUERY", help="NAME, type=TYPE or id=SOURCE_ID (else the first of type EEG)"
    )
    parser.add_argument("--timeout", type=_positive, default=10.0, help="seconds to look for it")
    parser.add_argument("--unit", default="", help="the stream's unit, where it does not say it or says it wrongly")
    parser.add_argument("--mains", type=float, choices=(50, 60), help="Hz (without it, both are taken out)")
    parser.add_argument("--reference", choices=("none", "average"), default="none")


def _add_listening(parser: argparse.ArgumentParser) -> None:
    """What commands that go on listening can be told."""
    _add_stream(parser)
    parser.add_argument("--seconds", type=_positive, default=float("inf"), help="end after this long")
    parser.add_argument("--baseline", type=Path, help="a person's calibration, for z")


def _engine_options(options: argparse.Namespace) -> Options:
    from .engine import Options

    return Options(mains_hz=options.mains or 0.0, reference=options.reference, unit=units.stated(options.unit))


def _await_listener(listens: Callable[[float], bool], wait: bool) -> None:
    while wait and not listens(LISTENER_S):
        pass


def _end_on_signals() -> None:
    """Let a request to terminate end the program as Ctrl-C does, so that files and terminals are left in order."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with contextlib.suppress(ValueError):  # not the main thread: whoever called us has them
        signal.signal(signal.SIGTERM, interrupt)
        signal.signal(signal.SIGINT, interrupt)  # a shell's background job starts with it ignored


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def _said(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0")
    return int(text)


def _leave(code: int) -> NoReturn:
    """End at once. liblsl's own farewell, when it is unloaded, takes more than ten seconds now and then."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
