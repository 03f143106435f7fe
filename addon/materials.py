"""Materials of cards and links, and the images on them.

Design notes
- A card has a material of its own from its first picture on. Until then all share one that is nearly dark: a material costs
  more than all the rest of a card.
- Images and materials carry their node's id as a mark, and are found by it; what carries none is never touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from typing import Any

import bpy

PICTURE, PREVIEW = "alphaloom", "alphaloom_preview"
"""Marks of a node's image and of the image of its preview."""
MASK, SOURCE = "alphaloom_mask", "alphaloom_source"
"""Of the image in which its mask is painted, and of the source that it is painted over."""
_RARE = (MASK, SOURCE)
_IMAGES = {PICTURE: "Picture", PREVIEW: "Preview", MASK: "Mask", SOURCE: "Source"}
BLOB = "alphaloom_blob"
"""On a node's image: the blob that it shows."""
_LEFT = "alphaloom_left"
"""On an image that a deleted node has left to the artist's materials: that node, should it come back."""
GONE = "Alphaloom Gone"
"""What was laid aside until the next save: the mark of materials and images, the kind of objects, the name of all."""
_WITHOUT = "Alphaloom Without Picture"  # no id: ids have no spaces


MOST_NAME = 63
"""Bytes of a name that Blender 4.5 keeps."""


def named(what: str, ident: str) -> str:
    """What something that belongs to a node or link is called. An id may be too long for a name."""
    name = f"Alphaloom {what} {ident}"
    return name if len(name) <= MOST_NAME else f"Alphaloom {what} {hashlib.sha256(ident.encode()).hexdigest()[:32]}"


def of(node_id: str, picture: bpy.types.Object | None) -> list[bpy.types.ID]:
    """A node's own material, if its picture has one, and its images, to be deleted with it. An image that anything else
    uses is the artist's from now on."""
    material = picture.material_slots[0].material if picture is not None and picture.material_slots else None
    owned = [material] if material is not None and material.get(PICTURE) == node_id else []
    painted = bpy.data.materials.get(_image_name(MASK, node_id))
    if painted is not None and painted.get(MASK) == node_id:
        owned.append(painted)
    # Few nodes have these: they are found by name alone.
    rare = [found for mark in _RARE if (found := bpy.data.images.get(_image_name(mark, node_id))) is not None]
    images = [found for found in rare if node_id in (found.get(MASK), found.get(SOURCE))]
    images += [found for mark in (PICTURE, PREVIEW) if (found := image(mark, node_id)) is not None]
    return owned + [found for found in images if not _is_left(found, node_id, owned)]


def _is_left(image: bpy.types.Image, node_id: str, owned: list[bpy.types.Material]) -> bool:
    ours = sum(node.image == image for material in owned for node in material.node_tree.nodes if node.type == "TEX_IMAGE")
    if image.users <= ours:
        return False
    release(image)
    image[_LEFT] = node_id
    return True


def release(owned: bpy.types.Image | bpy.types.Material) -> None:
    """It is the artist's."""
    for mark in (*_IMAGES, BLOB, _LEFT):
        owned.pop(mark, None)


def release_all(idents: Container[str]) -> None:
    """What belongs to these nodes is the artist's."""
    for kind in (bpy.data.materials, bpy.data.images):
        for each in kind:
            if any(each.get(mark) in idents for mark in _IMAGES):
                release(each)


def lay_aside(owned: list[bpy.types.ID]) -> None:
    for each in owned:
        release(each)
        each[GONE], each.name = True, GONE


def laid_aside() -> list[bpy.types.ID]:
    return [each for kind in (bpy.data.materials, bpy.data.images) for each in kind if each.get(GONE)]


def image(mark: str, node_id: str) -> bpy.types.Image | None:
    named = bpy.data.images.get(_image_name(mark, node_id))
    if named is not None and named.get(mark) == node_id:
        return named
    return next((i for i in bpy.data.images if i.get(mark) == node_id), None)


def _image_name(mark: str, node_id: str) -> str:
    return named(_IMAGES[mark], node_id)


def new_image(mark: str, node_id: str, size: tuple[int, ...] = (8, 8)) -> bpy.types.Image:
    image = bpy.data.images.get(_image_name(mark, node_id))
    if image is None or image.get(_LEFT) != node_id:
        image = bpy.data.images.new(_image_name(mark, node_id), *size, alpha=mark == MASK)
    image.pop(_LEFT, None)
    image[mark] = node_id
    return image


def new_of_mask(node_id: str) -> bpy.types.Material:
    """For what its mask is painted on."""
    material = bpy.data.materials.new(_image_name(MASK, node_id))
    material[MASK] = node_id
    return material


def fill(image: bpy.types.Image, data: bytes) -> None:
    """Encoded bytes (PNG, JPEG), packed into the file as they came."""
    if image.packed_file is not None:
        image.unpack(method="REMOVE")
    image.source = "FILE"
    image.pack(data=data, data_len=len(data))
    image.buffers_free()
    image.update_tag()


def without_picture() -> bpy.types.Material:
    """Emission, so that a picture has its own colours in any light; nearly dark until it has one."""
    found = _marked(_WITHOUT)
    if found is not None:
        return found
    material = _new(_WITHOUT)
    tree = material.node_tree
    tree.nodes.clear()
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.name = "Alphaloom Picture"
    glow = tree.nodes.new("ShaderNodeEmission")
    glow.name = "Alphaloom Glow"
    glow.inputs["Strength"].default_value = 0.0
    out = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(texture.outputs["Color"], glow.inputs["Color"])
    tree.links.new(glow.outputs["Emission"], out.inputs["Surface"])
    tree.nodes.active = texture
    return material


def _marked(name: str) -> bpy.types.Material | None:
    return next((found for found in bpy.data.materials if found.get(PICTURE) == name), None)


def _new(name: str) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material[PICTURE] = name
    use_nodes(material)
    return material


def use_nodes(owner: bpy.types.Material | bpy.types.World) -> None:
    """Blender 5 makes them with nodes and will drop the switch; 4.5 still wants it."""
    if owner.node_tree is None:
        owner.use_nodes = True


def node(tree: bpy.types.NodeTree, kind: str) -> bpy.types.Node:
    """Its first node of this kind: Blender names nodes in the language of its interface."""
    return next(each for each in tree.nodes if each.bl_idname == kind)


def shared(name: str, colour: tuple[float, float, float], roughness: float = 0.5, glow: float = 0.0) -> bpy.types.Material:
    """One of the extension's few plain materials, made once. With `glow` it shines in its colour and takes no light."""
    found = _marked(name)
    if found is not None:
        return found
    material = _new(name)
    material.diffuse_color = (*colour, 1)
    shader: Any = node(material.node_tree, "ShaderNodeBsdfPrincipled")
    shader.inputs["Base Color"].default_value = (0, 0, 0, 1) if glow else (*colour, 1)
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Emission Color"].default_value = (*colour, 1)
    shader.inputs["Emission Strength"].default_value = glow
    return material
