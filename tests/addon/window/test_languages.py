"""The extension in a language that Blender has, which its module for Python is built without."""

import ast
from collections.abc import Callable

import pytest
from map_window import NODES, add_node, connect
from windows import ROOT, Window

LOCALES = {"pl": "pl_PL", "es": "es"}


def translations(language: str) -> dict[str, str]:
    """As the file has them: outside Blender the package around it cannot be imported."""
    file = ROOT / f"addon/translations/{language}.py"
    return ast.literal_eval(ast.parse(file.read_text(encoding="utf-8")).body[-1].value)


@pytest.mark.parametrize("language", ["pl", pytest.param("es", marks=pytest.mark.long)])
def test_the_sidebar_speaks_the_language_of_blender(
    programs, tmp_path, open_window: Callable[..., Window], language: str
) -> None:
    texts = translations(language)
    broker = programs.broker(tmp_path / "data")
    programs.noop_edge(broker)
    window = open_window()
    window.do(f"C.preferences.view.language = {LOCALES[language]!r}")
    connect(window, broker)
    node = add_node(window, "cracked turquoise glaze")
    window.shot("1-node")
    for text, context in (
        ("Prompt", "Alphaloom"),
        ("Paint Mask", "Alphaloom"),
        ("Tidy Layout", "Operator"),
        ("step {} of {}", "*"),
    ):
        assert window.value(f"bpy.app.translations.pgettext_iface({text!r}, {context!r})") == texts[text]
    window.push("alphaloom.generate")
    window.until(f"{NODES}['{node}'].picture")
    window.shot("2-generated")
