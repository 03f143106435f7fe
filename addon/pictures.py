"""Pictures on the cards: packed as they came (PNG, JPEG), so that the .blend shows them without the broker."""

from __future__ import annotations

import bpy

from . import materials
from . import scene as cards
from .materials import BLOB, PICTURE, PREVIEW


def show_picture(node_id: str, blob: str, data: bytes) -> None:
    """Put encoded bytes (PNG, JPEG) on a node's card, packed into the file."""
    material = _material(node_id)
    if material is None:
        return
    image = materials.image(PICTURE, node_id) or materials.new_image(PICTURE, node_id)
    materials.fill(image, data)
    image[BLOB] = blob
    _show(material, image)
    preview = materials.image(PREVIEW, node_id)
    if preview is not None:
        bpy.data.images.remove(preview)


def show_preview(node_id: str, data: bytes) -> None:
    """Show what a picture looks like so far. The card's own picture stays in the file."""
    material = _material(node_id)
    if material is not None:
        image = materials.image(PREVIEW, node_id) or materials.new_image(PREVIEW, node_id)
        materials.fill(image, data)
        _show(material, image)


def hide_preview(node_id: str) -> None:
    """The card shows its own picture, if it has one."""
    preview = materials.image(PREVIEW, node_id)
    if preview is None:
        return
    material = _material(node_id)
    if material is not None:
        _show(material, materials.image(PICTURE, node_id))
    bpy.data.images.remove(preview)


def hide_previews() -> None:
    for image in [i for i in bpy.data.images if i.get(PREVIEW)]:
        hide_preview(image[PREVIEW])


def shown_blob(node_id: str) -> str:
    """The blob that a card shows, but for previews; empty when it shows none."""
    image = materials.image(PICTURE, node_id)
    return str(image.get(BLOB, "")) if image is not None else ""


def shown_blobs() -> dict[str, str]:
    """The same of all cards that show one."""
    return {image[PICTURE]: str(image.get(BLOB, "")) for image in bpy.data.images if image.get(PICTURE)}


def _material(node_id: str) -> bpy.types.Material | None:
    """A card's own material; made when there is none."""
    picture = cards.find("picture", node_id)
    if picture is None:
        return None
    slot = picture.material_slots[0]
    if slot.material is None or slot.material.get(PICTURE) != node_id:
        slot.material = materials.without_picture().copy()
        slot.material[PICTURE] = node_id
    return slot.material


def _show(material: bpy.types.Material, image: bpy.types.Image | None) -> None:
    material.node_tree.nodes["Alphaloom Picture"].image = image
    glow = material.node_tree.nodes["Alphaloom Glow"]
    glow.inputs["Strength"].default_value = 0.0 if image is None else 1.0
