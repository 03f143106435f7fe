"""The REST routes, a module for each noun, and the WebSocket's door."""
