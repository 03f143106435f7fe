import pytest

from protocol.errors import AlphaloomError
from signals.stream import StreamFormat
from signals.units import in_microvolts, scales


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("microvolts", 1),
        ("Microvolt", 1),
        ("uV", 1),
        ("\u00b5V", 1),
        ("\u03bcV", 1),
        (" uv ", 1),
        ("volts", 1e6),
        ("V", 1e6),
        ("mV", 1e3),
        ("millivolts", 1e3),
        ("nV", 1e-3),
        ("nanovolts", 1e-3),
    ],
)
def test_units_come_out_in_microvolts(unit: str, factor: float) -> None:
    assert in_microvolts(unit) == factor
    assert scales(StreamFormat("s", 256.0, ("A", "B"), unit=unit)) == [factor, factor]


@pytest.mark.parametrize("unit", ["", "counts", "a.u.", "tesla"])
def test_an_unknown_unit_is_refused_with_the_way_to_state_it(unit: str) -> None:
    with pytest.raises(AlphaloomError, match="--unit microvolts") as caught:
        scales(StreamFormat("Headset", 256.0, ("A",), unit=unit))
    assert caught.value.code == "unknown_unit" and caught.value.detail["unit"] == unit


def test_channels_may_differ_in_unit() -> None:
    assert scales(StreamFormat("s", 256.0, ("A", "B"), unit="uV", units=("uV", "V"))) == [1, 1e6]


def test_what_is_stated_goes_before_what_the_stream_says() -> None:
    assert scales(StreamFormat("s", 256.0, ("A",), unit="counts"), "mV") == [1e3]
