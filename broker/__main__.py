"""python -m broker [PORT], and what one does to a broker from the command line."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from protocol.errors import AlphaloomError

from . import auth, config, serve
from .app import create_app
from .settings import Settings, is_loopback, masked
from .store import Store, restore

log = logging.getLogger("broker")

_PROG = "python -m broker"
_STORE = ("data", "database")
_COMMANDS = """commands:
  python -m broker token add NAME --role ROLE    a token for a person or an edge, shown once
  python -m broker token list, token remove NAME
  python -m broker config                        the settings that are in force, and where each comes from
  python -m broker backup FILE                   a copy of everything, also while the broker runs
  python -m broker restore FILE                  fill an empty data folder or database from such a copy

Every setting is a flag, an environment variable (ALPHALOOM_MAX_CONNECTIONS for --max-connections; lists parted by commas) or a
line of a TOML file (max_connections = 500); a flag goes before the environment, and that before the file."""


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    commands = {"token": _token, "config": _config, "backup": _backup, "restore": _restore}
    try:
        if given and given[0] in commands:
            return commands[given[0]](given[1:])
        if given and not given[0].startswith("-") and not given[0].isdecimal():
            raise AlphaloomError(
                "unknown_command",
                f"{given[0]!r} is neither a port nor a command. The commands are {', '.join(commands)}; without one it serves.",
            )
        return _serve(given)
    except AlphaloomError as error:
        print(f"broker: {error.message}", file=sys.stderr)
        return 1


def _serve(arguments: list[str]) -> int:
    parser = _parser("", "Alphaloom's broker.", epilog=_COMMANDS)
    config.add_port(parser)
    config.add_flags(parser)
    settings = _settings(parser.parse_args(arguments))
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Who vanishes leaves a line for each message that was on its way to him; mistakes are errors, and stay.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    os.umask(0o077)  # what others on this machine may not read: prompts, pictures, tokens' hashes
    serve.check_certificate(settings)
    if not is_loopback(settings.host) and not settings.certfile:
        log.warning("without --certfile tokens and pictures cross the network readable for everybody on it")
    listener = serve.listen(settings)
    server = serve.server(settings, create_app(settings))
    print(f"broker: {serve.address(settings, listener)}/v1/ws, map in {settings.data}", flush=True)
    # The server ends in peace and then raises the signal once more, as if it had never been caught.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    return 0 if server.started else 1


def _config(arguments: list[str]) -> int:
    parser = _parser(" config", "The settings that are in force, as a TOML file.")
    config.add_port(parser)
    config.add_flags(parser)
    options = vars(parser.parse_args(arguments))
    print(config.show(config.load(options, options["config"])))
    return 0


def _token(arguments: list[str]) -> int:
    parser = _parser(" token", "Tokens, for who comes from elsewhere than this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="add|list|remove")
    add = commands.add_parser("add", help="make one, and print it once", allow_abbrev=False)
    add.add_argument("name", metavar="NAME", help="the person's or the edge's")
    add.add_argument("--role", required=True, metavar="|".join(auth.ROLES), help="the most that it allows")
    listing = commands.add_parser("list", help="who has one", allow_abbrev=False)
    remove = commands.add_parser("remove", help="take it away; who is here with it is shown out", allow_abbrev=False)
    remove.add_argument("name", metavar="NAME")
    for command in (add, listing, remove):
        config.add_flags(command, _STORE)
    options = parser.parse_args(arguments)
    with _open(_settings(options)) as store:
        return {"add": _add_token, "list": _list_tokens, "remove": _remove_token}[options.command](store, options)


def _add_token(store: Store, options: argparse.Namespace) -> int:
    secret, token = auth.issue(options.name, options.role, store.tokens(), time.time())
    store.put_token(token)
    print(f"The token of {token.name!r}, role {token.role!r}. It is not shown again:", file=sys.stderr, flush=True)
    print(secret)
    return 0


def _list_tokens(store: Store, options: argparse.Namespace) -> int:
    tokens = store.tokens()
    for token in tokens:
        print(f"{token.name:<24} {token.role:<8} since {datetime.fromtimestamp(token.created):%Y-%m-%d %H:%M}")
    if not tokens:
        print(f"Nobody has a token. {auth.ADD} makes one.", file=sys.stderr)
    return 0


def _remove_token(store: Store, options: argparse.Namespace) -> int:
    if not store.drop_token(options.name):
        raise AlphaloomError(
            "unknown_token", f"{options.name!r} has no token. {_PROG} token list says who has.", name=options.name
        )
    print(f"The token of {options.name!r} counts no longer.", file=sys.stderr)
    return 0


def _backup(arguments: list[str]) -> int:
    file, settings = _file(arguments, " backup", "Copy everything into one file; the broker may go on running.")
    if not settings.database and not settings.data.is_dir():
        raise AlphaloomError("no_store", f"There is no data folder {str(settings.data)!r}: name it with --data.")
    os.umask(0o077)
    with _open(settings) as store:
        store.backup(file)
    print(f"broker: everything of {settings.data} is in {file}")
    return 0


def _restore(arguments: list[str]) -> int:
    description = "Fill an empty data folder or database from a backup, whichever kind it was made of."
    file, settings = _file(arguments, " restore", description)
    restore(file, settings.data, settings.database)
    where = f"{masked(settings.database)}, pictures in {settings.data}" if settings.database else settings.data
    print(f"broker: everything of {file} is in {where}")
    return 0


def _file(arguments: list[str], command: str, description: str) -> tuple[Path, Settings]:
    """What backup and restore are told."""
    parser = _parser(command, description)
    parser.add_argument("file", metavar="FILE", type=Path)
    config.add_flags(parser, _STORE)
    options = parser.parse_args(arguments)
    return options.file, _settings(options)


@contextlib.contextmanager
def _open(settings: Settings) -> Any:
    store = Store(settings.data, settings.database)
    try:
        yield store
    finally:
        store.close()


def _settings(options: argparse.Namespace) -> Settings:
    return config.load(vars(options), options.config).settings


def _parser(command: str, description: str, **more: Any) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=_PROG + command,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **more,
    )


if __name__ == "__main__":
    sys.exit(main())
