"""Build the Blender extension as one zip that serves every platform: dist/alphaloom-VERSION.zip

    python3 scripts/build_addon.py [--out FOLDER]

The zip holds the addon, a copy of `protocol` inside it, and the pure-Python wheels of WHEELS, unmodified.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import environments

ROOT = environments.ROOT
WHEELS = ("websockets", "h11")
PINS = "requirements-blender-5.2.txt"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    try:
        print(build(options.out))
    except environments.SetupError as problem:
        print(f"build_addon: {problem}", file=sys.stderr)
        return 1
    return 0


def build(out: Path) -> Path:
    """The path of the zip. Raises SetupError when the wheels cannot be had."""
    manifest = (ROOT / "addon/blender_manifest.toml").read_text()
    found = re.search(r'^version = "(.+)"$', manifest, re.M)
    assert found
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"alphaloom-{found[1]}.zip"
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        wheels = [_wheel(Path(folder), name) for name in WHEELS]
        for wheel in wheels:
            archive.write(wheel, f"wheels/{wheel.name}")
        names = ", ".join(f'"./wheels/{wheel.name}"' for wheel in wheels)
        archive.writestr("blender_manifest.toml", manifest.replace("wheels = []", f"wheels = [{names}]"))
        archive.write(ROOT / "LICENSE", "LICENSE")
        for folder_name, inside in (("addon", ""), ("protocol", "protocol/")):
            for file in sorted((ROOT / folder_name).rglob("*.py")):
                archive.write(file, inside + file.relative_to(ROOT / folder_name).as_posix())
    return target


def _wheel(folder: Path, name: str) -> Path:
    """The pinned version as its `py3-none-any` wheel, from the package index."""
    pin = re.search(rf"^{name}==.+$", (ROOT / PINS).read_text(), re.M)
    assert pin
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--quiet", "--no-deps", "--dest", str(folder)]
    command += ["--only-binary=:all:", "--implementation=py", "--abi=none", "--platform=any", pin[0]]
    if subprocess.run(command).returncode:
        raise environments.SetupError(f"pip could not download {pin[0]}; check the network and try again.")
    return next(folder.glob(f"{name}-*-py3-none-any.whl"))


if __name__ == "__main__":
    sys.exit(main())
