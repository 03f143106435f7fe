"""The map as Blender objects: cards that stand in the XZ plane, links as curves, all in our own collection.

Design notes
- Everything that is made here carries its node's or link's id; nothing without one is ever touched.
- Nothing is held between calls: undo and file loading replace objects, so they are found by id each time.
- A card is one selectable body; picture, label and caption are its children and follow it when it is moved.
- Pictures are packed as they came (PNG): the .blend shows them without the broker.
"""

from __future__ import annotations

import math
from typing import Any

import bpy

from .shared import model

UNIT = 2.0  # metres in a card's width
FRONT = -1.5  # metres: where cards stand in depth, clear of what most scenes have at the origin
DEPTH = 0.08
PICTURE = 1.84
LABEL_HEIGHT = 0.54
CORNER = 0.09
LINK_COLOURS = {"prompt": (0.1, 0.4, 1.0), "image": (1.0, 0.3, 0.04), "blend": (0.55, 0.16, 1.0)}
_PREVIEW = "alphaloom_preview"
"""Marks the image of a node's preview by the node's id."""
_MARGIN = (UNIT - PICTURE) / 2


def collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    """The map's own collection, wherever it is; made in `scene` when it is not there.

    A user's collection of the same name is left alone.
    """
    for found in bpy.data.collections:
        if found.alphaloom_is_map:
            if not found.users:
                scene.collection.children.link(found)
            return found
    made = bpy.data.collections.new("Alphaloom")
    made.alphaloom_is_map = True
    scene.collection.children.link(made)
    return made


def find(kind: str, ident: str) -> bpy.types.Object | None:
    """The object of `kind` ('card', 'picture', 'label', 'caption', 'link') that belongs to a node or link."""
    for owner in bpy.data.collections:
        if owner.alphaloom_is_map:
            for item in owner.objects:
                if item.alphaloom.ident == ident and item.alphaloom.kind == kind:
                    return item
    return None


# -- cards ------------------------------------------------------------------------------------------------


def put_card(scene: bpy.types.Scene, node: model.Node, move: bool = True) -> bpy.types.Object:
    """Make a node's card, or bring it up to date; without `move` one that is there stays where it stands."""
    card = find("card", node.id)
    if card is None:
        card, move = _make_card(scene, node), True
    place = (node.x * UNIT, card.location.y, node.y * UNIT)
    if move and tuple(round(v, 4) for v in card.location) != tuple(round(v, 4) for v in place):
        card.location = place
    shape_picture(node)
    set_text(find("label", node.id), wrapped(node.prompt or "(inherits its words)"))
    write_caption(node, "")
    return card


def write_caption(node: model.Node, state: str) -> None:
    """The small line under the label: what the node does, or how its job stands."""
    set_text(find("caption", node.id), shortened(state, 40) if state else f"{node.task} · seed {node.settings.seed}")


def remove(ident: str) -> None:
    """Delete everything that was made for a node or link."""
    for owner in [c for c in bpy.data.collections if c.alphaloom_is_map]:
        for item in [o for o in owner.objects if o.alphaloom.ident == ident]:
            data = item.data
            bpy.data.objects.remove(item)
            if data is not None and data.users == 0:
                bpy.data.batch_remove([data])
    for owned in (bpy.data.materials, bpy.data.images):
        for item in [i for i in owned if ident in (i.get("alphaloom"), i.get(_PREVIEW))]:
            owned.remove(item)


def idents() -> dict[str, str]:
    """The ids of all cards and links that are there, with their kind."""
    found = {}
    for owner in bpy.data.collections:
        if owner.alphaloom_is_map:
            for item in owner.objects:
                if item.alphaloom.kind in ("card", "link"):
                    found[item.alphaloom.ident] = item.alphaloom.kind
    return found


def places() -> dict[str, tuple[float, float]]:
    """Where each card stands, in card widths."""
    return {
        item.alphaloom.ident: (item.location.x / UNIT, item.location.z / UNIT)
        for owner in bpy.data.collections
        if owner.alphaloom_is_map
        for item in owner.objects
        if item.alphaloom.kind == "card"
    }


