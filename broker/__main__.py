"""python -m broker [PORT]"""

from __future__ import annotations

import argparse
import logging
import socket
import sys
from pathlib import Path

import uvicorn

from protocol import DEFAULT_PORT, MAX_BINARY_BYTES
from protocol.errors import AlphaloomError
from signals import patch_files, units

from .app import Options, create_app
from .eeg import EegOptions

HOST = "127.0.0.1"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m broker", description="Alphaloom's broker, on this machine only.")
    parser.add_argument("port", nargs="?", type=int, default=DEFAULT_PORT, help=f"default {DEFAULT_PORT}; 0 takes a free one")
    parser.add_argument("--data", type=Path, default=Path.home() / ".alphaloom", help="where map, jobs and pictures are kept")
    presets = ", ".join(patch_files.presets())
    patch = f"how EEG moves pictures: {presets}, or a TOML file, which is read again when it is saved (else as it was last)"
    parser.add_argument("--patch", metavar="PRESET_OR_FILE", help=patch)
    stream = "a performer's LSL stream: NAME, type=EEG or id=SOURCE_ID; once for each performer (else the first of type EEG)"
    parser.add_argument("--eeg", metavar="QUERY", action="append", default=[], help=stream)
    parser.add_argument("--baseline", metavar="FILE", type=Path, action="append", default=[], help="theirs, in the same order")
    parser.add_argument("--sham", metavar="FILE", type=Path, help="a recording that can drive instead of the live streams")
    parser.add_argument("--mains", type=int, choices=(50, 60), default=0, help="the power line's frequency in Hz (else both)")
    parser.add_argument("--unit", default="", help="the streams' unit, where they do not say it or say it wrongly")
    parser.add_argument("--reference", choices=("none", "average"), default="none", help="average: of the good channels")
    parser.add_argument("--markers", metavar="QUERY", action="append", default=[], help="a stream of markers to show as events")
    parser.add_argument("--no-eeg", action="store_true", help="do not look for EEG")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")

    try:
        listener = _listen(options.port)
        eeg = EegOptions(
            tuple(options.eeg),
            tuple(options.baseline),
            options.sham,
            float(options.mains),
            units.stated(options.unit),
            options.reference,
            tuple(options.markers),
        )
        app = create_app(Options(options.data, None if options.no_eeg else eeg, options.patch))
    except AlphaloomError as error:
        print(f"broker: {error.message}", file=sys.stderr)
        return 1
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        # Larger than what a message may be, so that one a little too large is answered and not cut off.
        ws_max_size=MAX_BINARY_BYTES + (1 << 20),
        log_level="warning",
        timeout_graceful_shutdown=3,
    )
    print(f"broker: ws://{HOST}:{listener.getsockname()[1]}/ws, map in {options.data}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as problem:
        raise AlphaloomError(
            "no_port",
            f"Cannot listen on port {port}: {getattr(problem, 'strerror', None) or problem}. Stop the program that uses it, "
            f"or give another port: python -m broker {min(port + 1, 65535)}",
            port=port,
        ) from None


if __name__ == "__main__":
    sys.exit(main())
