"""The extension's zip, as Blender's own commands see it."""

import json
import shutil
import zipfile
from pathlib import Path

import windows


def test_blender_validates_builds_and_lists_the_extension(zipped: Path, tmp_path: Path) -> None:
    repository, source = tmp_path / "repository", tmp_path / "source"
    repository.mkdir()
    zip_file = Path(shutil.copy(zipped, repository))
    validated = windows.blender(tmp_path, "--command", "extension", "validate", str(zip_file))
    assert validated.returncode == 0, validated.stdout + validated.stderr

    with zipfile.ZipFile(zip_file) as archive:
        archive.extractall(source)
        wheels = [name for name in archive.namelist() if name.endswith(".whl")]
    assert wheels and all(name.endswith("-py3-none-any.whl") for name in wheels)
    built = windows.blender(
        tmp_path, "--command", "extension", "build", "--source-dir", str(source), "--output-dir", str(tmp_path)
    )
    assert built.returncode == 0 and (tmp_path / zip_file.name).exists(), built.stdout + built.stderr

    listed = windows.blender(tmp_path, "--command", "extension", "server-generate", "--repo-dir", str(repository))
    assert listed.returncode == 0, listed.stdout + listed.stderr
    (known,) = json.loads((repository / "index.json").read_text())["data"]
    assert (known["id"], known["blender_version_min"]) == ("alphaloom", "4.5.0")
    assert known["permissions"].keys() == {"network", "files"}
