"""Ctrl-C and SIGTERM: what is finished is saved, a line says so, and the same call goes on."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from moments_dnns import load_experiment, run_experiment
from moments_dnns.results.interruption import Terminated, interruptible
from moments_dnns.results.writers import Writer
from moments_dnns.simulation.realizations import Simulator
from tests.support.synthetic import TINY, describe, heed_interrupts, run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (None, "interrupted: nothing is saved, because the experiment has no name_experiment"),
        ("unfinished", "interrupted: 2 of 10 realizations are saved in .*unfinished; the same command goes on"),
        ("new", "interrupted before the first realizations were saved"),
    ],
)
def test_an_interrupt_says_what_is_saved(name, told):
    next(run("unfinished", describe(10)))
    with pytest.raises(KeyboardInterrupt, match=told) as caught, interruptible(name):
        raise KeyboardInterrupt
    assert type(caught.value) is KeyboardInterrupt
    with pytest.raises(Terminated, match=told), interruptible(name):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_who_handles_the_signal_already_goes_on_to_do_so():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        with interruptible(None):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [1]
    entered = []
    thread = threading.Thread(
        target=lambda: [entered.append(1) for _ in [0] if interruptible(None).__enter__() is None]
    )
    thread.start()
    thread.join()
    assert entered == [1]


def test_the_first_realization_is_saved_at_once(monkeypatch):
    saved, realize = [], Simulator.realize

    def watched(self, realizations, arrays):
        if realizations[0]:
            saved.append(load_experiment("demo").num_realizations)
        return realize(self, realizations, arrays)

    monkeypatch.setattr(Simulator, "realize", watched)
    monkeypatch.setattr("moments_dnns.execution.collection.SECONDS_BETWEEN_COMMITS", 1e9)
    run_experiment(**TINY, num_realizations=4, name_experiment="demo", verbose=False)
    assert saved[0] == 1
    assert load_experiment("demo").num_realizations == 4


def test_commits_take_a_small_share_of_the_time(monkeypatch):
    commits = []
    monkeypatch.setattr("moments_dnns.execution.collection.SECONDS_BETWEEN_COMMITS", 0.0)
    monkeypatch.setattr("moments_dnns.execution.collection.SHARE_OF_COMMITS", 1e-6)

    def slow(writer, realizations, arrays):
        commits.append(len(realizations))
        time.sleep(0.01)

    monkeypatch.setattr(Writer, "commit", slow)
    run_experiment(**TINY, num_realizations=20, name_experiment="demo", verbose=False)
    assert commits == [1, 19]


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_saves_what_is_finished(workers, npy_folder):
    settings = {**TINY, "num_realizations": 100_000, "name-experiment": "demo", "workers": workers}
    process = subprocess.Popen(
        [sys.executable, "run_experiment.py", "--no_verbose", *(f"--{key}={value}" for key, value in settings.items())],
        cwd=ROOT,
        env={**os.environ, "MOMENTS_DNNS_NPY": str(npy_folder)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not (npy_folder / "demo" / "experiment.json").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGTERM)  # as SLURM does, to the workers too
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143, errors
    kept = load_experiment("demo")
    assert kept.num_realizations > 0
    (line,) = [line for line in errors.splitlines() if line.startswith("run_experiment.py: ")]
    assert re.search(rf"interrupted: {kept.num_realizations} of 100000 realizations are saved in .*goes on", line)
    assert "Traceback" not in errors
    serial = run_experiment(**TINY, num_realizations=1, verbose=False)
    if kept.sources[0].start == 0:
        np.testing.assert_array_equal(kept["log_mu2_noise_loc4"][:1], serial["log_mu2_noise_loc4"])
