"""`protocol`, wherever it is: inside the built extension, beside the addon in the repository."""

try:
    from ..protocol import MAX_TEXT_BYTES, VERSION, address, check, edits, errors, graph, messages, model, samplers, wire
except ImportError:
    from protocol import MAX_TEXT_BYTES, VERSION, address, check, edits, errors, graph, messages, model, samplers, wire

__all__ = ["MAX_TEXT_BYTES", "VERSION", "address", "check", "edits", "errors", "graph", "messages", "model", "samplers", "wire"]
