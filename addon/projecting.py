"""A picture thrown onto meshes from where it is seen, as a slide projector would.

Design notes
- Where a corner lies in the picture is kept as (u w, v w, w) in an attribute, and divided in the shader: exact on faces of
  any size, where a UV map would bend, and it stays on the mesh when that is moved or deformed afterwards.
- A UV map goes along for tools that know nothing of attributes; on large faces in perspective it bends.
- Only the faces that get the picture change their material; the mesh's other materials, UV maps and faces stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from . import materials, sight
from .core.arrays import Array, np
from .core.shared import errors
from .giving import name_of
from .viewpoint import Viewpoint

NAME = "Alphaloom Projection"
_MARK = "alphaloom_projection"
"""On a material: the UV map that was made for it, whose attribute it goes by."""
MOST_LOOKS = 100_000
"""Lines of sight for one mesh, a second's worth; one with more corners in the frame is taken for unhidden."""
_NEAR = 1e-3
"""How much nearer, as a part of the way, something must be to hide a face."""
_INNER = 0.8
"""Where in a face it is looked at, from its middle to each corner."""


@dataclass(frozen=True)
class _Faces:
    """A mesh in the world; corners of all faces one after another."""

    points: Array
    """(points, 3)."""
    corners: Array
    """Each corner's point."""
    starts: Array
    """Each face's first corner."""
    totals: Array
    """And how many it has."""
    centres: Array
    normals: Array

    def of_corners(self, reduce: np.ufunc, values: Array) -> Array:
        """What the corners' values (points, …) come to for each face."""
        return reduce.reduceat(values[self.corners], self.starts)


@dataclass(frozen=True)
class Lit:
    """What of a mesh the picture falls on."""

    item: bpy.types.Object
    faces: _Faces
    places: Array
    """Each point's in the picture, as Viewpoint.project."""
    chosen: Array
    """(faces,): whether it gets the picture."""


def aim(
    scene: bpy.types.Scene,
    depsgraph: bpy.types.Depsgraph,
    item: bpy.types.Object,
    viewpoint: Viewpoint,
    all_faces: bool = False,
) -> Lit:
    """Where a picture falls on a mesh. With `all_faces` also on those that are turned away or hidden; never on those behind
    the camera or outside of the picture. Raises AlphaloomError `not_editable`.

    All meshes are aimed at before any is changed: `depsgraph` does not know them as they are changed.
    """
    if not item.data.is_editable or item.mode != "OBJECT":
        raise errors.AlphaloomError(
            "not_editable", f"{item.name!r} cannot be changed: leave its Edit Mode, or make its linked data local."
        )
    if not len(item.data.polygons):
        raise errors.AlphaloomError("no_faces", f"{item.name!r} has no faces.")
    faces = _faces(item, depsgraph)
    places = viewpoint.project(faces.points)
    chosen = _within(faces, places)
    if not all_faces:
        chosen &= _facing(faces, viewpoint)
        chosen &= _unhidden(scene, depsgraph, faces, viewpoint, chosen, _slack(item, depsgraph))
    return Lit(item, faces, places, chosen)


