"""Every text that an artist reads is there in every language, by what Blender knows of the extension and by its source."""

import ast
import string
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import bpy
import pytest

from addon import eeg_fields, translations
from addon.core import catalogue
from addon.core.shared import model, samplers

ADDON = Path(translations.__file__).parents[1]
SAYERS = ("say", "tip", "tell", "mark")
"""What translates, or says that something will be."""
SEEN = {"text", "placeholder", "heading"}
"""What Blender translates where it is drawn."""
NAMES = {"Alphaloom", "EEG", "ControlNet", "cold/warm", "calm", "location[2]", *samplers.SAMPLERS.values()}
NAMES |= {name.title() for name in eeg_fields.FEATURES} | {"EMG"}
"""The same in each language: names, and what is typed."""
UNITS = ("s", "Hz")


def registered() -> Iterator[type]:
    for name, module in sorted(sys.modules.items()):
        if name.startswith("addon."):
            for kind in vars(module).values():
                if isinstance(kind, type) and kind.__module__ == name and getattr(kind, "is_registered", False):
                    yield kind


def of_blender() -> Iterator[str]:
    """What Blender knows of each class of the extension: its name and tooltip, and those of its fields."""
    for kind in registered():
        known = kind.bl_rna
        if issubclass(kind, bpy.types.Operator):
            known = getattr(bpy.ops.alphaloom, kind.bl_idname.removeprefix("alphaloom.")).get_rna_type()
            if kind.__doc__:  # others say their tooltips themselves
                yield known.description
        elif issubclass(kind, bpy.types.Panel):
            yield kind.__doc__ or ""
        yield getattr(kind, "bl_label", "")
        inherited = {field.as_pointer() for field in bpy.types.PropertyGroup.bl_rna.properties}
        for field in known.properties:
            if field.name != field.identifier and field.identifier in fields_of(kind) and field.as_pointer() not in inherited:
                yield from (field.name, field.description)
                if field.type == "ENUM":
                    yield from (text for item in field.enum_items_static for text in (item.name, item.description))


def fields_of(kind: type) -> set[str]:
    """The fields that the extension has given it."""
    return {
        name for each in kind.__mro__ if each.__module__.startswith("addon.") for name in vars(each).get("__annotations__", {})
    }


def parts(value: ast.expr) -> Iterator[ast.expr]:
    """What an argument may be: `a if b else c` is a or c, `a or b` is either."""
    if isinstance(value, ast.IfExp):
        yield from (*parts(value.body), *parts(value.orelse))
    elif isinstance(value, ast.BoolOp):
        yield from (part for each in value.values for part in parts(each))
    elif isinstance(value, ast.BinOp):
        yield from (*parts(value.left), *parts(value.right))
    else:
        yield value


def shown() -> Iterator[tuple[str, ast.expr]]:
    """What is shown or translated, by the source: where that is said, and what."""
    for file in sorted(ADDON.rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            given = [word.value for word in call.keywords if word.arg in SEEN] if name != "new" else []
            if name in (*SAYERS, "poll_message_set"):
                given += call.args[:1]
            elif name == "paragraph":
                given += call.args[2:3]
            elif name == "report":
                given += call.args[1:2]
            for value in given:
                yield from ((f"{file.name}:{value.lineno}", part) for part in parts(value))


def has_words(text: str) -> bool:
    return any(letter.isalpha() for letter in text) and text.strip() not in UNITS


def originals() -> set[str]:
    texts = {part.value for _, part in shown() if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    states = (*typing.get_args(model.JobState), catalogue.LOADED, catalogue.THERE, catalogue.NOWHERE)
    return {text for text in (*of_blender(), *texts, *states) if has_words(text) and text not in NAMES} - {"done", "failed"}


def fields(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("language", translations.LANGUAGES)
def test_a_language_has_every_text_and_none_that_is_not_shown(language: str) -> None:
    known, there = originals(), translations.LANGUAGES[language]
    assert not sorted(known - there.keys()), "not translated"
    assert not sorted(there.keys() - known), "shown nowhere"


@pytest.mark.parametrize("language", translations.LANGUAGES)
def test_a_translation_has_the_values_of_its_original_and_ends_as_it_does(language: str) -> None:
    for text, said in translations.LANGUAGES[language].items():
        assert fields(text) == fields(said), text
        assert said.strip() == said and said, text
        assert text[-1] in ".…" or said[-1] not in ".…", text


def test_no_text_is_put_together_where_nobody_can_translate_it() -> None:
    put_together = [
        (where, ast.unparse(part))
        for where, part in shown()
        if isinstance(part, ast.JoinedStr)
        and any(has_words(str(piece.value)) for piece in part.values if isinstance(piece, ast.Constant))
    ]
    assert not put_together


def test_tooltips_end_without_a_full_stop() -> None:
    ended = [text for text in of_blender() if text.endswith(".")]
    assert not ended


def test_blender_shows_the_language_that_the_person_has_chosen() -> None:
    if not bpy.app.build_options.international:
        pytest.skip("this Blender was built without languages; tests/addon/window looks at one that has them")
    view = bpy.context.preferences.view
    before = view.language
    try:
        view.language, view.use_translate_interface = "pl_PL", True
        assert translations.say("Connect to a broker first") == translations.LANGUAGES["pl"]["Connect to a broker first"]
    finally:
        view.language = before
