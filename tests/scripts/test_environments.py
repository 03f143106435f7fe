import re
import sys
from pathlib import Path

import environments

ROOT = Path(environments.ROOT)


def test_this_python_is_found_and_one_of_the_future_is_not() -> None:
    found = environments.find_python(sys.version_info[:2])
    assert found is not None and found.exists()
    assert environments.find_python((3, 99)) is None


def test_every_requirement_is_pinned() -> None:
    for file in ROOT.glob("requirements*.txt"):
        lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
        assert lines and all(re.fullmatch(r"[\w-]+(\[\w+\])?==[\w.]+(; .+)?", line) for line in lines), file


def test_torch_is_never_in_blenders_environment_and_websockets_is_the_same_everywhere() -> None:
    texts = {f.name: f.read_text() for f in ROOT.glob("requirements*.txt")}
    blender = [text for name, text in texts.items() if "blender" in name]
    (pin,) = re.findall(r"^websockets==.+$", texts["requirements.txt"], re.M)
    assert blender and all("torch" not in text and pin in text for text in blender)
