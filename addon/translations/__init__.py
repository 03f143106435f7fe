"""What the artist reads, in other languages, by Blender's own means.

Blender translates labels, tooltips and names of fields by itself; it goes by its own catalogue first and by this one where it
knows nothing. Texts with values in them are templates: `say("Frames: {count}").format(count=3)`.
"""

import bpy

from . import es, pl

PACKAGE = __package__
OURS = "Alphaloom"
"""The context of words that Blender translates for another meaning: a prompt is no cursor, a patch no plaster."""
CONTEXTS = ("*", bpy.app.translations.contexts.operator_default, OURS)
"""A text means the same on a button as elsewhere."""
LANGUAGES = {"es": es.TEXTS, "pl": pl.TEXTS}

say = bpy.app.translations.pgettext_iface
"""For what is seen in panels and on cards."""
tip = bpy.app.translations.pgettext_tip
"""For tooltips, and why a button cannot be pressed."""
tell = bpy.app.translations.pgettext_rpt
"""For reports."""
mark = bpy.app.translations.pgettext_n
"""For a text that is translated where it is shown."""


def register() -> None:
    found = {
        language: {(context, text): said for text, said in texts.items() for context in CONTEXTS}
        for language, texts in LANGUAGES.items()
    }
    bpy.app.translations.register(PACKAGE, found)


def unregister() -> None:
    bpy.app.translations.unregister(PACKAGE)
