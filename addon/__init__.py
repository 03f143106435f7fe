"""The Blender extension: a mind map of prompts as cards in the viewport, made into pictures by a broker.

`connection` and `mirror` know the broker and not Blender; `scene` and `stage` know Blender and not the broker;
`session` brings them together; `properties` and `ui` are what the artist sees; `headless` runs without a window.
"""


def register() -> None:
    from . import headless, properties, session, ui

    for part in (properties, ui, session, headless):
        part.register()


def unregister() -> None:
    from . import headless, properties, session, ui

    for part in (headless, session, ui, properties):
        part.unregister()
