"""python -m edge --broker ws://127.0.0.1:4444 [--model ID]

SIGTERM lets it finish its job and leave; a second one, or Ctrl-C, ends it at once.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import signal
import sys
import warnings
from typing import NoReturn

# A waiting OpenMP thread that spins takes the core from its neighbours: measured, 4.4 s a step against 0.7 s
# beside another busy process. It must be said before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from protocol import address
from protocol.errors import AlphaloomError

from . import models


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge", description="An Alphaloom edge: runs a diffusion model.")
    parser.add_argument("--broker", default=address.DEFAULT, help=f"default {address.DEFAULT}")
    parser.add_argument(
        "--token",
        default=os.environ.get("ALPHALOOM_TOKEN", ""),
        help="what the broker knows this edge by; better given as ALPHALOOM_TOKEN, which other people's 'ps' does not show",
    )
    parser.add_argument("--cafile", metavar="PEM", help="the certificate of a broker whose own is signed by nobody known")
    parser.add_argument(
        "--model",
        default=models.EMBEDDED,
        metavar="ID",
        help="a folder in diffusers format, or a hub id; default: the embedded one",
    )
    parser.add_argument("--device", help="cpu, cuda or mps; default: the best there is")
    parser.add_argument("--name", default=platform.node() or "edge", help="how people see this edge")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        asyncio.run(_serve(options))
    except AlphaloomError as error:
        print(f"edge: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


async def _serve(options: argparse.Namespace) -> None:
    target = address.parse(options.broker)
    model = models.find(options.model)

    from . import client

    broker = client.Broker(target, options.token, options.cafile)
    await client.probe(broker)
    from .engine import Engine

    engine = await asyncio.to_thread(Engine, model, options.device)
    await client.serve(engine, broker, options.name, _drain_on_sigterm())


def _drain_on_sigterm() -> asyncio.Event:
    """An event that the first SIGTERM sets; the second is a KeyboardInterrupt."""
    drain, loop = asyncio.Event(), asyncio.get_running_loop()

    def asked(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        loop.call_soon_threadsafe(drain.set)

    signal.signal(signal.SIGTERM, asked)
    return drain


def _leave(code: int) -> NoReturn:
    """End without a word to the worker's thread, which may be in the middle of a step and cannot be ended."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
