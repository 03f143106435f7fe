"""A batch over Blender's frames: the card's F-curves say what each is made with, the files lie in a folder.

Design notes
- F-curves are read once, when the batch begins: what is edited, undone or loaded meanwhile does not change it, and the scene's
  current frame stays where it is.
- There is one batch at a time. It goes on while the artist works, and when the connection has come back.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy

from .core.batch import Batch, Frame
from .core.shared import check, errors
from .session import session
from .translations import say, tell

_PREFIX = "alphaloom."
_WHOLE = {"seed": check.SEED, "variation_seed": check.SEED, "steps": check.STEPS}
_PARTS = {
    "guidance": check.GUIDANCE,
    "strength": (0.0, 1.0),
    "blend": (0.0, 1.0),
    "variation": (0.0, 1.0),
    "control_strength": check.CONTROL_STRENGTH,
}
RANGES = _WHOLE | _PARTS
"""What keyframes may move, and how far."""
MOST_FRAMES = 100_000
_MOST_NAME = 40


@dataclass(frozen=True)
class Wanted:
    first: int
    last: int
    step: int
    folder: str
    name: str
    eeg: bool
    keyframed: bool
    overwrite: bool


current: Batch | None = None
"""The one under way, or the last."""
_shown = ""
"""What the panel says of it."""


def is_running() -> bool:
    return current is not None and not current.is_over


def begin(card: bpy.types.Object, wanted: Wanted) -> str:
    """Begin a batch; a line about it. Raises AlphaloomError for what cannot be done."""
    global current
    if is_running():
        raise errors.AlphaloomError("busy", "A batch is under way: cancel it, or wait for its end.")
    folder = _folder(wanted.folder)
    name = file_name(wanted.name or card.alphaloom.prompt)
    frames = list(_frames(card, wanted, folder, name))
    new = frames if wanted.overwrite else [frame for frame in frames if not frame.file.exists()]
    if not new:
        raise errors.AlphaloomError(
            "nothing_to_do", f"All {len(frames)} files are in {folder} already: choose Overwrite, another name or folder."
        )
    stop_listening()
    session.hands.rest(session.mirror.map)  # frames are made from the node as the panel shows it
    current = Batch(session.connection.room, card.alphaloom.ident, new, wanted.eeg, session.ask, session.connection.send)
    session.listeners.append(_hear)
    session.chores.append(_step)
    said = [tell("{count} frames to {files}").format(count=len(new), files=f"{folder / name}_####.png")]
    if len(new) < len(frames):
        said.append(tell("{count} are there already").format(count=len(frames) - len(new)))
    if wanted.keyframed and (driven := _driven(card)):
        said.append(tell("drivers count as they are now: {fields}").format(fields=", ".join(driven)))
    return "; ".join(said)


def cancel() -> None:
    if current is not None and not current.is_over:
        current.stop(tell("Cancelled."))


def line() -> str:
    """How the batch stands, or has ended."""
    if current is None:
        return ""
    said = [say("{done} of {total} frames").format(done=current.done, total=current.total)]
    if is_running() and session.connection.state != "online":
        said.append(say("waits for the broker"))
    if current.failed:
        frame, why = min(current.failed.items())  # answers come in any order
        words = say("{count} failed, frame {frame} first: {reason}")
        said.append(words.format(count=len(current.failed), frame=frame, reason=why))
    return "; ".join(filter(None, (*said, current.problem)))


def _folder(path: str) -> Path:
    if path.startswith("//") and not bpy.data.filepath:
        raise errors.AlphaloomError("bad_folder", f"{path!r} is beside the .blend: save that first, or name another folder.")
    folder = Path(bpy.path.abspath(path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise errors.AlphaloomError("bad_folder", f"Folder {str(folder)!r} cannot be made: {problem.strerror}.") from None
    return folder


def file_name(words: str) -> str:
    """What any system takes as the beginning of a file's name."""
    return re.sub(r"[^\w-]+", "_", words).strip("_")[:_MOST_NAME] or "alphaloom"


def _frames(card: bpy.types.Object, wanted: Wanted, folder: Path, name: str) -> Iterator[Frame]:
    numbers = range(wanted.first, wanted.last + 1, wanted.step)
    if not 0 < len(numbers) <= MOST_FRAMES:
        raise errors.AlphaloomError(
            "bad_frames", f"Frames {wanted.first} to {wanted.last} are {len(numbers)}; a batch has 1 to {MOST_FRAMES}."
        )
    curves = dict(curves_of(card)) if wanted.keyframed else {}
    for number in numbers:
        yield Frame(number, folder / f"{name}_{number:04}.png", values_at(curves, number))


# -- keyframes --------------------------------------------------------------------------------------------


def curves_of(card: bpy.types.Object) -> Iterator[tuple[str, bpy.types.FCurve]]:
    """The F-curves of what a frame may be made with, by the property's name."""
    animation = card.animation_data
    action = animation.action if animation is not None else None
    for layer in action.layers if action is not None else ():
        for strip in layer.strips:
            bag = strip.channelbag(animation.action_slot) if animation.action_slot is not None else None
            for curve in bag.fcurves if bag is not None else ():
                name = curve.data_path.removeprefix(_PREFIX)
                if curve.data_path.startswith(_PREFIX) and name in RANGES and not curve.mute:
                    yield name, curve


def values_at(curves: dict[str, bpy.types.FCurve], frame: int) -> dict[str, float]:
    """What the curves say at a frame, within what the broker takes. Steps below 1 leave them to the model."""
    values: dict[str, float] = {}
    for name, curve in curves.items():
        low, high = RANGES[name]
        value = curve.evaluate(frame)
        if name == "steps" and value < low:
            continue
        value = min(max(value, low), high)
        values[name] = round(value) if name in _WHOLE else round(value, 6)
    return values


def _driven(card: bpy.types.Object) -> list[str]:
    animation = card.animation_data
    names = (driver.data_path.removeprefix(_PREFIX) for driver in (animation.drivers if animation is not None else ()))
    return [name for name in names if name in RANGES]


# -- in the session ---------------------------------------------------------------------------------------


def _step(_: float) -> bool:
    global _shown
    assert current is not None
    if session.connection.state == "online" and session.mirror.loaded and not session.mirror.pending:
        current.step(time.monotonic())
    if line() != _shown:
        _shown = line()
        session.news += 1
    if current.is_over:
        stop_listening()
    return current.is_over


def _hear(message: object) -> None:
    assert current is not None
    current.hear(message)


def stop_listening() -> None:
    """Nothing of the last batch stays in the session."""
    session.listeners[:] = [each for each in session.listeners if each is not _hear]
    session.drop(_step)


def forget() -> None:
    global current
    stop_listening()
    current = None
