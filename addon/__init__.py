"""The Blender extension: a mind map of prompts as cards in the viewport, made into pictures by a broker.

`connection` and `mirror` know the broker and not Blender; `scene`, `pictures` and `stage` know Blender and not the broker;
`session` brings them together, `hands` what the artist does with Blender's own tools; `driving` and `bake` let EEG move
anything; `properties`, `ui`, `ui_queue` and `ui_eeg` are what the artist sees; `headless` runs without a window.
"""


def register() -> None:
    from . import driving, headless, properties, session, ui, ui_eeg, ui_queue

    for part in (properties, ui, ui_queue, ui_eeg, driving, session, headless):
        part.register()


def unregister() -> None:
    from . import driving, headless, properties, session, ui, ui_eeg, ui_queue

    for part in (headless, session, driving, ui_eeg, ui_queue, ui, properties):
        part.unregister()
