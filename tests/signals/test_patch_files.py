from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import AlphaloomError
from protocol.model import Performer, Rule
from signals import patch_files
from signals.patch_files import Patch

MUSE = Performer("Muse", 256.0, {"TP9": "temporal"}, missing={"calm": "it has no posterior sites", "log_alpha": "no baseline"})
GOOD = 'name = "x"\n[[rule]]\nfeature = "alpha"\ntarget = "blend"\namount = 1\n'


def refused(toml: str) -> AlphaloomError:
    with pytest.raises(AlphaloomError) as caught:
        patch_files.parse(toml, "my.toml")
    assert caught.value.code == "bad_patch" and caught.value.message.startswith("my.toml: ")
    return caught.value


def test_a_file_gives_its_rules_and_the_defaults_for_the_rest(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(GOOD + "slew = 0.25\r\nperformer = 2\n")
    patch = patch_files.load(str(tmp_path / "my.toml"))
    assert patch == Patch("x", "", (Rule("alpha", "blend", 1.0, performer=2, slew=0.25),))
    assert isinstance(patch.rules[0].amount, float)


@pytest.mark.parametrize(
    ("line", "field", "words"),
    [
        ('target = "speed"', "target", ["rule 1", "'speed'", "guidance, strength, blend, variation, seed", "(moss)"]),
        ('feature = "alhpa"', "feature", ["'alhpa'", "'alpha'", "engage"]),
        ('feature = "alpha.fronal"', "feature", ["'alpha.fronal'", "'frontal'"]),
        ('feature = "engage.frontal"', "feature", ["'engage'", "by region"]),
        ('feature = "asymmetry"', "feature", ["asymmetry.AF8/AF7"]),
        ("amount = 99", "amount", ["99", "-10 to 10"]),
        ("amount = true", "amount", ["True", "a number"]),
        ("amount = nan", "amount", ["nan"]),
        ("amount = 1" + "0" * 400, "amount", ["too large"]),
        ("performer = 1.5", "performer", ["1.5", "whole number"]),
        ("performer = 0", "performer", ["0", "1 to 8"]),
        ("slew = 50", "slew", ["50", "0.01 to 2"]),
        ("deadband = 1.0", "deadband", ["1.0", "0 to 0.9"]),
        ('gain = "high"', "gain", ["'high'", "a number"]),
        ("colour = 3", "colour", ["3", "no such field", "feature, target, amount"]),
        ('target = "seed"\namount = 0.5', "amount", ["0.5", "whole number"]),
    ],
)
def test_a_bad_value_is_named_with_its_rule_and_what_is_allowed(line: str, field: str, words: list[str]) -> None:
    given = {part.split(" = ")[0]: part for part in line.split("\n")}
    rest = [part for part in GOOD.split("\n") if part.split(" = ")[0] not in given]
    error = refused("\n".join([*rest, *given.values()]))
    assert error.detail["rule"] == 1 and error.detail["field"] == field
    assert all(word in error.message for word in words), error.message


@pytest.mark.parametrize(
    ("toml", "word"),
    [
        ("name = ", "not TOML"),
        ("", "name"),
        ("name = 3", "name is 3"),
        ('name = "x"\nauthor = "me"', "author"),
        ('name = "x"\nrule = 3', "[[rule]]"),
        ('name = "x"\n[rule]\nfeature = "alpha"', "[[rule]]"),
        ('name = "x"\n[[rule]]\nfeature = "alpha"\namount = 1', "rule 1 has no 'target'"),
        (GOOD + GOOD.split("\n", 1)[1], "rule 2: target is 'blend': rule 1 moves it by 'alpha' already"),
        ('name = "x"\n' + GOOD.split("\n", 1)[1] * 65, "65 rules"),
    ],
)
def test_a_bad_file_says_what_is_wrong(toml: str, word: str) -> None:
    assert word in refused(toml).message


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')
    (tmp_path / "large.toml").write_bytes(b"#" * (patch_files.MAX_BYTES + 1))
    for which, word in (("nowhere.toml", "drift, mirror, storm"), ("latin.toml", "UTF-8"), ("large.toml", "65536")):
        with pytest.raises(AlphaloomError, match=word) as caught:
            patch_files.load(str(tmp_path / which))
        assert which in caught.value.message


@pytest.mark.parametrize("name", patch_files.presets())
def test_each_preset_is_sound_and_is_recognised_by_its_rules(name: str) -> None:
    preset = patch_files.load(name)
    assert preset.name == name and preset.description and preset.rules
    assert patch_files.named(preset.rules) == preset


def test_there_are_three_presets_and_the_default_is_one() -> None:
    assert len(patch_files.presets()) >= 3 and patch_files.DEFAULT in patch_files.presets()


def test_the_default_needs_no_baseline_and_no_site() -> None:
    assert {rule.feature for rule in patch_files.load(patch_files.DEFAULT).rules} <= {*patch_files.BANDS, "engage"}


def test_other_rules_are_a_custom_patch() -> None:
    assert patch_files.named((Rule("alpha", "blend", 0.123),)).name == "custom"


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip).map(str.strip)
words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9)


@given(names, names, words, words, st.floats(-10, 10), st.floats(0.01, 2))
def test_what_is_written_reads_back_as_it_was(name: str, about: str, one: str, other: str, amount: float, slew: float) -> None:
    rules = (Rule("log_alpha.frontal", f"{one}/{other}", amount, slew=slew), Rule("alpha", f"({one})", 0.5, 2, dwell=4.0))
    patch = Patch(name, about, rules)
    read = patch_files.parse(patch_files.dump(patch), "written")
    assert read.rules == rules
    assert (read.name, read.description) == (name, about)


def test_a_feature_that_a_performer_cannot_give_is_a_warning_with_the_reason() -> None:
    rules = (Rule("alpha", "blend", 1.0), Rule("calm", "blend", 1.0), Rule("log_alpha.frontal", "guidance", 1.0))
    said = patch_files.warnings(rules, {1: MUSE})
    assert len(said) == 2 and "Rule 2" in said[0] and "no posterior sites" in said[0] and "no baseline" in said[1]
    assert patch_files.warnings(rules, {}) == []


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), 10**400, 0.0])
@pytest.mark.parametrize("target", ["seed", "guidance"])
def test_a_number_that_is_none_or_too_large_is_refused(target: str, amount: float) -> None:
    if (target, amount) == ("guidance", 0.0):
        return
    with pytest.raises(AlphaloomError) as caught:
        patch_files.check([Rule("alpha", target, amount)])
    assert caught.value.code == "bad_patch"
