"""The Blender extension: a mind map of prompts as cards in the viewport, made into pictures by a broker.

`core` knows the broker and not Blender; `scene`, `pictures` and `stage` know Blender and not the broker; `session` brings
them together, `hands` what the artist does with Blender's own tools; `driving` and `bake` let EEG move anything; `giving`,
`projecting` and `batching` take pictures out of the map, `guidance` the scene into it (both by `viewpoint`); `properties` and
`panels` are what the artist sees; `headless` runs without a window.
"""


def register() -> None:
    from . import driving, gallery, headless, history, masks, models, panels, properties, session, sources, thumbnails

    for part in (properties, panels, driving, thumbnails, history, gallery, models, sources, masks, session, headless):
        part.register()


def unregister() -> None:
    from . import driving, gallery, headless, history, masks, models, panels, properties, session, sources, thumbnails

    for part in (headless, session, masks, sources, models, gallery, history, thumbnails, driving, panels, properties):
        part.unregister()
