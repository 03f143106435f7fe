"""A node's picture given to the artist's own objects: as a material, or into a material or an image that is there.

Design notes
- What follows its node uses the node's own image, so that each new picture shows by itself; what does not has a packed
  copy. Either way the materials are the artist's: they carry no mark, and stay when the node goes.
- A material that is there is changed where that was asked for, and in nothing but its one image.
"""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from . import materials
from . import scene as cards
from .core.shared import errors

_MOST_NAME = 40
_BLEND = 0.2
"""Of a box's sides, at its edges."""


def picture_of(node_id: str) -> bpy.types.Image | None:
    """A node's own image, with its picture."""
    found = materials.image(materials.PICTURE, node_id)
    return found if found is not None and found.packed_file is not None else None


def image_of(node_id: str, words: str, follows: bool) -> bpy.types.Image:
    """The node's own image, or a copy of it as it is now. Raises AlphaloomError `no_picture`."""
    found = picture_of(node_id)
    if found is None:
        raise errors.AlphaloomError("no_picture", "The card has no picture yet: press Generate first.", node=node_id)
    if follows:
        return found
    copied = found.copy()
    materials.release(copied)
    copied.name = name_of(words)
    return copied


def name_of(words: str) -> str:
    return cards.shortened(" ".join(words.split()), _MOST_NAME) or "Alphaloom"


def takers(items: Iterable[bpy.types.Object]) -> list[bpy.types.Object]:
    """Those of the artist's objects that take a material."""
    return [item for item in items if not item.alphaloom.kind and _takes_material(item)]


def _takes_material(item: bpy.types.Object) -> bool:
    return hasattr(item.data, "materials") and item.type != "GREASEPENCIL" and item.is_editable and item.data.is_editable


def give_material(image: bpy.types.Image, words: str, items: Iterable[bpy.types.Object]) -> list[bpy.types.Material]:
    """A new material with the picture in each object's active slot; one for those with a UV map, one for the others."""
    made: dict[bool, bpy.types.Material] = {}
    for item in items:
        has_uv = item.type == "MESH" and bool(item.data.uv_layers)
        if has_uv not in made:
            made[has_uv] = _material(image, words, has_uv)
        item.active_material = made[has_uv]
    return list(made.values())


def _material(image: bpy.types.Image, words: str, has_uv: bool) -> bpy.types.Material:
    material = bpy.data.materials.new(name_of(words))
    materials.use_nodes(material)
    tree = material.node_tree
    texture, places = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeTexCoord")
    texture.image = image
    texture.location, places.location = (-320, 300), (-540, 300)
    if not has_uv:
        texture.projection, texture.projection_blend = "BOX", _BLEND
    tree.links.new(places.outputs["UV" if has_uv else "Generated"], texture.inputs["Vector"])
    tree.links.new(texture.outputs["Color"], materials.node(tree, "ShaderNodeBsdfPrincipled").inputs["Base Color"])
    tree.nodes.active = texture
    return material


def textures_of(items: Iterable[bpy.types.Object]) -> list[bpy.types.ShaderNodeTexImage]:
    """The active Image Texture node of each object's active material. Raises AlphaloomError `no_texture` where none has one."""
    owners = {item.active_material.name: item.active_material for item in items if item.active_material is not None}
    trees = [material.node_tree for material in owners.values() if material.is_editable and material.node_tree is not None]
    found = [tree.nodes.active for tree in trees if tree.nodes.active is not None and tree.nodes.active.type == "TEX_IMAGE"]
    if not found:
        raise errors.AlphaloomError(
            "no_texture", "No selected object has an active Image Texture node: click one in the Shader Editor."
        )
    return found


def give_image(source: bpy.types.Image, goal: bpy.types.Image) -> None:
    """The picture as it is now in an image that is there, packed. Raises AlphaloomError `not_yours`."""
    if any(goal.get(mark) for mark in (materials.PICTURE, materials.PREVIEW, materials.MASK, materials.SOURCE)):
        raise errors.AlphaloomError("not_yours", f"{goal.name!r} is a card's own: choose another image.")
    materials.fill(goal, source.packed_file.data)
