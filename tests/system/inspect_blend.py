"""Inside Blender: opens a .blend and prints, as JSON, what its pictures show and what the artist's objects are."""

import json
import sys

import bpy

import addon

if sys.argv[1] == "make":  # an artist's file, with names that could be ours
    bpy.ops.wm.read_factory_settings()
    cube = bpy.data.objects["Cube"]
    cube.name, cube.location = "Alphaloom Card", (1, 2, 3)
    bpy.data.collections["Collection"].name = "Alphaloom"
    bpy.context.scene.render.resolution_x = 333
    bpy.ops.wm.save_as_mainfile(filepath=sys.argv[2])

addon.register()
bpy.ops.wm.open_mainfile(filepath=sys.argv[2])


def theirs(item: bpy.types.ID) -> bool:
    return not item.get("alphaloom") and not (isinstance(item, bpy.types.Object) and item.alphaloom.ident)


pictures = {}
for image in bpy.data.images:
    if ident := image.get("alphaloom"):
        pixels = list(image.pixels)
        colours = [pixels[n::4] for n in range(3)]
        mean = [sum(c) / len(c) for c in colours]
        spread = max(max(c) - min(c) for c in colours)
        shown = any(m.get("alphaloom") == ident and m.users for m in bpy.data.materials)
        pictures[ident] = {"size": list(image.size), "packed": image.packed_file is not None, "mean": mean, "spread": spread,
                           "shown": shown}  # fmt: skip
objects = {
    o.name: [o.type, [list(row) for row in o.matrix_world], len(o.data.vertices) if o.type == "MESH" else 0]
    for o in bpy.data.objects
    if theirs(o)
}
scene = next(s for s in bpy.data.scenes if theirs(s))
render = [scene.render.engine, scene.render.resolution_x, scene.camera.name if scene.camera else None]
cards = sum(o.alphaloom.kind == "card" for o in scene.objects)
print("REPORT", json.dumps({"pictures": pictures, "objects": objects, "render": render, "cards": cards}), flush=True)
sys.stdout.flush()
__import__("os")._exit(0)  # Blender 4.5's module can hang when Python ends
