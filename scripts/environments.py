"""The project's virtual environments: made on first use, brought up to date when the pins change.

Standard library only: this runs on a machine's bare Python. Blender's module has its own environment, because it
wants its own Python; torch is never in it.
"""

from __future__ import annotations

import ctypes.util
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
BLENDERS = {"5.2": (3, 13), "4.5": (3, 11)}
"""Blender LTS lines, best first, and the Python each one's module is built for."""

# What bpy loads and a minimal Debian or Ubuntu lacks: library -> package.
BPY_LIBRARIES = {
    "X11": "libx11-6",
    "Xrender": "libxrender1",
    "Xfixes": "libxfixes3",
    "Xi": "libxi6",
    "xkbcommon": "libxkbcommon0",
    "SM": "libsm6",
    "ICE": "libice6",
    "Xext": "libxext6",
    "GL": "libgl1",
}


class SetupError(Exception):
    """Says in one line what is missing and what to do."""


def main_python(dev: bool = False, cpu_torch: bool = False) -> Path:
    """The Python of `.venv`, with the tests' packages if `dev`."""
    files = ["requirements.txt", *(["requirements-dev.txt"] if dev else [])]
    return _environment(".venv", Path(sys.executable), files, ["--extra-index-url", CPU_TORCH_INDEX] if cpu_torch else [])


def make_known() -> None:
    """Tell Blender's extension where the programs are, so that it can start them by a button."""
    found = Path.home() / ".alphaloom/programs"
    found.parent.mkdir(exist_ok=True)
    found.write_text(f"{ROOT}\n", encoding="utf-8")


def bench_python() -> Path:
    """The Python of `.venv-bench`: the programs that `bench.py eeg` and `broker` compare with, pared down to what they load.

    Their own lists of packages are long (goofi-pipe's has some hundred) and hardly any is used without a window, so
    requirements-bench.txt names what is, and pip adds nothing to it.
    """
    return _environment(".venv-bench", Path(sys.executable), ["requirements-bench.txt"], ["--no-deps"])


def blender_python(line: str | None = None) -> Path:
    """The Python of the environment with `bpy`, for one line or the best that this machine has a Python for."""
    for name in [line] if line else BLENDERS:
        if base := find_python(BLENDERS[name]):
            python = _environment(f".venv-blender-{name}", base, [f"requirements-blender-{name}.txt"], [])
            _system_libraries()
            return python
    wanted = " or ".join(f"{major}.{minor}" for major, minor in BLENDERS.values())
    raise SetupError(
        f"Blender's module needs Python {wanted}, and none was found. Install one (python.org, pyenv, uv) and try again."
    )


def blender_lines() -> list[str]:
    """The Blender lines that this machine has a Python for."""
    return [name for name, version in BLENDERS.items() if find_python(version)]


def find_python(version: tuple[int, int]) -> Path | None:
    """An interpreter of exactly this version: this one, one on PATH, the Windows launcher's, or pyenv's."""
    short = f"{version[0]}.{version[1]}"
    candidates = [[sys.executable], [shutil.which(f"python{short}") or ""], [shutil.which("py") or "", f"-{short}"]]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates += [[str(found)] for found in sorted(pyenv.glob(f"{short}.*/bin/python"), reverse=True)]
    for command in candidates:
        if command[0] and (found := _answers(command, version)):
            return found
    return None


def _answers(command: list[str], version: tuple[int, int]) -> Path | None:
    code = "import sys; print(*sys.version_info[:2]); print(sys._base_executable)"
    try:
        done = subprocess.run([*command, "-c", code], capture_output=True, text=True, timeout=30)
    except OSError:
        return None
    lines = done.stdout.splitlines()
    return Path(lines[1]) if done.returncode == 0 and lines[0] == f"{version[0]} {version[1]}" else None


def _environment(name: str, base: Path, files: list[str], options: list[str]) -> Path:
    folder = ROOT / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / f".installed-{'-'.join(Path(f).stem for f in files)}"
    pins = hashlib.sha256(b"".join((ROOT / f).read_bytes() for f in files)).hexdigest()
    if stamp.exists() and stamp.read_text() == pins and python.exists():
        return python
    print(f"making {name} with {base} (once; some minutes)", flush=True)
    if not python.exists():
        _run([str(base), "-m", "venv", str(folder)], "The environment could not be made; on Debian, install python3-venv.")
    chosen = [part for f in files for part in ("-r", str(ROOT / f))]
    # On a terminal pip shows its progress bar for the large packages; in a log it would be noise.
    quiet = [] if sys.stdout.isatty() else ["--quiet", "--quiet"]
    install = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *quiet, *options, *chosen]
    _run(install, "pip could not install the packages above; check the network and try again.")
    stamp.write_text(pins)
    return python


def _run(command: list[str], advice: str) -> None:
    if subprocess.run(command).returncode:
        raise SetupError(advice)


def _system_libraries() -> None:
    """Install what bpy needs on a minimal Debian or Ubuntu, or say the command."""
    if not sys.platform.startswith("linux") or not shutil.which("apt-get"):
        return
    missing = [package for library, package in BPY_LIBRARIES.items() if not ctypes.util.find_library(library)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise SetupError(f"Blender needs system libraries; type: sudo apt-get install {' '.join(missing)}")
    print(f"installing {' '.join(missing)}", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update", "-qq"], **quiet)
    if subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], **quiet).returncode:
        raise SetupError(f"apt-get could not install them; type: apt-get install {' '.join(missing)}")
