"""Masks painted with Blender's own brushes, over the picture on its card, in Texture Paint mode.

Design notes
- Over the card's picture stands a plane of our own with an image of our own: pictures and previews that arrive meanwhile
  change what is below and never what is under the brush. A card's own material and mesh are left as they are.
- The image is as large as the source. What is painted, in whatever colour but black, is made anew; black and what was
  erased stay.
- What was turned in the tool settings for it is kept in the scene, and turned back: an undo or another file finds it there.
"""

from __future__ import annotations

from typing import Any

import bpy
from mathutils import Matrix

from . import materials, sources
from . import scene as cards
from .core import png
from .core.arrays import Array, np
from .core.shared import errors
from .session import session
from .translations import say

MASK, SOURCE = materials.MASK, materials.SOURCE
KIND = "mask"
FRONT = -0.004
"""Metres before the picture's body."""
TINT = (1.0, 0.12, 0.3, 1.0)
SHARE = 0.55
"""Of the tint where all is painted."""
_BEFORE = "alphaloom_before"
_fetching: dict[str, str] = {}
"""Blobs of sources that are fetched, by node."""


# -- the source's pixels ------------------------------------------------------------------------------------


def source_image(ident: str) -> bpy.types.Image | None:
    """What is painted over: the source as an image of this file; None where it is not here."""
    node = session.mirror.map.nodes.get(ident)
    blob = sources.source_of(node) if node is not None else None
    if node is None or not blob:
        return None
    parent = sources.goes_before(ident)
    held = (sources.image_of(parent.id if parent is not None else ident), materials.image(SOURCE, ident))
    return next((image for image in held if image is not None and image.get("alphaloom_blob") == blob), None)


def fetch_source(ident: str) -> None:
    """Have an uploaded source here, so that it can be painted over; once for each. Cards' pictures come by themselves."""
    node = session.mirror.map.nodes.get(ident)
    blob = node.source if node is not None and sources.goes_before(ident) is None else None
    if blob and _fetching.get(ident) != blob and source_image(ident) is None and session.connection.state == "online":
        _fetching[ident] = blob
        session.ask("GET", f"/v1/blobs/{blob}", lambda said: _hear(ident, blob, said))


def _hear(ident: str, blob: str, said: bytes | errors.AlphaloomError) -> None:
    if _fetching.get(ident) != blob:
        return
    session.news += 1
    if isinstance(said, errors.AlphaloomError):
        if said.code == "no_broker":
            del _fetching[ident]  # asked again when it is back
        else:
            sources.problems[ident] = say("The source cannot be had: {reason}").format(reason=said.message)
        return
    del _fetching[ident]
    if ident in session.mirror.map.nodes:
        image = materials.image(SOURCE, ident) or materials.new_image(SOURCE, ident)
        materials.fill(image, said)
        image["alphaloom_blob"] = blob


# -- painting -----------------------------------------------------------------------------------------------


def painted() -> str:
    """The node whose mask is painted now; empty when none is."""
    item = bpy.context.active_object
    is_it = item is not None and item.alphaloom.kind == KIND and item.mode == "TEXTURE_PAINT"
    return item.alphaloom.ident if is_it else ""


def begin(ident: str) -> None:
    """Stand the plane before the card's picture and paint on it. Raises AlphaloomError `no_source` or `unknown_node`."""
    picture, below = cards.find("picture", ident), source_image(ident)
    if picture is None:
        raise errors.AlphaloomError("unknown_node", "The card's picture is not in this scene.", node=ident)
    if below is None:
        raise errors.AlphaloomError("no_source", "There is no picture to paint over yet: generate one, or set a source.")
    canvas = _canvas(ident, below)
    plane = _plane(ident, picture, canvas, below)
    settings = bpy.context.tool_settings.image_paint
    layer = bpy.context.view_layer
    for item in list(bpy.context.selected_objects):
        item.select_set(False)
    layer.objects.active = plane
    plane.select_set(True)
    before = {"node": ident, "mode": settings.mode, "canvas": settings.canvas.name if settings.canvas is not None else ""}
    settings.mode, settings.canvas = "IMAGE", canvas
    bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
    colours = _colours(settings)
    if colours is not None:
        before["colour"] = tuple(colours.color)
        colours.color = (1, 1, 1)
    bpy.context.scene[_BEFORE] = before


def end(ident: str) -> None:
    """Leave painting; the mask stays in the file, to be gone on with. What was turned for it is as it was."""
    if painted() == ident:
        bpy.ops.object.mode_set(mode="OBJECT")
    before = bpy.context.scene.pop(_BEFORE, None)
    settings = bpy.context.tool_settings.image_paint
    if before:
        settings.mode, settings.canvas = before["mode"], bpy.data.images.get(before["canvas"])
        colours = _colours(settings)
        if colours is not None and "colour" in before:
            colours.color = before["colour"]
    keep(ident)
    plane, card, layer = cards.find(KIND, ident), cards.find("card", ident), bpy.context.view_layer
    was_active = layer.objects.active in (None, plane)
    if plane is not None:
        _remove(plane)
    if was_active and card is not None and card.name in layer.objects:
        layer.objects.active = card
        card.select_set(True)


