"""What can be decided without Blender: the broker's protocol, what is known of its map, what waits. No `bpy` here."""
