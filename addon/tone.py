"""A soft tone, for who sits with closed eyes."""

from __future__ import annotations

_HZ, _SECONDS, _LOUDNESS = 523.25, 0.9, 0.25

_playing: object = None
"""What is not held stops."""


def play() -> None:
    """Where the machine has sound."""
    global _playing
    try:
        import aud

        sound = aud.Sound.sine(_HZ).limit(0, _SECONDS).fadein(0, 0.05).fadeout(_SECONDS - 0.5, 0.5).volume(_LOUDNESS)
        device = aud.Device()
        _playing = device, device.play(sound)
    except Exception:  # aud raises its own error, and builds without sound have no aud
        _playing = None


def silence() -> None:
    global _playing
    _playing = None
