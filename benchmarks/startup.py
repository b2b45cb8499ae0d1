"""How long it takes to begin: importing, loading, plotting and asking for help, each in a process of its own.

Run it as `python -m benchmarks.startup` from the root of the checkout. README.md holds the results that `--write` puts
there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from moments_dnns import Experiment, Moments, _cli, save_experiment

from .common import WriteSwitch, machine, number, table, timed, write

ROOT = Path(__file__).parents[1]
LOAD = "load_experiment('saved')"
FIRST_ANSWER = "run_experiment of a small network"
# What is run -> what it may take, in seconds.
BEGINNINGS = {
    "import moments_dnns": (["-c", "import moments_dnns"], 0.6),
    "load an experiment": (["-c", f"from moments_dnns import load_experiment; {LOAD}['chi_loc4']"], 0.6),
    "load it and save its figure": (
        ["-c", f"from moments_dnns import load_experiment, plot_bn_ff; plot_bn_ff({LOAD}, path='figure.png')"],
        1.5,
    ),
    FIRST_ANSWER: (
        [
            "-c",
            "from moments_dnns import run_experiment; "
            "run_experiment('bn_ff', 10, 1, 64, 16, 2, dataset='photo', verbose=False)",
        ],
        5.0,
    ),
    "run_experiment.py --help": ([str(ROOT / "run_experiment.py"), "--help"], 0.5),
}
HEADER = "to begin | seconds, least of {} | goal"


def save(num_realizations: int = 1_000) -> None:
    """Save moments of the size of figure 4, all numbers of which are made up."""
    experiment = Experiment("bn_ff", 200, 3, 512, 64, num_realizations)
    generator = np.random.default_rng(0)
    shape = (num_realizations, experiment.num_computations)
    save_experiment(
        Moments({name: generator.lognormal(size=shape) for name in experiment.array_names}, experiment), "saved"
    )


def least_seconds(name: str, repeats: int, folder: str, **environment: str) -> float:
    """Return the least seconds of a beginning, each in a process of its own with more variables in its environment."""
    command = [sys.executable, *BEGINNINGS[name][0]]
    variables = {**os.environ, **environment}
    run = partial(subprocess.run, command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env=variables)
    run()  # what is compiled or cached once counts for nothing
    return min(timed(run) for _ in range(repeats))


def measure_beginnings(*, repeats: _cli.Integer = 5, write_results: WriteSwitch = False) -> None:
    """Measure how long it takes to import, load, plot and ask for help, each in a process of its own.

    Args:
        repeats: Processes each.
        write_results: Put the results into README.md.
    """
    rows = []
    with TemporaryDirectory() as folder:
        os.environ["MOMENTS_DNNS_NPY"] = str(Path(folder) / "npy")
        save()
        for name, (_, goal) in BEGINNINGS.items():
            rows.append([name, number(least_seconds(name, repeats, folder)), number(goal)])
    text = table(HEADER.format(repeats), rows)
    print(text)
    if write_results:
        write("startup", f"{machine()}.\n\n{text}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line and return the exit code."""
    return _cli.call(_cli.application("startup", measure_beginnings), argv)


if __name__ == "__main__":
    sys.exit(main())
