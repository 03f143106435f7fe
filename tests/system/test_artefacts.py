"""From electrode to parameter: what is no brain moves nothing.

Each trial has a twin, the same synthetic EEG without the artefact. An artefact may hold a parameter where it was, or
bring it later to where the twin goes; it must not take it where the twin has never been since.
"""

import functools
import itertools

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from protocol.model import Frame
from signals import patch, patch_files
from signals.engine import Engine
from signals.stream import StreamFormat
from signals.synth import SyntheticEEG

MUSE = ("TP9", "AF7", "AF8", "TP10")
CAP = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2")
BEGIN, MOST = 30.0, 0.05
EPOCH = 1000.0
ARTEFACTS = {"clench": "jaw:2", "short clench": "jaw:0.5", "loose electrode": "loose-electrode:20"}


@functools.cache
def frames(schedule: str, seed: int, channels: tuple[str, ...], seconds: float) -> list[Frame]:
    values = SyntheticEEG(seed, schedule, channels).read(round(seconds * 256))
    engine = Engine(StreamFormat("trial", 256.0, channels))
    return engine.push(np.arange(len(values)) / 256, values, arrived=0.0, epoch=EPOCH)


def positions(preset: str, heard: list[Frame]) -> np.ndarray:
    """(frames, rules), -1..1: half of it is a part of the parameter's range."""
    rules = patch_files.load(preset).rules
    states = itertools.accumulate(heard, lambda state, f: patch.step(rules, state, {1: f}, f.time), initial=patch.start(rules))
    return np.array([[cable.position for cable in state] for state in states])[1:]


def excess(preset: str, brain: str, artefact: str, seed: int, channels: tuple[str, ...]) -> float:
    """How far, as a part of the range, a parameter was taken beyond where its twin had been since the artefact began."""
    what, seconds = artefact.split(":")
    length = BEGIN + float(seconds) + 20
    struck = frames(f"{brain}:{BEGIN:g},{artefact},{brain}:20", seed, channels, length)
    twin = frames(f"{brain}:{length:g}", seed, channels, length)
    assert len(struck) == len(twin)
    since = next(n for n, frame in enumerate(twin) if frame.time >= EPOCH + BEGIN)
    assert what != "jaw" or any(event.kind == "jaw" for frame in struck[since:] for event in frame.events)
    moved, clean = positions(preset, struck)[since:], positions(preset, twin)[since:]
    high, low = np.maximum.accumulate(clean, axis=0), np.minimum.accumulate(clean, axis=0)
    return float(np.maximum(moved - high, low - moved).max() / 2)


@pytest.mark.parametrize("preset", patch_files.presets())
@pytest.mark.parametrize("brain", ["relaxed", "aroused"])
@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_an_artefact_moves_no_parameter_by_more_than_a_twentieth_of_its_range(preset, brain, artefact) -> None:
    assert excess(preset, brain, ARTEFACTS[artefact], 0, MUSE) < MOST


def spoilt(how: str, values: np.ndarray) -> np.ndarray:
    """From 30 s to 45 s something that synthetic EEG has no state for."""
    part = slice(30 * 256, 45 * 256)
    values = values.copy()
    if how == "frozen":  # what many drivers send when the headset is switched off
        values[part] = values[part.start]
    elif how == "one electrode frozen":
        values[part, 0] = values[part.start, 0]
    elif how == "tense":  # no clench, only a jaw that is not at rest
        noise = np.random.default_rng(9).standard_normal((15 * 256, 4))
        values[part] += 12 * sosfilt(butter(4, (20, 110), "bandpass", fs=256, output="sos"), noise, axis=0) / 0.83
    return values


@pytest.mark.parametrize("preset", patch_files.presets())
@pytest.mark.parametrize("how", ["frozen", "one electrode frozen", "tense"])
def test_what_is_no_brain_and_no_clench_either_moves_nothing_but_back_to_neutral(preset: str, how: str) -> None:
    values = SyntheticEEG(2, "relaxed").read(256 * 60)
    moved, clean = (
        positions(preset, Engine(StreamFormat("trial", 256.0, MUSE)).push(np.arange(len(v)) / 256, v, arrived=0.0, epoch=EPOCH))
        for v in (spoilt(how, values), values)
    )
    since = 10 * (30 - 2)
    high, low = np.maximum.accumulate(clean[since:], axis=0), np.minimum.accumulate(clean[since:], axis=0)
    if how != "one electrode frozen":  # long enough to be lost: it goes back to neutral, and no further
        high, low = np.maximum(high, 0), np.minimum(low, 0)
    assert np.maximum(moved[since:] - high, low - moved[since:]).max() / 2 < MOST


@pytest.mark.long
@pytest.mark.parametrize("channels", [MUSE, CAP])
@pytest.mark.parametrize("brain", ["relaxed", "aroused", "drifting"])
@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_no_artefact_moves_a_parameter_in_many_trials(channels, brain, artefact) -> None:
    found = [excess(p, brain, ARTEFACTS[artefact], seed, channels) for seed in range(1, 6) for p in patch_files.presets()]
    print(f"{artefact}, {brain}, {len(channels)} channels: {max(found):.3f} of the range")
    assert max(found) < MOST


@pytest.mark.parametrize("preset", patch_files.presets())
@pytest.mark.parametrize("brain", ["relaxed", "aroused"])
def test_a_lost_stream_moves_nothing_for_three_seconds_and_then_only_back_to_neutral(preset: str, brain: str) -> None:
    values = SyntheticEEG(3, brain).read(256 * 30)
    engine = Engine(StreamFormat("trial", 256.0, MUSE))
    heard = engine.push(np.arange(len(values)) / 256, values, arrived=0.0, epoch=EPOCH)
    silent = [engine.silence(30 + n / 10, n / 10, EPOCH) for n in range(5, 120)]
    found = positions(preset, heard + silent)
    stood, after = found[len(heard) - 1], found[len(heard) :]
    lost = next(n for n, frame in enumerate(silent) if frame.signal == "lost")
    assert silent[lost].time - heard[-1].time == pytest.approx(3, abs=0.2)
    assert np.abs(after[:lost] - stood).max() / 2 < MOST
    assert (np.diff(np.abs(after[lost:]), axis=0) <= 1e-9).all()
    np.testing.assert_allclose(after[-1], 0, atol=1e-6)
    assert np.abs(stood).max() > 0.3  # there was something to lose
