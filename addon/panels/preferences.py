"""What belongs to the person and not to the file: Edit, Preferences, Add-ons, Alphaloom."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

PACKAGE = __package__.rpartition(".")[0]


class ALPHALOOM_Preferences(bpy.types.AddonPreferences):
    bl_idname = PACKAGE

    person: StringProperty(name="Name", description="What others on the map see of you", default="blender")
    token: StringProperty(
        name="Token",
        description="What the broker lets you in with; python -m broker token add NAME makes one. Blender keeps it in its "
        "preferences, readable for who can read your files",
        subtype="PASSWORD",
    )
    programs: StringProperty(
        name="Programs",
        description="The folder of Alphaloom's repository, for a broker and an edge here; empty: where its demo was run",
        subtype="DIR_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        for name in ("person", "token", "programs"):
            layout.prop(self, name)


def person() -> str:
    return str(_of("person", "blender"))


def token() -> str:
    return str(_of("token", ""))


def programs() -> str:
    return bpy.path.abspath(str(_of("programs", "")))


def _of(name: str, default: str) -> object:
    """Without preferences the extension was registered by a script, and is as it is by itself."""
    found = bpy.context.preferences.addons.get(PACKAGE)
    return getattr(found.preferences, name, default) if found is not None else default


register, unregister = bpy.utils.register_classes_factory((ALPHALOOM_Preferences,))
