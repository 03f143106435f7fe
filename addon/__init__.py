"""The Blender extension: a mind map of prompts as cards in the viewport, made into pictures by a broker.

`core` knows the broker and not Blender; `scene`, `pictures` and `stage` know Blender and not the broker; `session` brings
them together, `heartbeat` is how Blender calls it, `hands` what the artist does with Blender's own tools, `keeping` what a
saved file has of the map; `sources`, `masks` and `models` fill a node's fields, `history`, `gallery` and `thumbnails` show its
pictures; `driving` and `bake` let EEG move anything; `giving`, `projecting` and `batching` take pictures out of the map,
`guidance` the scene into it (both by `viewpoint`); `properties`, `eeg_fields`, `plot`, `overlay` and `panels` are what the
artist sees, `translations` in which language; `headless` runs without a window.
"""

from types import ModuleType


def _parts() -> tuple[ModuleType, ...]:
    """What Blender is told of, each after what it needs."""
    from . import (
        driving,
        eeg_fields,
        gallery,
        headless,
        heartbeat,
        history,
        masks,
        models,
        overlay,
        panels,
        plot,
        properties,
        sources,
        thumbnails,
        translations,
    )  # fmt: skip

    return (
        translations, properties, eeg_fields, panels, driving, thumbnails, history, gallery, models, sources, masks, heartbeat,
        overlay, plot, headless,
    )  # fmt: skip


def register() -> None:
    for part in _parts():
        part.register()


def unregister() -> None:
    for part in reversed(_parts()):
        part.unregister()