def _make_card(scene: bpy.types.Scene, node: model.Node) -> bpy.types.Object:
    remove(node.id)  # what is left of a card whose body was deleted
    height = UNIT + LABEL_HEIGHT
    body = _add(scene, "card", node.id, _rounded_plate(UNIT, height, DEPTH, CORNER))
    body.location.y = FRONT
    body.data.materials.append(shared_material("Alphaloom Card", (0.05, 0.056, 0.08), 0.4))

    picture = _child(scene, body, "picture", node.id, bpy.data.meshes.new("Alphaloom Picture"), (0, -0.002, 0))
    picture.data.from_pydata([(-0.5, 0, -0.5), (0.5, 0, -0.5), (0.5, 0, 0.5), (-0.5, 0, 0.5)], [], [(0, 1, 2, 3)])
    corners = picture.data.uv_layers.new().data
    for loop, uv in zip(corners, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        loop.uv = uv
    picture.data.materials.append(_picture_material(node.id))

    bottom = -PICTURE / 2
    for kind, size, drop, colour in (
        ("label", 0.15, 0.22, (0.9, 0.93, 1.0)),
        ("caption", 0.1, 0.535, (0.5, 0.58, 0.72)),
    ):
        curve = bpy.data.curves.new(f"Alphaloom {kind.title()}", "FONT")
        curve.size, curve.align_x = size, "CENTER"
        curve.space_line = 0.95
        text = _child(scene, body, kind, node.id, curve, (0, -0.006, bottom - drop))
        text.rotation_euler.x = math.pi / 2
        text.data.materials.append(shared_material(f"Alphaloom {kind.title()}", colour, glow=1.0))
    return body


def shape_picture(node: model.Node) -> None:
    """Fit the picture's plane into its square, in the node's proportions."""
    picture = find("picture", node.id)
    if picture is not None:
        longest = max(node.settings.width, node.settings.height)
        picture.scale = (PICTURE * node.settings.width / longest, 1, PICTURE * node.settings.height / longest)


def _child(
    scene: bpy.types.Scene, body: bpy.types.Object, kind: str, ident: str, data: bpy.types.ID, place: tuple[float, float, float]
) -> bpy.types.Object:
    made = _add(scene, kind, ident, data)
    made.parent = body
    made.location = place
    made.hide_select = True
    return made


def _add(scene: bpy.types.Scene, kind: str, ident: str, data: bpy.types.ID) -> bpy.types.Object:
    made = bpy.data.objects.new(f"Alphaloom {kind.title()}", data)
    made.alphaloom.ident, made.alphaloom.kind = ident, kind
    collection(scene).objects.link(made)
    return made


def _rounded_plate(width: float, height: float, depth: float, corner: float) -> bpy.types.Mesh:
    """A plate in XZ whose front lies at y = 0; its picture's square is centred on the origin."""
    steps = 6
    right, top, bottom = width / 2 - corner, width / 2 - corner, width / 2 - height + corner
    centres = ((right, top), (-right, top), (-right, bottom), (right, bottom))  # of the corners' arcs
    outline = []
    for n, (x, z) in enumerate(centres):
        for step in range(steps + 1):
            angle = math.pi / 2 * (n + step / steps)
            outline.append((x + corner * math.cos(angle), z + corner * math.sin(angle)))
    count = len(outline)
    points = [(x, y, z) for y in (0.0, depth) for x, z in outline]
    front, back = list(range(count))[::-1], list(range(count, 2 * count))
    sides = [(n, (n + 1) % count, count + (n + 1) % count, count + n) for n in range(count)]
    mesh = bpy.data.meshes.new("Alphaloom Card")
    mesh.from_pydata(points, [], [front, back, *sides])
    mesh.update()
    return mesh


# -- words ------------------------------------------------------------------------------------------------


def set_text(text: bpy.types.Object | None, body: str) -> None:
    if text is not None and text.data.body != body:
        text.data.body = body


def wrapped(prompt: str, width: int = 25, lines: int = 2) -> str:
    """A prompt as a label: at most `lines` of `width` characters, cut with an ellipsis."""
    rows = [""]
    for word in prompt.split():
        longer = f"{rows[-1]} {word}".strip()
        if len(longer) <= width:
            rows[-1] = longer
        else:
            rows.append(word)
    rows = [r for r in rows if r]
    if len(rows) > lines:
        rows = [*rows[: lines - 1], shortened(" ".join(rows[lines - 1 :]), width)]
    return "\n".join(shortened(row, width) for row in rows)


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip(" ,") + "…"


# -- pictures ---------------------------------------------------------------------------------------------


def show_picture(node_id: str, blob: str, data: bytes) -> None:
    """Put encoded bytes (PNG, JPEG) on a node's card, packed into the file."""
    if _material(node_id) is None:
        return
    image = _image("alphaloom", node_id) or _new_image("alphaloom", node_id)
    _fill(image, data)
    image["alphaloom_blob"] = blob
    hide_preview(node_id)


def show_preview(node_id: str, data: bytes) -> None:
    """Show what a picture looks like so far. The card's own picture stays in the file."""
    material = _material(node_id)
    if material is not None:
        image = _image(_PREVIEW, node_id) or _new_image(_PREVIEW, node_id)
        _fill(image, data)
        _show(material, image)


def hide_preview(node_id: str) -> None:
    """The card shows its own picture, if it has one."""
    material, preview = _material(node_id), _image(_PREVIEW, node_id)
    if material is not None:
        _show(material, _image("alphaloom", node_id))
    if preview is not None:
        bpy.data.images.remove(preview)


def hide_previews() -> None:
    for image in [i for i in bpy.data.images if i.get(_PREVIEW)]:
        hide_preview(image[_PREVIEW])


def shown_blob(node_id: str) -> str:
    """The blob that a card shows, but for previews; empty when it shows none."""
    image = _image("alphaloom", node_id)
    return str(image.get("alphaloom_blob", "")) if image is not None else ""


def _material(node_id: str) -> bpy.types.Material | None:
    return next((m for m in bpy.data.materials if m.get("alphaloom") == node_id), None)


def _image(mark: str, node_id: str) -> bpy.types.Image | None:
    return next((i for i in bpy.data.images if i.get(mark) == node_id), None)


def _new_image(mark: str, node_id: str) -> bpy.types.Image:
    image = bpy.data.images.new(f"Alphaloom {node_id[:8]}", 8, 8)
    image[mark] = node_id
    return image


def _fill(image: bpy.types.Image, data: bytes) -> None:
    if image.packed_file is not None:
        image.unpack(method="REMOVE")
    image.source = "FILE"
    image.pack(data=data, data_len=len(data))
    image.buffers_free()
    image.update_tag()


def _show(material: bpy.types.Material, image: bpy.types.Image | None) -> None:
    material.node_tree.nodes["Alphaloom Picture"].image = image
    glow = material.node_tree.nodes["Alphaloom Glow"]
    glow.inputs["Strength"].default_value = 0.0 if image is None else 1.0


def _picture_material(node_id: str) -> bpy.types.Material:
    """Emission, so that a picture has its own colours in any light; nearly dark until it has one."""
    material = bpy.data.materials.new("Alphaloom Picture")
    material["alphaloom"] = node_id
    use_nodes(material)
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


def use_nodes(owner: bpy.types.Material | bpy.types.World) -> None:
    """Blender 5 makes them with nodes and will drop the switch; 4.5 still wants it."""
    if owner.node_tree is None:
        owner.use_nodes = True


def shared_material(
    name: str, colour: tuple[float, float, float], roughness: float = 0.5, glow: float = 0.0
) -> bpy.types.Material:
    """One of the extension's few plain materials, made once. With `glow` it shines in its colour and takes no light."""
    for found in bpy.data.materials:
        if found.get("alphaloom") == name:
            return found
    material = bpy.data.materials.new(name)
    material["alphaloom"] = name
    use_nodes(material)
    material.diffuse_color = (*colour, 1)
    shader: Any = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (0, 0, 0, 1) if glow else (*colour, 1)
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Emission Color"].default_value = (*colour, 1)
    shader.inputs["Emission Strength"].default_value = glow
    return material


# -- links ------------------------------------------------------------------------------------------------


def put_link(scene: bpy.types.Scene, link: model.Link) -> None:
    """Draw a link between its two cards, from edge to edge, or bring it up to date."""
    parent, child = find("card", link.parent), find("card", link.child)
    if parent is None or child is None:
        return
    curve = find("link", link.id)
    if curve is None:
        data = bpy.data.curves.new("Alphaloom Link", "CURVE")
        data.dimensions = "3D"
        data.bevel_depth = 0.028
        data.bevel_resolution = 3
        data.resolution_u = 24
        data.splines.new("BEZIER").bezier_points.add(1)
        data.materials.append(shared_material(f"Alphaloom {link.kind} link", LINK_COLOURS[link.kind], glow=0.9))
        curve = _add(scene, "link", link.id, data)
        curve.hide_select = True
    start, out = _port(parent, child)
    end, into = _port(child, parent)
    reach = 0.45 * math.dist(start, end)
    first, last = curve.data.splines[0].bezier_points
    for point, place, aim in ((first, start, out), (last, end, into)):
        point.handle_left_type = point.handle_right_type = "FREE"
        point.co = place
        handle = tuple(p + reach * a for p, a in zip(place, aim, strict=True))
        point.handle_right = handle if point is first else place
        point.handle_left = place if point is first else handle
    first.radius, last.radius = 0.7, 1.3


Place = tuple[float, float, float]


def _port(card: bpy.types.Object, other: bpy.types.Object) -> tuple[Place, Place]:
    """The middle of the side of `card` that faces `other`, behind the front, and the way out of it."""
    x, y, z = card.location
    dx, dz = other.location.x - x, other.location.z - z
    y += DEPTH / 2
    if abs(dx) >= 0.8 * abs(dz):
        side = math.copysign(1, dx)
        return (x + side * UNIT / 2, y, z - LABEL_HEIGHT / 2), (side, 0, 0)
    if dz > 0:
        return (x, y, z + UNIT / 2), (0, 0, 1)
    return (x, y, z - UNIT / 2 - LABEL_HEIGHT), (0, 0, -1)
