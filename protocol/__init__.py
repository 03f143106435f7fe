"""The messages and the data model that broker, edge, Blender extension and web page share.

Standard library only, so that Blender can import it. `model` has the nouns, `messages` what is said about
them, `wire` how it travels, `errors` what can go wrong.
"""

VERSION = 3
"""Raised when an older peer could misunderstand a message. Peers of another version are turned away."""

DEFAULT_PORT = 4444
MAX_TEXT_BYTES = 256 * 1024
MAX_BINARY_BYTES = 32 * 1024 * 1024
