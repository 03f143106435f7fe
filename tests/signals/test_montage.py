import pytest

from signals.montage import frontal_pairs, region


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("frontal", "Fp1 AF7 AF8 F3 F8 Fz"),
        ("central", "FC5 C3 Cz CP3"),
        ("temporal", "T7 T8 T3 FT7 TP7 TP9 TP10"),
        ("parietal", "P3 Pz P7 PO3"),
        ("occipital", "O1 O2 Oz PO7"),
        ("", "Right\u00a0AUX A1 M2 ECG channel_1 X"),
    ],
)
def test_sites_have_their_region(where: str, names: str) -> None:
    assert {region(name) for name in names.split(" ")} == {where}


@pytest.mark.parametrize("name", ["fp1", "FP1", "EEG Fp1-REF", "EEG Fp1", "Fp1-A2", " Fp1 "])
def test_names_are_understood_as_recordings_spell_them(name: str) -> None:
    assert region(name) == "frontal"


def test_mirrored_frontal_sites_are_paired_left_first() -> None:
    assert frontal_pairs(("TP9", "AF7", "AF8", "TP10")) == [(1, 2)]
    assert frontal_pairs(("F4", "F3", "P3", "P4", "F7", "Fz")) == [(1, 0)]
