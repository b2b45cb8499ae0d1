"""Experiments whose numbers are known beforehand, so that any mixture of two of them is seen. No Keras."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.moments import kept_name
from moments_dnns.results.experiments import load_experiment
from moments_dnns.results.moments import Moments
from moments_dnns.results.writers import open_writer

# A network that is computed in milliseconds, as `run_experiment` takes it, without the number of realizations.
TINY = {
    "architecture": "bn_ff",
    "total_depth": 4,
    "kernel_size": 1,
    "num_channels": 8,
    "batch_size": 4,
    "num_computations": 2,
    "dataset": "photo",
}


def describe(num_realizations=6, seed=0, architecture="bn_ff", **parameters):
    return Experiment(
        architecture, 4, 1, 16, 8, num_realizations, dataset="photo", num_computations=2, seed=seed, **parameters
    )


def rows(experiment, indices, seed=None):
    """Return arrays, as they are kept, whose numbers tell their seed, realization, moment, place and depth."""
    seed = experiment.seed if seed is None else seed
    indices = np.asarray(indices, np.float64)[:, None]
    return {
        # Small enough for their exponentials: most are logarithms.
        kept_name(name): (1 + 1000 * seed + indices + i / 64 + np.arange(experiment.num_computations) / 1024) / 128
        for i, name in enumerate(experiment.array_names)
    }


def complete(experiment, provenance=None):
    """Return the moments of all realizations."""
    return Moments(rows(experiment, range(experiment.num_realizations)), experiment, provenance=provenance)


def run(name, experiment, chunk=2, overwrite=False, backwards=False, provenance=None):
    """Run what is missing of an experiment in chunks, and yield after every commit."""
    with open_writer(name, experiment, provenance or {}, overwrite=overwrite) as writer:
        missing = writer.missing[::-1] if backwards else writer.missing
        for start in range(0, len(missing), chunk):
            indices = missing[start : start + chunk]
            writer.commit(indices, rows(experiment, indices))
            yield writer


def finish(name, experiment, **options):
    """Run an experiment to its end and return its moments."""
    for _ in run(name, experiment, **options):
        pass
    return load_experiment(name)


def is_genuine(moments):
    """Tell whether every row of every array is that of its realization."""
    parts = [rows(moments.experiment, range(source.start, source.stop), source.seed) for source in moments.sources]
    expected = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    expected = Moments(expected, moments.experiment, moments.sources)
    return all(np.array_equal(moments[name], expected[name]) for name in moments)


def folder_bytes(folder):
    """Return the size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def heed_interrupts():
    """Let a new process answer Ctrl-C, which is ignored by whatever a shell has started in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def writing_process(scenario, num_realizations=30):
    """A process that writes to the experiment `demo` (see writer.py), from its first line of output on."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, root / "tests" / "support" / "writer.py", scenario, "demo", str(num_realizations)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        preexec_fn=heed_interrupts,
    )
    try:
        process.first_line = process.stdout.readline()
        if not process.first_line:
            raise RuntimeError(process.stderr.read())
        yield process
    finally:
        process.kill()
        process.communicate()