def _faces(item: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> _Faces:
    """As the mesh is seen where modifiers leave its points one by one, or else as it is without them."""
    mesh, seen = item.data, item.evaluated_get(depsgraph)
    shape = mesh if _reshaped(item, depsgraph) else seen.data
    points = _read(shape.vertices, "co", 3)
    matrix = np.array(seen.matrix_world)
    points = points @ matrix[:3, :3].T + matrix[:3, 3]
    centres = _read(shape.polygons, "center", 3) @ matrix[:3, :3].T + matrix[:3, 3]
    normals = _read(shape.polygons, "normal", 3) @ np.linalg.pinv(matrix[:3, :3])
    corners = _read(mesh.loops, "vertex_index", 1, "i4").ravel()
    starts = _read(mesh.polygons, "loop_start", 1, "i4").ravel()
    totals = _read(mesh.polygons, "loop_total", 1, "i4").ravel()
    return _Faces(points, corners, starts, totals, centres, normals)


def _reshaped(item: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether modifiers have made other points and faces of it."""
    seen = item.evaluated_get(depsgraph).data
    return any(len(getattr(seen, each)) != len(getattr(item.data, each)) for each in ("vertices", "polygons", "loops"))


def _read(owner: bpy.types.bpy_prop_collection, name: str, width: int, kind: str = "f4") -> Array:
    values = np.empty(len(owner) * width, kind)
    owner.foreach_get(name, values)
    return values.astype("f8" if kind == "f4" else kind).reshape(-1, width)


# -- which faces ------------------------------------------------------------------------------------------


def _within(faces: _Faces, places: Array) -> Array:
    """Faces that are all in front, and in the picture with any part."""
    in_front = faces.of_corners(np.minimum, places[:, 2]) > 1e-6
    flat = places[:, :2] / np.where(places[:, 2:] > 1e-6, places[:, 2:], np.inf)
    low, high = faces.of_corners(np.minimum, flat), faces.of_corners(np.maximum, flat)
    return in_front & (low < 1).all(1) & (high > 0).all(1)


def _facing(faces: _Faces, viewpoint: Viewpoint) -> Array:
    ways = viewpoint.forward if viewpoint.is_flat else faces.centres - viewpoint.place
    return (faces.normals * ways).sum(1) < 0


def _slack(item: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> float:
    """How far its faces may lie behind what is seen of it: modifiers have moved that."""
    return 0.1 * max(item.dimensions) if _reshaped(item, depsgraph) else 0.0


def _unhidden(
    scene: bpy.types.Scene,
    depsgraph: bpy.types.Depsgraph,
    faces: _Faces,
    viewpoint: Viewpoint,
    asked: Array,
    slack: float,
) -> Array:
    """Those of the `asked` faces whose middle is seen, or one of whose corners; or of which only other parts are in the
    picture."""
    if faces.totals[asked].sum() > MOST_LOOKS:
        return asked
    owners = np.repeat(np.arange(len(asked)), faces.totals)
    inside, seen = np.zeros(len(asked), bool), np.zeros(len(asked), bool)

    def look(owner: Array, goals: Array) -> None:
        is_inside, is_seen = _in_sight(scene, depsgraph, viewpoint, goals, slack)
        np.logical_or.at(inside, owner, is_inside)
        np.logical_or.at(seen, owner, is_seen)

    look(np.flatnonzero(asked), faces.centres[asked])
    left = (asked & ~seen)[owners]
    centres = faces.centres[owners[left]]
    look(owners[left], centres + _INNER * (faces.points[faces.corners[left]] - centres))
    return asked & (seen | ~inside)


def _in_sight(
    scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, viewpoint: Viewpoint, goals: Array, slack: float
) -> tuple[Array, Array]:
    """Which of some places (n, 3) are in the picture, and which of those are seen."""
    places = viewpoint.project(goals)
    inside = ((places[:, :2] >= 0) & (places[:, :2] <= places[:, 2:])).all(1)
    u, v = (places[inside, :2] / places[inside, 2:]).T
    starts, ways = viewpoint.rays(u, v)
    least = np.linalg.norm(goals[inside] - starts, axis=1) * (1 - _NEAR) - slack
    hits = (sight.look(scene, depsgraph, start, way) for start, way in zip(starts, ways, strict=True))
    far = np.array([[np.inf] * 3 if hit is None else hit for hit in hits]).reshape(-1, 3)
    seen = inside.copy()
    seen[inside] = np.linalg.norm(far - starts, axis=1) >= least
    return inside, seen


# -- what is put on the mesh ------------------------------------------------------------------------------


def put(lit: Lit, image: bpy.types.Image, words: str) -> None:
    """Throw a picture onto a mesh."""
    mesh, chosen = lit.item.data, lit.chosen
    used = _read(mesh.polygons, "material_index", 1, "i4").ravel()
    slot = _slot_to_use_again(mesh, used, chosen)
    layer = mesh.materials[slot][_MARK] if slot is not None else _free_name(mesh)
    _write(mesh, layer, lit.faces, lit.places)
    if slot is None:
        if not mesh.materials:
            mesh.materials.append(None)  # or faces without a material would have this one
        mesh.materials.append(_material(image, words, layer))
        slot = len(mesh.materials) - 1
    elif not _change(mesh.materials[slot], image):
        mesh.materials[slot] = _material(image, words, layer)
    used[chosen] = slot
    mesh.polygons.foreach_set("material_index", used)
    mesh.update()


def _change(material: bpy.types.Material, image: bpy.types.Image) -> bool:
    """Another picture in an earlier projection's material, which keeps what the artist has made of it; unless other meshes
    have it, too."""
    texture = material.node_tree.nodes.get(NAME) if material.users == 1 else None
    if texture is None:
        return False
    texture.image = image
    return True


def _slot_to_use_again(mesh: bpy.types.Mesh, used: Array, chosen: Array) -> int | None:
    """One of an earlier projection, of which nothing would be left."""
    for slot, material in enumerate(mesh.materials):
        if material is not None and _exact(material.get(_MARK, "")) in mesh.attributes and chosen[used == slot].all():
            return slot
    return None


def _free_name(mesh: bpy.types.Mesh) -> str:
    name, number = NAME, 0
    while name in mesh.attributes or _exact(name) in mesh.attributes:
        number += 1
        name = f"{NAME}.{number:03}"
    return name


def _exact(layer: str) -> str:
    """The attribute's name beside the UV map's."""
    return f"{layer} Exact"


def _write(mesh: bpy.types.Mesh, layer: str, faces: _Faces, places: Array) -> None:
    attribute = mesh.attributes.get(_exact(layer)) or mesh.attributes.new(_exact(layer), "FLOAT_VECTOR", "POINT")
    attribute.data.foreach_set("vector", places.astype(np.float32).ravel())
    active = mesh.uv_layers.active.name if mesh.uv_layers.active is not None else ""
    made = mesh.uv_layers.get(layer) or mesh.uv_layers.new(name=layer, do_init=False)
    if made is None:  # a mesh has eight at most, and the attribute does without
        return
    flat = places[:, :2] / np.where(places[:, 2:] > 1e-6, places[:, 2:], 1.0)
    made.uv.foreach_set("vector", flat[faces.corners].astype(np.float32).ravel())
    if active:
        mesh.uv_layers.active = mesh.uv_layers[active]


def _material(image: bpy.types.Image, words: str, layer: str) -> bpy.types.Material:
    """Its picture lies where the attribute says, divided for each pixel."""
    material = bpy.data.materials.new(name_of(words))
    material[_MARK] = layer
    materials.use_nodes(material)
    tree = material.node_tree
    kinds = ("ShaderNodeAttribute", "ShaderNodeSeparateXYZ", "ShaderNodeMath", "ShaderNodeVectorMath", "ShaderNodeTexImage")
    made = [tree.nodes.new(kind) for kind in kinds]
    for column, node in enumerate(made):
        node.location = (200 * column - 1200, 300)
    places, parts, inverse, divided, texture = made
    places.attribute_name = _exact(layer)
    inverse.operation, divided.operation = "DIVIDE", "SCALE"
    inverse.inputs[0].default_value = 1.0
    texture.name, texture.image, texture.extension = NAME, image, "EXTEND"
    links = tree.links
    links.new(places.outputs["Vector"], parts.inputs[0])
    links.new(parts.outputs["Z"], inverse.inputs[1])
    links.new(places.outputs["Vector"], divided.inputs[0])
    links.new(inverse.outputs[0], divided.inputs["Scale"])
    links.new(divided.outputs["Vector"], texture.inputs["Vector"])
    links.new(texture.outputs["Color"], materials.node(tree, "ShaderNodeBsdfPrincipled").inputs["Base Color"])
    tree.nodes.active = texture
    return material
