"""The Blender extension: a mind map of prompts as cards in the viewport, made into pictures by a broker.

`core` knows the broker and not Blender; `scene`, `pictures` and `stage` know Blender and not the broker; `session` brings
them together, `hands` what the artist does with Blender's own tools; `driving` and `bake` let EEG move anything; `properties`
and `panels` are what the artist sees; `headless` runs without a window.
"""


def register() -> None:
    from . import driving, headless, overlay, panels, properties, session

    for part in (properties, panels, driving, session, overlay, headless):
        part.register()


def unregister() -> None:
    from . import driving, headless, overlay, panels, properties, session

    for part in (headless, overlay, session, driving, panels, properties):
        part.unregister()
