"""Where a picture is seen from: the scene's camera or a 3D view, with a picture's own proportions.

Depth maps and projections go through the same frame, so that a picture made from one fits the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from .core.arrays import Array, np
from .core.shared import errors


@dataclass(frozen=True)
class Viewpoint:
    view: Array
    """(4, 4): from the world to where -Z is forward."""
    window: Array
    """(4, 4): from there to -1..1 over the picture."""

    @property
    def is_flat(self) -> bool:
        """Orthographic."""
        return bool(self.window[3, 3] == 1)

    @property
    def place(self) -> Array:
        return np.linalg.inv(self.view)[:3, 3]

    @property
    def forward(self) -> Array:
        return -self.view[2, :3] / np.linalg.norm(self.view[2, :3])

    def project(self, points: Array) -> Array:
        """Points (n, 3) of the world as (u w, v w, w): divided by w, which is above 0 in front, 0..1 over the picture.

        These three change linearly over any flat face, however it stands; u and v do not.
        """
        x, y, _, w = (_homogeneous(points) @ (self.window @ self.view).T).T
        return np.stack([(x + w) / 2, (y + w) / 2, w], 1)

    def depths(self, points: Array) -> Array:
        """How far in front points (n, 3) lie, along the view."""
        return -(_homogeneous(points) @ self.view.T)[:, 2]

    def rays(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Where lines of sight through places of the picture (n,) begin, and their directions, each (n, 3)."""
        back = np.linalg.inv(self.window @ self.view)
        ends = []
        for depth in (-1.0, 1.0):
            at = np.stack([2 * u - 1, 2 * v - 1, np.full_like(u, depth), np.ones_like(u)], 1) @ back.T
            ends.append(at[:, :3] / at[:, 3:])
        near, far = ends
        ways = far - near
        return near, ways / np.linalg.norm(ways, axis=1, keepdims=True)


def of_camera(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, width: int, height: int) -> Viewpoint:
    """Raises AlphaloomError `no_camera` or `bad_camera`."""
    camera = scene.camera
    if camera is None or camera.type != "CAMERA":
        raise errors.AlphaloomError("no_camera", f"Scene {scene.name!r} has no camera: add one, or choose the view.")
    if camera.data.type not in ("PERSP", "ORTHO"):
        raise errors.AlphaloomError(
            "bad_camera", f"Camera {camera.name!r} is panoramic: choose a perspective or orthographic one, or the view."
        )
    window = camera.calc_matrix_camera(depsgraph, x=width, y=height)
    place = camera.evaluated_get(depsgraph).matrix_world.normalized()  # Blender's cameras do not mind their scale
    return Viewpoint(np.array(place.inverted()), np.array(window))


def of_view(region: bpy.types.Region, seen: bpy.types.RegionView3D, width: int, height: int) -> Viewpoint:
    """The largest part of a view, in its middle, that has the picture's proportions."""
    window = np.array(seen.window_matrix)
    wanted, there = width / height, region.width / region.height
    if wanted > there:
        window[1] *= wanted / there
    else:
        window[0] *= there / wanted
    return Viewpoint(np.array(seen.view_matrix), window)


def here(context: bpy.types.Context, source: str, width: int, height: int) -> Viewpoint:
    """From the 'CAMERA' or the 'VIEW'; without a view, or when it looks through the camera, from the camera.

    Raises AlphaloomError `no_camera` or `bad_camera`.
    """
    seen = view_of(context)
    if source == "CAMERA" and context.scene.camera is None and seen is not None:
        source = "VIEW"
    if source == "VIEW" and seen is not None and seen[1].region_3d.view_perspective != "CAMERA":
        return of_view(seen[0], seen[1].region_3d, width, height)
    return of_camera(context.scene, context.evaluated_depsgraph_get(), width, height)


def view_of(context: bpy.types.Context) -> tuple[bpy.types.Region, bpy.types.SpaceView3D] | None:
    """The 3D view at hand: where it was asked for, or else the largest of the window. None is drawn in the background."""
    if bpy.app.background:
        return None
    areas = [context.area] if context.area is not None and context.area.type == "VIEW_3D" else []
    if not areas and context.window is not None:
        areas = [area for area in context.window.screen.areas if area.type == "VIEW_3D"]
    if not areas:
        return None
    area = max(areas, key=lambda area: area.width * area.height)
    region = next(region for region in area.regions if region.type == "WINDOW")
    return region, area.spaces.active


def _homogeneous(points: Array) -> Array:
    return np.concatenate([points, np.ones((len(points), 1))], 1)
