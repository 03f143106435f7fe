import ast
import sys
from pathlib import Path


def test_protocol_imports_nothing_that_blender_lacks() -> None:
    for file in (Path(__file__).parents[2] / "protocol").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert all(name.split(".")[0] in sys.stdlib_module_names for name in names), file
