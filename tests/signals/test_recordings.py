import os
import struct
from pathlib import Path

import mne
import numpy as np
import pytest

from protocol.errors import AlphaloomError
from signals.recordings import Recording
from signals.synth import CHANNELS, RATE, SyntheticEEG

ROOT = Path(__file__).parents[2]
MUSE = Path(os.environ.get("ALPHALOOM_TEST_DATA", ROOT.parent / "shared/data")) / "muse"
needs_muse = pytest.mark.skipif(not MUSE.exists(), reason="the Muse recordings are not there (../shared/data/muse)")


def whole(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    times, values = zip(*recording.chunks(), strict=True)
    return np.concatenate(times), np.concatenate(values)


# -- what mne reads -----------------------------------------------------------------------------------------


@pytest.fixture
def fif(tmp_path: Path) -> Path:
    """Ten seconds of EEG, one other channel and two annotations as a FIF file in volts, the first two seconds cut off."""
    info = mne.create_info([*CHANNELS, "STI"], RATE, ["eeg"] * 4 + ["stim"])
    info.set_meas_date(1_700_000_000)
    samples = SyntheticEEG(5).read(int(12 * RATE)).T * 1e-6
    raw = mne.io.RawArray(np.vstack([samples, np.zeros(samples.shape[1])]), info, verbose="error")
    raw.set_annotations(mne.Annotations([3.0, 4.5], [0, 1], ["eyes closed", "BAD clench"]))
    path = tmp_path / "ten_raw.fif"
    raw.crop(2.0).save(path, verbose="error")
    return path


def test_a_recording_comes_back_in_microvolts_without_its_other_channels(fif: Path) -> None:
    found = Recording(fif)
    times, values = whole(found)
    assert found.channels == CHANNELS and found.format.unit == "microvolts" and found.warning == ""
    assert found.duration == pytest.approx(10, abs=0.01)
    np.testing.assert_allclose(values, SyntheticEEG(5).read(int(12 * RATE))[512:], atol=1e-3)
    np.testing.assert_allclose(times, np.arange(len(times)) / RATE)


def test_annotations_are_markers_counted_from_the_first_sample(fif: Path) -> None:
    (closed, text), (clench, bad) = Recording(fif).markers
    assert (closed, clench) == (pytest.approx(1.0), pytest.approx(2.5))
    assert (text, bad) == ("eyes closed", "BAD clench")


def test_a_looped_recording_goes_on_with_growing_times(fif: Path) -> None:
    recording = Recording(fif)
    times, values = np.empty(0), np.empty((0, 4))
    for more_times, more in recording.chunks(loop=True):
        times, values = np.concatenate([times, more_times]), np.concatenate([values, more])
        if len(times) > 5200:
            break
    np.testing.assert_allclose(np.diff(times), 1 / RATE, atol=1e-9)
    np.testing.assert_array_equal(values[2560:5120], values[:2560])
    markers = recording.marker_times(loop=True)
    assert [round(next(markers)[0], 3) for _ in range(4)] == [1.0, 2.5, 11.0, 12.5]


def edf(path: Path, seconds: int, claimed: int) -> None:
    """A small European Data Format file: one channel `EEG Fz` at 256 Hz that counts its samples in steps of 0.1 µV."""

    def field(text: object, width: int) -> bytes:
        return str(text).encode().ljust(width)

    general = [(0, 8), ("X", 80), ("Startdate", 80), ("01.01.26", 8), ("01.01.01", 8), (512, 8), ("", 44), (claimed, 8), (1, 8)]
    signal = [("EEG Fz", 16), ("", 80), ("uV", 8), (-3276.8, 8), (3276.7, 8), (-32768, 8), (32767, 8), ("", 80), (256, 8)]
    header = b"".join(field(*f) for f in [*general, (1, 4), *signal, ("", 32)])
    path.write_bytes(header + np.arange(256 * seconds, dtype="<i2").tobytes())


def test_a_sound_edf_file_needs_no_warning(tmp_path: Path) -> None:
    edf(tmp_path / "sound.edf", 10, 10)
    recording = Recording(tmp_path / "sound.edf")
    assert recording.duration == 10 and recording.warning == ""
    np.testing.assert_allclose(whole(recording)[1][:, 0], np.arange(2560) / 10, atol=0.05)


def test_an_edf_file_that_is_cut_short_plays_as_far_as_it_goes(tmp_path: Path) -> None:
    edf(tmp_path / "cut.edf", 7, 10)
    recording = Recording(tmp_path / "cut.edf")
    assert len(whole(recording)[0]) == 7 * 256
    assert "does not match the file size" in recording.warning


def test_a_fif_file_that_is_cut_short_plays_as_far_as_it_goes(fif: Path) -> None:
    content = fif.read_bytes()
    fif.write_bytes(content[: len(content) * 2 // 3])
    recording = Recording(fif)
    assert 0 < len(whole(recording)[0]) < 2560
    assert recording.warning


@pytest.mark.parametrize("name", ["broken.edf", "broken.xdf", "broken.csv", "broken.vhdr", "broken.tsv"])
@pytest.mark.parametrize("content", [None, b"", b"this is no EEG"])
def test_an_unreadable_recording_says_so(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AlphaloomError, match="Give a recording") as caught:
        Recording(path)
    assert caught.value.code == "unreadable_recording" and name in caught.value.message
    assert "\n" not in caught.value.message


def test_a_recording_without_eeg_says_so(tmp_path: Path) -> None:
    path = tmp_path / "other_raw.fif"
    mne.io.RawArray(np.zeros((1, 500)), mne.create_info(["x"], 100.0, "misc"), verbose="error").save(path, verbose="error")
    with pytest.raises(AlphaloomError, match="other_raw"):
        Recording(path)


# -- CSV ----------------------------------------------------------------------------------------------------


def csv_file(
    path: Path, rows: list[str], header: str = "timestamps,TP9,AF7,AF8,TP10,Right AUX,Marker0", end: str = "\n"
) -> Path:
    path.write_text("\n".join([header, *rows]) + end)
    return path


def row(n: int, marker: str = "0") -> str:
    return f"{1000 + n / 256:.3f},{n},{n + 0.5},-{n},0,99,{marker}"


def test_a_muse_csv_has_its_stamps_channels_and_markers(tmp_path: Path) -> None:
    rows = [row(n, {10: "2", 300: "1"}.get(n, "0")) for n in [*range(200), *range(264, 600)]]
    recording = Recording(csv_file(tmp_path / "muse.csv", rows))
    times, values = whole(recording)
    assert recording.channels == CHANNELS and recording.rate == 256 and recording.warning == ""
    np.testing.assert_allclose(times, [round(n / 256, 3) for n in [*range(200), *range(264, 600)]], atol=1e-6)
    assert values[3].tolist() == [3, 3.5, -3, 0]
    assert [(round(at, 3), text) for at, text in recording.markers] == [(0.039, "2"), (1.172, "1")]


def test_a_piece_ends_where_a_gap_begins(tmp_path: Path) -> None:
    recording = Recording(csv_file(tmp_path / "gap.csv", [row(n) for n in [*range(200), *range(400, 600)]]))
    assert all(len(times) <= 16 and np.ptp(times) < 0.07 for times, _ in recording.chunks())


def test_a_csv_that_is_cut_short_plays_as_far_as_it_goes(tmp_path: Path) -> None:
    recording = Recording(csv_file(tmp_path / "cut.csv", [row(n) for n in range(300)] + ["1001.172,300,30"], end=""))
    assert len(whole(recording)[0]) == 300
    assert "cut short" in recording.warning and "302" in recording.warning


def test_lines_that_are_no_numbers_are_left_out_and_named(tmp_path: Path) -> None:
    rows = [row(n) for n in range(300)]
    rows[50] = "1000.195,1,zero,3,4,0,0"
    rows[70] = ""  # an empty line is nothing
    rows[90] = "nan,1,2,3,4,0,0"
    rows[100] = "1000.391,nan,2,3,4,0,0"  # NaN is a number that the headset sent
    recording = Recording(csv_file(tmp_path / "bad.csv", rows))
    assert "lines 52, 92" in recording.warning
    values = whole(recording)[1]
    assert len(values) == 297 and np.isnan(values).sum() == 1


@pytest.mark.parametrize(
    ("header", "reason"),
    [("time_stamp,a,b", "an electrode"), ("TP9,AF7", "'timestamps'"), ("", "'timestamps'")],
)
def test_a_csv_of_something_else_says_what_it_lacks(tmp_path: Path, header: str, reason: str) -> None:
    with pytest.raises(AlphaloomError, match=reason):
        Recording(csv_file(tmp_path / "other.csv", ["1,2,3"] * 5, header))


def test_stamps_in_milliseconds_are_refused(tmp_path: Path) -> None:
    rows = [f"{4 * n},1,2,3,4" for n in range(300)]
    with pytest.raises(AlphaloomError, match="must be in seconds"):
        Recording(csv_file(tmp_path / "ms.csv", rows, "timestamps,TP9,AF7,AF8,TP10"))


def test_another_rate_is_measured(tmp_path: Path) -> None:
    rows = [f"{n / 143:.6f},1" for n in range(500)]
    assert Recording(csv_file(tmp_path / "odd.csv", rows, "timestamps,Cz")).rate == 143


@needs_muse
@pytest.mark.parametrize(("name", "samples", "seconds"), [("clean", 15360, 60), ("gaps", 6180, 24), ("noisy_tp10", 15204, 59)])
def test_real_muse_recordings_are_read_whole(name: str, samples: int, seconds: int) -> None:
    recording = Recording(MUSE / f"{name}.csv")
    times, values = whole(recording)
    assert (recording.rate, recording.channels, len(times), recording.warning) == (256, CHANNELS, samples, "")
    assert recording.duration == pytest.approx(seconds, abs=1)
    assert np.count_nonzero(np.diff(times) > 0.03) == (3 if name == "gaps" else 0)
    assert len(recording.markers) > 10 and {text for _, text in recording.markers} == {"1", "2"}
    assert np.isfinite(values).all()


# -- XDF ----------------------------------------------------------------------------------------------------


class XDF:
    """Writes XDF as https://github.com/sccn/xdf/wiki/Specifications says, as far as the tests need it."""

    def __init__(self) -> None:
        self.content = b"XDF:" + self._chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')

    def stream(self, number: int, name: str, kind: str, channels: list[str], unit: str, rate: float, format: str) -> None:
        described = "".join(f"<channel><label>{c}</label><unit>{unit}</unit><type>EEG</type></channel>" for c in channels)
        xml = (
            f"<info><name>{name}</name><type>{kind}</type><channel_count>{len(channels)}</channel_count>"
            f"<nominal_srate>{rate:g}</nominal_srate><channel_format>{format}</channel_format>"
            f"<desc><channels>{described}</channels></desc></info>"
        )
        self.content += self._chunk(2, struct.pack("<I", number) + b'<?xml version="1.0"?>' + xml.encode())

    def samples(self, number: int, times: np.ndarray, values: np.ndarray | list[str]) -> None:
        body = struct.pack("<IBI", number, 4, len(times))
        for at, value in zip(times, values, strict=True):
            body += struct.pack("<Bd", 8, at)
            if isinstance(value, str):
                body += struct.pack("<BI", 4, len(value.encode())) + value.encode()
            else:
                body += np.asarray(value, "<f4").tobytes()
        self.content += self._chunk(3, body)

    def offset(self, number: int, at: float, seconds: float) -> None:
        self.content += self._chunk(4, struct.pack("<Idd", number, at, seconds))

    @staticmethod
    def _chunk(tag: int, body: bytes) -> bytes:
        return struct.pack("<BIH", 4, len(body) + 2, tag) + body


@pytest.fixture
def xdf() -> XDF:
    """Six seconds of two EEG streams and of markers on a clock that is 100 s behind, two seconds of samples missing."""
    made = XDF()
    made.stream(1, "Keys", "Markers", ["key"], "", 0, "string")
    made.stream(2, "Cap", "EEG", ["C3", "C4", "AUX1"], "millivolts", 250, "float32")
    made.stream(3, "Other", "EEG", ["Oz"], "", 250, "float32")
    for second in (0, 1, 4, 5):
        times = 500 + second + np.arange(250) / 250
        made.samples(2, times, np.arange(750).reshape(250, 3) + second)
        made.samples(3, times, np.ones((250, 1)))
    made.samples(1, np.array([401.5, 404.0]), ["go", "stöp"])
    for number, seconds in ((1, 100.0), (2, 0.0), (3, 0.0)):
        for at in range(0, 10, 2):
            made.offset(number, 400.0 + at, seconds)
    return made


def test_xdf_has_the_first_eeg_stream_in_its_own_unit_with_its_gap_and_the_markers_on_its_clock(
    xdf: XDF, tmp_path: Path
) -> None:
    path = tmp_path / "cap.xdf"
    path.write_bytes(xdf.content)
    recording = Recording(path)
    times, values = whole(recording)
    assert (recording.format.name, recording.format.unit, recording.rate) == ("Cap", "millivolts", 250)
    assert recording.channels == ("C3", "C4") and recording.warning == ""
    np.testing.assert_allclose(times, np.concatenate([s + np.arange(250) / 250 for s in (0, 1, 4, 5)]), atol=1e-6)
    assert values[1].tolist() == [3, 4]
    assert [(round(at, 3), text) for at, text in recording.markers] == [(1.5, "go"), (4.0, "stöp")]


def test_another_stream_of_an_xdf_file_is_chosen_by_name_and_its_unit_is_not_made_up(xdf: XDF, tmp_path: Path) -> None:
    path = tmp_path / "cap.xdf"
    path.write_bytes(xdf.content)
    recording = Recording(path, "Other")
    assert recording.channels == ("Oz",) and recording.format.unit == ""
    with pytest.raises(AlphaloomError, match="'Cap'"):
        Recording(path, "Missing")


def test_an_xdf_file_that_is_cut_short_plays_as_far_as_it_goes(xdf: XDF, tmp_path: Path) -> None:
    path = tmp_path / "cut.xdf"
    path.write_bytes(xdf.content[: len(xdf.content) * 2 // 3])
    recording = Recording(path)
    assert 0 < len(whole(recording)[0]) < 1000
    assert recording.warning
