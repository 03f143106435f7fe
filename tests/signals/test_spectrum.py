import itertools
import math

import mne
import numpy as np
import pytest

from signals import spectrum
from signals.filters import Filter, high_pass, notches
from signals.spectrum import BANDS, Spectrum


def rhythm(hz: np.ndarray, exponent: float, peak: float | None, height: float = 6.0) -> np.ndarray:
    density = 40 * hz.clip(0.5) ** -exponent
    return density if peak is None else density * (1 + height * np.exp(-(((hz - peak) / 1.2) ** 2)))


@pytest.mark.parametrize("rate", [128, 256, 500, 1000])
@pytest.mark.parametrize("window", [2, 4])
@pytest.mark.parametrize("phase", [0.0, 1.0, 2.5])
def test_a_sine_of_ten_microvolts_has_fifty_square_microvolts(rate: int, window: int, phase: float) -> None:
    time = np.arange(12 * rate) / rate
    sine = 10 * np.sin(2 * np.pi * 10 * time + phase)[None]
    clean = Filter(np.vstack([high_pass(rate), notches(rate, [50.0])]), 1).push(sine)[:, -window * rate :]
    find = Spectrum(window * rate, rate)
    powers = find(clean) @ find.summing(list(BANDS.values()))
    assert powers[0, list(BANDS).index("alpha")] == pytest.approx(50, abs=0.5)


@pytest.mark.parametrize(("rate", "length"), [(256, 512), (1000, 2000), (250, 501), (1000, 40000)])
def test_the_density_is_that_of_mne(rate: int, length: int) -> None:
    window = np.random.default_rng(0).standard_normal((4, length)) * 20 + 100
    find = Spectrum(length, rate)
    offline, hz = mne.time_frequency.psd_array_welch(
        window, rate, n_fft=length, n_per_seg=length, window="hann", verbose="error"
    )
    bins = len(find.hz)
    np.testing.assert_allclose(find.hz, hz[:bins])
    np.testing.assert_allclose(find(window)[:, 1:], offline[:, 1:bins], rtol=1e-9)


def test_a_peak_at_ten_hertz_gives_the_fixed_bands() -> None:
    assert spectrum.anchored(10.0) == BANDS == spectrum.anchored(None)
    assert spectrum.anchored(8.5)["alpha"] == (6.5, 11.5)
    edges = list(spectrum.anchored(7.2).values())
    assert all(high == low for (_, high), (low, _) in itertools.pairwise(edges))


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.8])
@pytest.mark.parametrize("peak", [None, 10.0])
def test_the_exponent_is_found_with_and_without_a_rhythm(exponent: float, peak: float | None) -> None:
    hz = np.arange(0, 128.5, 0.5)
    offset, found = spectrum.aperiodic(hz, rhythm(hz, exponent, peak))
    assert found == pytest.approx(exponent, abs=0.08)
    assert offset == pytest.approx(math.log10(40), abs=0.12)


@pytest.mark.parametrize("peak", [7.8, 9.3, 10.0, 11.6])
def test_an_alpha_peak_is_found_where_it_is(peak: float) -> None:
    hz = np.arange(0, 128.5, 0.5)
    assert spectrum.alpha_peak(hz, rhythm(hz, 1.1, peak)) == pytest.approx(peak, abs=0.3)


def test_without_a_clear_peak_there_is_none() -> None:
    hz = np.arange(0, 128.5, 0.5)
    assert spectrum.alpha_peak(hz, rhythm(hz, 1.1, None)) is None
    assert spectrum.alpha_peak(hz, rhythm(hz, 1.1, 18.0)) is None


def test_alpha_above_the_fit_is_what_was_put_there() -> None:
    hz = np.arange(0, 128.5, 0.5)
    flat = rhythm(hz, 1.0, None)
    raised = np.where((hz >= 8) & (hz < 13), 10 * flat, flat)
    fit = spectrum.aperiodic(hz, raised)
    assert spectrum.above_fit(hz, raised, fit, (8, 13)) == pytest.approx(1, abs=0.05)


def test_complexity_counts_components_as_published() -> None:
    # Kaspar and Schuster (Phys. Rev. A 36, 1987) parse it into 0.001.10.100.1000.101.
    bits = np.array([int(c) for c in "0001101001000101"])
    assert spectrum.lempel_ziv(bits) * 16 / math.log2(16) == pytest.approx(6)


def test_coin_tosses_are_complex_and_repetition_is_not() -> None:
    assert spectrum.lempel_ziv(np.random.default_rng(0).integers(0, 2, 1000)) == pytest.approx(1, abs=0.1)
    assert spectrum.lempel_ziv(np.tile([0, 1], 500)) < 0.1
