"""python -m edge models list|pull|verify|remove, and the options by which any edge is told of its models."""

from __future__ import annotations

import argparse
import logging
import os
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol import address, manifest
from protocol.errors import AlphaloomError
from protocol.manifest import Entry

from .manifest import from_broker
from .network import Network
from .shelf import Shelf, default_folder


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of everything that has to do with models, but for the broker's."""
    parser.add_argument("--manifest", metavar="FILE", type=Path, help="a models.toml; default: the broker's")
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        help=f"where models are kept; default: ALPHALOOM_MODEL_FOLDER, or {default_folder()}",
    )
    parser.add_argument(
        "--allow-host",
        metavar="HOST",
        action="append",
        default=[],
        help="take models from this host, too, wherever it is, by http or https; may be given several times",
    )


def add_broker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--broker", help=f"default {address.DEFAULT}")
    parser.add_argument(
        "--token",
        default=os.environ.get("ALPHALOOM_TOKEN", ""),
        help="what the broker knows this edge by; better given as ALPHALOOM_TOKEN",
    )
    parser.add_argument("--cafile", metavar="PEM", help="the certificate of a broker whose own is signed by nobody known")


def make_shelf(options: argparse.Namespace, entries: tuple[Entry, ...] = ()) -> Shelf:
    """By what `add_options` took; `entries` are the broker's manifest, which a file of one's own goes before.

    Raises AlphaloomError `bad_manifest` or `bad_host`.
    """
    if options.manifest:
        entries = manifest.load(options.manifest)
    pulls = not getattr(options, "no_pull", False)
    return Shelf(options.folder and options.folder.expanduser(), entries, Network(options.allow_host), pulls=pulls)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m edge models", description="The models on this machine, and those that it can fetch.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|pull|verify|remove")
    for name, several, text in (
        ("list", None, "what there is, and what is here"),
        ("pull", "+", "fetch models from their sources, or go on where that was stopped; mend what is here and broken"),
        ("verify", "*", "look at every byte of what was pulled (default: of all)"),
        ("remove", "+", "delete what was pulled"),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if several:
            command.add_argument("ids", nargs=several, metavar="ID")
        add_broker(command)
        add_options(command)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="edge: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        shelf = make_shelf(options, () if options.manifest else _served(options))
        return {"list": _list, "pull": _pull, "verify": _verify, "remove": _remove}[options.command](shelf, options)
    except AlphaloomError as error:
        print(f"edge: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("edge: stopped; what has come is kept, the next pull goes on from there", file=sys.stderr)
        return 130


def _served(options: argparse.Namespace) -> tuple[Entry, ...]:
    """The broker's manifest. That of a broker that nobody named may be missing: what is here is known without."""
    found = address.parse(options.broker or address.DEFAULT)
    try:
        tls = ssl.create_default_context(cafile=options.cafile) if found.http.startswith("https:") else None
        return from_broker(found.http, options.token, tls)
    except OSError as problem:
        raise AlphaloomError("bad_cafile", f"{options.cafile!r} holds no certificate (PEM): {problem}.") from None
    except AlphaloomError as error:
        if options.broker or error.code == "bad_manifest":
            raise
        print(
            f"edge: {error.message} Only what is here is known. Start one with 'python -m broker', or name a manifest with "
            "--manifest.",
            file=sys.stderr,
        )
        return ()


def _list(shelf: Shelf, options: argparse.Namespace) -> int:
    rows = [("ID", "KIND", "FAMILY", "STATE", "SIZE", "LICENCE")]
    for item in sorted(shelf.items(), key=lambda item: (item.entry.kind != "model", item.entry.kind, item.entry.id)):
        entry = item.entry
        rows.append((entry.id, entry.kind, entry.family or "-", item.state, _bytes(item.size), entry.licence or "-"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            "  ".join(
                text.rjust(width) if n == 4 else text.ljust(width)
                for n, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
        )
    print(f"Kept in {shelf.folder}", file=sys.stderr)
    return 0


def _pull(shelf: Shelf, options: argparse.Namespace) -> int:
    for name in options.ids:
        found = shelf.add(name)
        with bar(found) as progress:
            shelf.pull(found, progress)
        print(f"{found} is here, whole: {shelf.find(found).source}")
    return 0


def _verify(shelf: Shelf, options: argparse.Namespace) -> int:
    names = options.ids or [item.entry.id for item in shelf.items() if item.state == "here"]
    failed = False
    for name in names:
        with bar(name) as progress:
            wrong = shelf.verify(name, progress)
        if wrong is None:
            print(f"{name}: not pulled, so there is nothing to compare it with")
        elif wrong:
            failed = True
            print(f"{name}: broken: {', '.join(wrong)}; python -m edge models pull {name} mends it")
        else:
            print(f"{name}: whole")
    return int(failed)


def _remove(shelf: Shelf, options: argparse.Namespace) -> int:
    for name in options.ids:
        shelf.remove(name)
        print(f"{name} is removed")
    return 0


@contextmanager
def bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, where somebody sees it."""
    from tqdm import tqdm

    with tqdm(desc=name, unit="B", unit_scale=True, unit_divisor=1000, disable=None, leave=False) as bar:

        def progress(done: int, size: int) -> None:
            if bar.total != size:
                bar.reset(size)
            bar.update(done - bar.n)

        yield progress


def _bytes(size: int) -> str:
    if not size:
        return "?"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
