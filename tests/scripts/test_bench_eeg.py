"""The `eeg` benchmark: its arithmetic, and one arm for real."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import bench_eeg
import bench_eeg_figures as figures
import bench_usage
import numpy as np
import processes
import pytest
from bench_eeg_arms import record

RATE = 256.0


def written(numbers: np.ndarray) -> np.ndarray:
    """The first channel as the generator sends it."""
    eeg = np.floor(np.random.default_rng(1).normal(0, 30, len(numbers)) * 4) / 4
    return (eeg + numbers % record.MODULUS / record.SCALE).astype(np.float32)


def test_a_samples_number_is_read_from_its_value_across_gaps_longer_than_the_counter() -> None:
    sent = np.r_[4000:4200, 4300:4400, 15000:15100]
    stamps = 100 + sent / RATE + np.random.default_rng(2).normal(0, 0.01, len(sent))
    np.testing.assert_array_equal(record.numbers(stamps, RATE, written(sent)), sent)


def test_samples_are_numbered_by_their_stamps_where_values_are_not_seen() -> None:
    sent = np.r_[70:90, 100:110]
    assert record.runs_of(record.numbers(5 + sent / RATE, RATE, None)) == [[0, 19], [30, 39]]


@pytest.mark.parametrize("modulus", [1, record.MODULUS])
def test_what_was_not_heard_is_lost_also_at_the_end(modulus: int) -> None:
    stream = figures.Stream(start=50.0, rate=RATE, late=[])
    first = 5000 % modulus if modulus > 1 else 0
    report = {"runs": [[first, first + 99], [first + 110, first + 199]], "modulus": modulus, "first_stamp": 50 + 5000.1 / RATE}
    heard = stream.heard(report)
    assert heard == [(5000, 5099), (5110, 5199)]
    assert figures.lost(heard, 5000, 5200) == 10
    assert figures.lost(heard, 5105, 5250) == 5 + 50
    assert figures.lost([], 0, 10) == 10


def test_the_step_response_is_the_first_update_that_is_high_enough() -> None:
    updates = [[t, t + 0.01, min(1.0, max(0.0, t - 10)) * 80 + 20] for t in np.arange(8, 14, 0.125)]
    found = figures.step_response(updates, 10.0, 14.0)
    assert found == {"step50": pytest.approx(385), "step90": pytest.approx(885)}


def test_without_updates_there_are_no_figures_and_none_is_guessed() -> None:
    stream = figures.Stream(0.0, RATE, [])
    found = figures.of_cycle(stream, [], [], 10.0, 4.0)
    assert found == dict.fromkeys(("p50", "p95", "late95", "step50", "step90")) | {"updates": 0, "lost": 4 * RATE}


def measured(cpu: float, lost: float = 0.0) -> figures.Measured:
    rounds = dict.fromkeys(figures.FIGURES, 1.0) | {"lost": lost}
    return figures.Measured([rounds | {"cpu": cpu}, rounds | {"cpu": cpu * 2}])


def test_goals_hold_fail_or_are_unknown_and_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    found = figures.results(
        {
            ("8 ch", 0, figures.OURS): measured(5.0, lost=1.0),
            ("8 ch", 0, figures.PLAIN): measured(5.0),
            ("8 ch", 0, figures.GOOFI): figures.Measured(reason="not installed: no network"),
        }
    )
    by_name = {r["name"]: r for r in found}
    assert by_name["8 ch, idle: our CPU by plain's"]["value"] == 1.0
    assert by_name["8 ch, idle: our CPU by plain's"]["holds"] is True
    assert by_name["8 ch, idle: ours, samples lost"]["value"] == 2.0
    assert by_name["8 ch, idle: ours, samples lost"]["holds"] is False
    unknown = by_name["8 ch, idle: our CPU by goofi-pipe's"]
    assert (unknown["value"], unknown["holds"]) == (None, None) and "no network" in unknown["reason"]
    figures.show(found)
    shown = capsys.readouterr().out
    assert "MISSED" in shown and "holds" in shown and shown.count("no network") == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="CPU time is read on Linux only")
def test_cpu_time_is_that_of_the_whole_tree() -> None:
    spin = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'], stdin=sys.stdin)"
    with subprocess.Popen([sys.executable, "-c", spin], start_new_session=True) as idle_parent:
        try:
            assert any((bench_usage.cpu_seconds(idle_parent.pid) or 0) > 0.5 for _ in processes.until(60))
        finally:
            os.killpg(idle_parent.pid, signal.SIGKILL)


def test_a_plain_loop_hears_every_sample_of_the_generator() -> None:
    load = bench_eeg.Load("8 ch", 8, 256, (figures.PLAIN,))
    plan = bench_eeg.Plan(1, 5.0, (0,), (load,))
    (found,) = bench_eeg.life(plan, load, figures.PLAIN, dict.fromkeys(bench_eeg.PROGRAMS, Path(sys.executable)))
    assert found["lost"] == 0
    assert found["updates"] and found["p50"] is not None and found["step90"] is not None


def test_an_arm_that_cannot_run_says_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench_eeg.PROGRAMS, figures.PLAIN, ("no_such_program.py",))
    load = bench_eeg.Load("8 ch", 8, 256, (figures.PLAIN,))
    plan = bench_eeg.Plan(1, 5.0, (0,), (load,))
    with pytest.raises(processes.ChildError, match=r"plain ended.*no_such_program\.py"):
        bench_eeg.life(plan, load, figures.PLAIN, dict.fromkeys(bench_eeg.PROGRAMS, Path(sys.executable)))


def test_goofi_pipes_chunks_are_counted_even_if_some_are_dropped_or_come_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against stand-ins for its nodes: its own environment is made by the benchmark only."""
    monkeypatch.syspath_prepend(bench_eeg.ARMS)  # where an arm finds its neighbours when it runs
    goofi_patch = importlib.import_module("goofi_patch")
    sent = np.arange(100, 200)
    stamps, values = 7 + sent / RATE, written(sent)[:, None]
    chunks = iter([(values[a:b], stamps[a:b]) for a, b in ((0, 10), (10, 30), (30, 60), (60, 100))])

    class Client:
        client = SimpleNamespace(pull_chunk=lambda: next(chunks))

        def process(self) -> dict:
            samples, _ = self.client.pull_chunk()
            return {"out": (samples.T, {})}

    class Buffer:
        def process(self, val: SimpleNamespace, reset: None) -> dict:
            return {"out": (val.data, val.meta)}

    goofi_patch._number_what_is_pulled(Client, RATE)
    goofi_patch._count_what_is_buffered(Buffer)
    pulled = [SimpleNamespace(data=made["out"][0], meta=made["out"][1]) for made in (Client().process() for _ in range(4))]
    buffered = [Buffer().process(val, None)["out"][1] for val in (pulled[0], pulled[0], pulled[1], pulled[3])]
    assert buffered[-1]["runs"] == [[100, 129], [160, 199]]
    assert (buffered[-1]["first_stamp"], buffered[-1]["newest"]) == (stamps[0], stamps[-1])
