"""Every check of the project, on a bare machine too.

python3 scripts/test.py              everything: lint, types, tests, tests in each Blender that can be had
python3 scripts/test.py PATH...      the tests in these files or folders only
python3 scripts/test.py --long       with the long trials
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

import environments

ROOT = environments.ROOT
BLENDER_TESTS = "tests/addon/bpy"
Check = tuple[str, list[str | Path]]
"""A name and a command."""
BLENDER_LIMIT_S = 600  # many times what they take: Blender 4.5's module can hang


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", metavar="PATH")
    parser.add_argument("--long", action="store_true", help="run the long trials too")
    options = parser.parse_args()
    os.chdir(ROOT)
    try:
        python = environments.main_python(dev=True)
        lines = environments.blender_lines()
        blenders = {line: environments.blender_python(line) for line in lines}
    except environments.SetupError as problem:
        print(f"test: {problem}", file=sys.stderr)
        return 1
    os.environ["ALPHALOOM_PYTHON"] = str(python)

    checks: list[Check] = []
    in_blender: list[Check] = []
    paths = [p for p in options.paths if not p.startswith(BLENDER_TESTS)]
    blender_paths = [p for p in options.paths if p.startswith(BLENDER_TESTS)]
    if not options.paths:
        checks += [
            ("lint", [python, "-m", "ruff", "check"]),
            ("format", [python, "-m", "ruff", "format", "--check"]),
            ("types", [python, "-m", "mypy"]),
        ]
        paths, blender_paths = ["tests"], [BLENDER_TESTS]
    marks = [] if options.long else ["-m", "not long"]
    if paths:
        checks.append(("tests", [python, "-m", "pytest", f"--ignore={BLENDER_TESTS}", *marks, *paths]))
    if blender_paths:
        for line, blender in blenders.items():
            in_blender.append((f"tests in Blender {line}", [blender, "-m", "pytest", *marks, *blender_paths]))
        if not blenders:
            print("test: no Python 3.13 or 3.11 for Blender's module: its tests are skipped")

    failed = [name for name, command in checks if not _passes(name, command)] + _fail_together(in_blender)
    names = ", ".join(name for name, _ in [*checks, *in_blender])
    print(f"FAILED: {', '.join(failed)}" if failed else f"all good: {names}")
    return 1 if failed else 0


def _passes(name: str, command: list[str | Path]) -> bool:
    print(f"== {name}", flush=True)
    return subprocess.run(command).returncode == 0


def _fail_together(checks: list[Check]) -> list[str]:
    """The names of those that fail. Blenders wait more than they work: at the same time they take little longer than one."""
    with contextlib.ExitStack() as stack:
        running = []
        for name, command in checks:
            log = stack.enter_context(tempfile.TemporaryFile())
            child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            stack.callback(child.kill)
            running.append((name, log, child))
        end = time.monotonic() + BLENDER_LIMIT_S
        return [name for name, log, child in running if not _ends_well(name, log, child, end)]


def _ends_well(name: str, log: BinaryIO, child: subprocess.Popen[bytes], end: float) -> bool:
    said = ""
    try:
        child.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        said = f"{name}: not done within {BLENDER_LIMIT_S} s"
    log.seek(0)
    print(f"== {name}\n{log.read().decode(errors='replace')}{said}", flush=True)
    return child.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
