"""python -m edge [--broker ws://127.0.0.1:4444] [--model ID]; also python -m edge models …, python -m edge reproduce …

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
from pathlib import Path
from typing import NoReturn

# A waiting OpenMP thread that spins takes the core from its neighbours: measured, 4.4 s a step against 0.7 s
# beside another busy process. It must be said before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from protocol import address, check
from protocol.errors import AlphaloomError

from .models import cli as models_cli
from .models import manifest, shelf

SLOTS = 4


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["models"]:
        return models_cli.main(given[1:])
    if given[:1] == ["reproduce"]:
        from . import reproduce

        return reproduce.main(given[1:])
    parser = argparse.ArgumentParser(
        prog="python -m edge",
        description="An Alphaloom edge: runs a diffusion model for a broker.",
        epilog="Also: python -m edge models --help, python -m edge reproduce --help",
        allow_abbrev=False,
    )
    models_cli.add_broker(parser)
    parser.add_argument(
        "--model",
        default=shelf.EMBEDDED,
        metavar="ID",
        help="the first one: an id of the manifest, a folder in diffusers format, or a hub id; default: the embedded one",
    )
    models_cli.add_options(parser)
    parser.add_argument("--no-pull", action="store_true", help="fetch no model that is not here")
    parser.add_argument("--keep", type=_count, default=1, metavar="N", help="models that stay loaded; default: 1")
    parser.add_argument("--slots", type=_count, default=SLOTS, metavar="N", help=f"jobs to take at once; default: {SLOTS}")
    parser.add_argument("--device", help="cpu, cuda or mps; default: the best there is")
    parser.add_argument("--dtype", help="float32, bfloat16 or float16; default: what is fast and right on this device")
    parser.add_argument("--compile", action="store_true", help="compile the model: slow to start, then faster")
    parser.add_argument("--name", default=platform.node() or "edge", help="how people see this edge")
    options = parser.parse_args(given)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    for name in ("websockets", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        asyncio.run(_serve(options))
    except AlphaloomError as error:
        print(f"edge: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= check.MAX_SLOTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {check.MAX_SLOTS}")
    return int(text)


async def _serve(options: argparse.Namespace) -> None:
    target = address.parse(options.broker or address.DEFAULT)
    if Path(options.model).is_absolute() or options.model.startswith((".", "~")):
        shelf.find(options.model)  # a path that is wrong is better said before anything is waited for
    from . import client

    broker = client.Broker(target, options.token, options.cafile)
    await client.probe(broker)
    entries = () if options.manifest else await asyncio.to_thread(manifest.from_broker, target.http, broker.token, broker.tls())
    known = models_cli.make_shelf(options, entries)
    first = known.add(options.model)
    with models_cli.bar(first) as progress:
        await known.ensure(first, progress)

    from . import device, engine, pool

    chosen = device.choose(options.device, options.dtype, options.compile)
    engines = await asyncio.to_thread(pool.Pool, known, chosen, first, options.keep)

    def offer() -> client.Offer:
        models = known.models(chosen.kind)
        return client.Offer(first, models, engines.tasks, engine.MAX_SIDE, options.slots, chosen.kind)

    await client.serve(engines, known, offer, broker, options.name, _drain_on_sigterm())


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
