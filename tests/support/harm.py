"""What may happen to saved experiments by mistake or malice, and everything that takes the name of one."""

import contextlib
import os

from hypothesis import HealthCheck, settings

from moments_dnns.plots.pruning import prune_experiment
from moments_dnns.results.experiments import (
    delete_experiment,
    keep_arrays,
    load_experiment,
    merge_experiments,
    save_experiment,
)
from moments_dnns.results.files import CorruptExperimentError
from tests.support.synthetic import complete, describe, run

# What reads an experiment before it does anything, what writes one, and all that takes a name.
READING = {
    "load": load_experiment,
    "prune": lambda name: prune_experiment("bn_ff", name),
    "keep arrays": lambda name: keep_arrays(name, ["chi_loc4"]),
    "merge": lambda name: merge_experiments([name, name], "merged"),
}
WRITING = {
    "save": lambda name: save_experiment(complete(describe()), name),
    "run": lambda name: next(run(name, describe())),
}
BY_NAME = {**READING, **WRITING, "delete": delete_experiment}

fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def link_outside(path):
    outside = path.parents[2] / "outside.npy"
    path.rename(outside)
    path.symlink_to(outside)


def make_pipe(path):
    path.unlink()
    os.mkfifo(path)


def make_folder(path):
    path.unlink()
    path.mkdir()


def load_with(npy_folder, file, change):
    """Load an experiment with changed bytes in a file, and let pass the documented errors only."""
    path = npy_folder / "demo" / file
    if not path.exists():
        save_experiment(complete(describe()), "demo")
    content = path.read_bytes()
    path.write_bytes(change(content))
    with contextlib.suppress(CorruptExperimentError):
        moments = load_experiment("demo")
        assert all(moments[array].dtype in ("f8", "i8") for array in moments)
        repr(moments)
    path.write_bytes(content)
