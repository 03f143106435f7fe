"""`protocol`, wherever it is: inside the built extension, beside the addon in the repository."""

try:
    from .protocol import address, check, errors, messages, model, wire
    from .protocol import VERSION
except ImportError:
    from protocol import VERSION, address, check, errors, messages, model, wire

__all__ = ["VERSION", "address", "check", "errors", "messages", "model", "wire"]
