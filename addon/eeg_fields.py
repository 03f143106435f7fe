"""The fields of EEG and patch in the sidebar. They belong to the window manager: the broker's, and no part of a file.

An amount has no value of its own: it reads and turns the rule with its number. So nothing has to be kept equal, and what
somebody else turns is shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from .session import session

MOST_RULES = 64
MOST_PERFORMERS = 8
_DIGITS = 4
"""Of an amount: a slider has no more, and single precision would add its own."""
FEATURES = (
    "calm", "engage", "alpha", "beta", "theta", "delta", "gamma", "asymmetry", "exponent", "complexity", "emg", "synchrony",
)  # fmt: skip
"""Without what follows a dot."""
TARGETS = (
    "guidance", "strength", "blend", "variation", "seed", "cold/warm", "dark/bright", "soft/bold", "turbulent/calm",
    "fine/coarse", "gold/green/teal/blue", "(moss)",
)  # fmt: skip
"""Examples, where words are the artist's."""
_SHOWN = {"calm", "engage", "alpha", "beta", "theta"}


def _amount(number: int) -> Any:
    def get(self: Any) -> float:
        rules = session.eeg.patch.rules
        return float(rules[number].amount) if number < len(rules) else 0.0

    def turn(self: Any, value: float) -> None:
        if number < len(session.eeg.patch.rules):
            session.eeg.patch.turn(number, round(value, _DIGITS))

    return FloatProperty(
        name="Amount",
        description="How far the target is moved from its own value at the ends of the feature's range; below 0 the other way",
        min=-10,
        max=10,
        soft_min=-2,
        soft_max=2,
        get=get,
        set=turn,
    )


def _steps(number: int) -> Any:
    def get(self: Any) -> int:
        rules = session.eeg.patch.rules
        return round(rules[number].amount) if number < len(rules) else 0

    def turn(self: Any, value: int) -> None:
        if value and number < len(session.eeg.patch.rules):
            session.eeg.patch.turn(number, value)

    return IntProperty(
        name="Seeds",
        description="How many seeds further when the feature stays at its upper end, and back at its lower; never 0",
        min=-1000,
        max=1000,
        soft_min=-10,
        soft_max=10,
        get=get,
        set=turn,
    )


def _features(self: Any, context: bpy.types.Context, text: str) -> Iterator[str]:
    """What is heard now, then what there is."""
    heard = {name for frame in session.mirror.frames.values() for name in frame.features}
    return (name for name in (*sorted(heard), *(name for name in FEATURES if name not in heard)) if text.lower() in name)


def _performer_chosen(self: Any, context: bpy.types.Context) -> None:
    """A baseline is somebody's: see how it is with this one."""
    if session.connection.state == "online" and not session.eeg.calibration.runs:
        session.eeg.calibration.look(self.performer)


def _targets(self: Any, context: bpy.types.Context, text: str) -> Iterator[str]:
    return (name for name in TARGETS if text.lower() in name)


class AlphaloomEeg(bpy.types.PropertyGroup):
    """What is shown, and the rule that is to be added."""

    performer: IntProperty(
        name="Performer",
        description="Whose signal is shown and calibrated; 1 is the first",
        default=1,
        min=1,
        max=MOST_PERFORMERS,
        update=_performer_chosen,
    )
    shown: EnumProperty(
        name="Features",
        description="What the plot shows, of what the headset gives; six at most",
        items=[(name, name.title() if name != "emg" else "EMG", "") for name in FEATURES],
        options={"ENUM_FLAG"},
        default=_SHOWN,
    )
    feature: StringProperty(
        name="Feature",
        description="The feature that moves the target",
        search=_features,
        search_options={"SUGGESTION"},
        default="alpha",
    )
    target: StringProperty(
        name="Target",
        description="What is moved: guidance, strength, blend, variation, seed, a scale of words such as cold/warm, or a "
        "phrase of the prompt in brackets such as (moss)",
        search=_targets,
        search_options={"SUGGESTION"},
    )
    amount: FloatProperty(
        name="Amount",
        description="How far the target is moved from its own value at the ends of the feature's range; below 0 the other way",
        default=1.0,
        min=-10,
        max=10,
        soft_min=-2,
        soft_max=2,
    )
    by: IntProperty(name="Performer", description="Whose feature; 1 is the first", default=1, min=1, max=MOST_PERFORMERS)


class AlphaloomAmounts(bpy.types.PropertyGroup):
    """The amounts of the rules that play."""

    __annotations__ = {f"amount_{n}": _amount(n) for n in range(MOST_RULES)} | {
        f"seeds_{n}": _steps(n) for n in range(MOST_RULES)
    }


_CLASSES = (AlphaloomEeg, AlphaloomAmounts)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.WindowManager.alphaloom_eeg = PointerProperty(type=AlphaloomEeg)
    bpy.types.WindowManager.alphaloom_amounts = PointerProperty(type=AlphaloomAmounts)


def unregister() -> None:
    del bpy.types.WindowManager.alphaloom_amounts
    del bpy.types.WindowManager.alphaloom_eeg
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
