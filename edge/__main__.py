"""python -m edge --broker ws://127.0.0.1:4444 [--model ID]"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import sys
import warnings

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
    broker = address.parse(options.broker)
    model = models.find(options.model)

    from . import client

    await client.probe(broker)
    from .engine import Engine

    engine = await asyncio.to_thread(Engine, model, options.device)
    await client.serve(engine, broker, options.name)


if __name__ == "__main__":
    sys.exit(main())
