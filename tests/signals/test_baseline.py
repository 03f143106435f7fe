import json
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import AlphaloomError
from protocol.model import Feature, Frame, Performer
from signals import baseline
from signals.baseline import REFERENCE, Baseline
from signals.calibrate import Calibration
from signals.engine import Engine
from signals.stream import StreamFormat
from signals.synth import SyntheticEEG

CAP = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
FORMAT = StreamFormat("cap", 256.0, CAP)


def frame(alpha: float, signal: str = "good", confidence: float = 1.0) -> Frame:
    return Frame(0.0, {"log_alpha": Feature(alpha, None, confidence, 0.0)}, signal=signal)


def calibrate(opened: list[Frame], closed: list[Frame]) -> Baseline:
    return baseline.of({"open": opened, "closed": closed}, Performer("s", 256.0, {"O1": "occipital"}))


def played(state: str, seconds: float, seed: int) -> tuple[Engine, list[Frame]]:
    engine = Engine(FORMAT)
    values = SyntheticEEG(seed, state, CAP).read(round(seconds * 256))
    return engine, engine.push(np.arange(len(values)) / 256, values)


@pytest.fixture(scope="module")
def made() -> Baseline:
    """Eyes open is aroused, eyes closed relaxed: what synthetic EEG has nearest to it."""
    calibration = Calibration(FORMAT)
    for phase, state, seed in (("open", "aroused", 1), ("closed", "relaxed", 2)):
        values = SyntheticEEG(seed, state, CAP).read(256 * 30)
        for n in range(0, len(values), 64):
            calibration.push(phase, (n + np.arange(64)) / 256, values[n : n + 64])
    return calibration.result()


def test_median_and_deviation_are_robust() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(1.0, 0.2, 1000)
    values[:80] = 50.0
    found = calibrate([frame(v) for v in values[::2]], [frame(v) for v in values[1::2]])
    median, deviation = found.features["log_alpha"]
    assert median == pytest.approx(1.0, abs=0.05) and deviation == pytest.approx(0.2, abs=0.04)
    assert found.z("log_alpha", 1.4) == pytest.approx(2, abs=0.5)
    assert found.z("calm", 1.0) is None


def test_what_was_not_clean_does_not_count_and_too_much_of_it_is_refused() -> None:
    clean = [frame(1.0 + n / 100) for n in range(80)]
    spoilt = [frame(9.0, "held") for _ in range(20)]
    assert calibrate(clean + spoilt, clean + spoilt).features["log_alpha"][0] < 2
    with pytest.raises(AlphaloomError, match="62%") as caught:
        calibrate(clean + spoilt * 2 + spoilt[:8], clean)
    assert caught.value.code == "baseline_not_clean"


def test_eyes_that_close_without_more_alpha_are_warned_of() -> None:
    same = [frame(1.0 + n % 7 / 100) for n in range(50)]
    more = [frame(1.6 + n % 7 / 100) for n in range(50)]
    assert any("did not raise alpha" in w for w in calibrate(same, same).warnings)
    assert not any("did not raise alpha" in w for w in calibrate(same, more).warnings)


def test_it_finds_the_alpha_peak_and_groups_of_channels(made: Baseline) -> None:
    assert made.alpha_peak == pytest.approx(10, abs=0.5) and not made.warnings
    assert {"log_alpha", "log_alpha.occipital", "calm", "exponent", "engage"} <= made.features.keys()


def test_with_it_features_are_of_this_person_and_bands_at_their_peak(made: Baseline) -> None:
    values = SyntheticEEG(5, "relaxed", CAP).read(256 * 20)
    engine = Engine(FORMAT, baseline=made)
    frames = engine.push(np.arange(len(values)) / 256, values)
    assert engine.performer.baseline == made.hash and engine.performer.alpha_peak == made.alpha_peak
    assert np.median([f.features["log_alpha"].z for f in frames]) > 0.3
    _, without = played("relaxed", 20, 5)
    assert without[-1].features["log_alpha"].z is None and without[-1].features["alpha"].z == REFERENCE.z(
        "alpha", without[-1].features["alpha"].value
    )


def test_it_is_saved_and_loaded_whole(made: Baseline, tmp_path: Path) -> None:
    made.save(tmp_path / "me.json")
    loaded = Baseline.load(tmp_path / "me.json")
    assert loaded == made and loaded.hash == made.hash


@pytest.mark.parametrize("damage", ["missing", "no json", "no baseline", "changed", "list"])
def test_a_file_that_is_none_or_was_changed_is_refused(made: Baseline, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "me.json"
    made.save(path)
    body = json.loads(path.read_text())
    body["features"]["log_alpha"][0] += 1
    contents = {"no json": "{", "no baseline": "{}", "changed": json.dumps(body), "list": "[]"}
    if damage == "missing":
        path.unlink()
    else:
        path.write_text(contents[damage])
    with pytest.raises(AlphaloomError, match=r"me\.json") as caught:
        Baseline.load(path)
    assert caught.value.code == "bad_baseline"


def test_another_headsets_baseline_is_refused(made: Baseline) -> None:
    with pytest.raises(AlphaloomError, match="Fp1") as caught:
        Engine(StreamFormat("muse", 256.0, ("TP9", "AF7", "AF8", "TP10")), baseline=made)
    assert caught.value.code == "wrong_baseline"
