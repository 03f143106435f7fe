"""The extension in a language that Blender has, which its module for Python is built without."""

from collections.abc import Callable

import pytest
from map_window import add_node, connect
from windows import Window

SAYS = "bpy.app.translations.pgettext_iface({!r}, {!r})"


@pytest.mark.parametrize(
    ("language", "prompt", "button", "step"),
    [("pl_PL", "Prompt", "Maluj maskę", "krok {} z {}"), ("es", "Prompt", "Pintar máscara", "paso {} de {}")],
)
def test_the_sidebar_speaks_the_language_of_blender(
    programs, tmp_path, open_window: Callable[..., Window], language: str, prompt: str, button: str, step: str
) -> None:
    broker = programs.broker(tmp_path / "data")
    programs.noop_edge(broker)
    window = open_window()
    window.do(f"C.preferences.view.language = {language!r}")
    connect(window, broker)
    node = add_node(window, "cracked turquoise glaze")
    window.shot("1-node")
    assert window.value(SAYS.format("Prompt", "Alphaloom")) == prompt
    assert window.value(SAYS.format("Paint Mask", "Alphaloom")) == button
    assert window.value(SAYS.format("step {} of {}", "*")) == step
    assert window.value(f"D.objects and any(i.alphaloom.ident == {node!r} for i in D.objects)")
