"""Frames by hand, for tests that need EEG but no stream."""

from protocol.model import Feature, Frame, Signal


def frame(time: float, confidence: float = 1.0, stream: str = "headset", signal: Signal = "good", **z: float | None) -> Frame:
    """A frame at `time` (seconds since 1970) whose features have these z; a feature's value is a tenth of its z."""
    features = {name: Feature((value or 0.0) / 10, value, confidence, time) for name, value in z.items()}
    return Frame(time, features, stream, {"AF7": confidence}, signal)
