"""Every check of the project, on a bare machine too.

python3 scripts/test.py              everything: lint, types, tests, tests in each Blender that can be had
python3 scripts/test.py PATH...      the tests in these files or folders only
python3 scripts/test.py --long       with the long trials
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import environments

ROOT = environments.ROOT
BLENDER_TESTS = "tests/addon/bpy"
BLENDER_LIMIT_S = 480  # five times what they take: Blender 4.5's module can hang


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

    checks: list[tuple[str, list[str | Path], int | None]] = []
    paths = [p for p in options.paths if not p.startswith(BLENDER_TESTS)]
    blender_paths = [p for p in options.paths if p.startswith(BLENDER_TESTS)]
    if not options.paths:
        checks += [
            ("lint", [python, "-m", "ruff", "check"], None),
            ("format", [python, "-m", "ruff", "format", "--check"], None),
            ("types", [python, "-m", "mypy"], None),
        ]
        paths, blender_paths = ["tests"], [BLENDER_TESTS]
    marks = [] if options.long else ["-m", "not long"]
    if paths:
        checks.append(("tests", [python, "-m", "pytest", f"--ignore={BLENDER_TESTS}", *marks, *paths], None))
    if blender_paths:
        for line, blender in blenders.items():
            checks.append((f"tests in Blender {line}", [blender, "-m", "pytest", *marks, *blender_paths], BLENDER_LIMIT_S))
        if not blenders:
            print("test: no Python 3.13 or 3.11 for Blender's module: its tests are skipped")

    failed = [name for name, command, limit in checks if not _passes(name, command, limit)]
    print(f"FAILED: {', '.join(failed)}" if failed else f"all good: {', '.join(name for name, _, _ in checks)}")
    return 1 if failed else 0


def _passes(name: str, command: list[str | Path], limit: int | None) -> bool:
    print(f"== {name}", flush=True)
    try:
        return subprocess.run(command, timeout=limit).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{name}: not done within {limit} s, and ended")
        return False


if __name__ == "__main__":
    sys.exit(main())