def use(ident: str) -> None:
    """Upload what is painted, and make the node paint it anew. Raises AlphaloomError `no_mask` or `unknown_node`."""
    node = session.mirror.map.nodes.get(ident)
    if node is None:
        raise errors.AlphaloomError("unknown_node", "The node is on the map no more.", node=ident)
    canvas = materials.image(MASK, ident)
    white = grey(canvas) if canvas is not None else np.zeros((1, 1), np.uint8)
    if not white.any():
        raise errors.AlphaloomError("no_mask", "Nothing is painted yet. Paint over what shall be made anew.", node=ident)
    below = source_image(ident)
    if below is None or tuple(below.size) != white.shape[::-1]:
        raise errors.AlphaloomError(
            "mask_size",
            "The source has another size than when it was painted over: clear the mask, and paint anew.",
            node=ident,
        )
    more: dict[str, Any] = {"task": "inpaint"}
    if node.source is None and sources.goes_before(ident) is None:
        more["source"] = node.picture
    end(ident)
    sources.upload(ident, "mask", png.encode(white[:, :, None]), more)


def clear(ident: str) -> None:
    """Nothing is painted any more: on the canvas, and on the node."""
    canvas = materials.image(MASK, ident)
    if canvas is not None:
        empty = _empty(ident, tuple(canvas.size))  # another image: Blender's undo brings back images, not their pixels
        canvas.user_remap(empty)
        name = canvas.name
        bpy.data.images.remove(canvas)
        empty.name = name
    node = session.mirror.map.nodes.get(ident)
    if node is not None and node.mask is not None:
        sources.put(ident, {"mask": None})


def grey(canvas: bpy.types.Image) -> Array:
    """The mask (height, width) of bytes, the top row first: how much each pixel is painted, in any colour but black."""
    found = sources.pixels(canvas)
    return np.rint(255 * np.clip(found[:, :, :3].max(2) * found[:, :, 3], 0, 1)).astype(np.uint8)


def keep(ident: str) -> None:
    """Pack what is painted into the file, as Blender does not by itself."""
    canvas = materials.image(MASK, ident)
    if canvas is not None and canvas.is_dirty:
        canvas.pack()


def _canvas(ident: str, below: bpy.types.Image) -> bpy.types.Image:
    """The mask as it was left, or an empty one where there is none of the source's size."""
    canvas = materials.image(MASK, ident)
    if canvas is not None and tuple(canvas.size) == tuple(below.size):
        return canvas
    if canvas is not None:
        bpy.data.images.remove(canvas)
    return _empty(ident, tuple(below.size))


def _empty(ident: str, size: tuple[int, ...]) -> bpy.types.Image:
    canvas = materials.new_image(MASK, ident, size)
    canvas.generated_color = (0, 0, 0, 0)
    canvas.use_fake_user = True
    return canvas


def _plane(ident: str, picture: bpy.types.Object, canvas: bpy.types.Image, below: bpy.types.Image) -> bpy.types.Object:
    plane = cards.find(KIND, ident)
    if plane is None:
        plane = picture.copy()
        plane.data = picture.data.copy()
        plane.data.transform(Matrix.Diagonal((*picture.scale, 1)))
        plane.scale = (1, 1, 1)  # brushes warn of any other
        plane.name = materials.named("Mask", ident)
        plane.alphaloom.ident, plane.alphaloom.kind = ident, KIND
        plane.location.y += FRONT
        cards.collection(bpy.context.scene, parts=True).objects.link(plane)
    material = materials.new_of_mask(ident)
    _see_through(material, canvas, below)
    plane.material_slots[0].material = material
    bpy.context.view_layer.update()
    return plane


def _see_through(material: bpy.types.Material, canvas: bpy.types.Image, below: bpy.types.Image) -> None:
    """The source in its own colours, tinted where the mask is painted."""
    materials.use_nodes(material)
    tree = material.node_tree
    tree.nodes.clear()
    source, mask = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeTexImage")
    source.image, mask.image = below, canvas
    share = tree.nodes.new("ShaderNodeMath")
    share.operation = "MULTIPLY"
    share.inputs[1].default_value = SHARE
    mix = tree.nodes.new("ShaderNodeMixRGB")
    mix.inputs["Color2"].default_value = TINT
    glow, out = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    for start, target in (
        (mask.outputs["Alpha"], share.inputs[0]),
        (share.outputs[0], mix.inputs["Fac"]),
        (source.outputs["Color"], mix.inputs["Color1"]),
        (mix.outputs["Color"], glow.inputs["Color"]),
        (glow.outputs["Emission"], out.inputs["Surface"]),
    ):
        tree.links.new(start, target)
    tree.nodes.active = mask


def _colours(settings: Any) -> Any:
    """What holds the brush's colour, in Blender 5 and in 4.5; None where there is no brush."""
    unified = getattr(settings, "unified_paint_settings", None) or bpy.context.tool_settings.unified_paint_settings
    return unified if unified.use_unified_color else settings.brush


def _remove(plane: bpy.types.Object) -> None:
    mesh, material = plane.data, plane.material_slots[0].material
    bpy.data.objects.remove(plane)
    bpy.data.batch_remove([each for each in (mesh, material) if each is not None and not each.users])


# -- by itself ----------------------------------------------------------------------------------------------


def step(_until: float) -> None:
    """The artist may leave painting with Blender's own means, and others may delete the node under the brush."""
    before = bpy.context.scene.get(_BEFORE)
    if before and not painted() and bpy.context.mode == "OBJECT":
        end(before["node"])


@bpy.app.handlers.persistent
def _before_saving(*_: object) -> None:
    for image in bpy.data.images:
        if image.get(MASK):
            keep(image[MASK])


def register() -> None:
    session.chores.append(step)
    session.ended.append(_fetching.clear)
    bpy.app.handlers.save_pre.append(_before_saving)


def unregister() -> None:
    session.drop(step)
    session.ended.remove(_fetching.clear)
    if _before_saving in bpy.app.handlers.save_pre:
        bpy.app.handlers.save_pre.remove(_before_saving)
    _fetching.clear()
