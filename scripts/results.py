"""The results that ship: the experiments of the paper's figures and variants of them, run, pruned and compared.

python -m scripts.results --size quick     # tiny versions, to see that all works: a minute or two
python -m scripts.results --size cpu       # fully connected networks as in the paper, smaller convolutional ones
python -m scripts.results --size paper     # everything as in the paper, on a machine with a GPU
python -m scripts.results --size paper --realizations 30    # what two cores can do in a day

Finished experiments are not run again, and Ctrl-C loses one realization.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from moments_dnns import Experiment, _cli, list_experiments, load_experiment, prune_experiment, run_experiment
from moments_dnns.data import load_images

from .experiments import RESULTS, Size, saved_name, settings_of
from .results_page import DOCUMENT, document


def operations(experiment: Experiment) -> float:
    """Return the number of additions and multiplications in all convolutions but the first, of signal and noise."""
    side = experiment.layer_side(32)
    layers = experiment.total_depth * experiment.kernels_per_layer
    points = 2 * experiment.batch_size * side**2
    return 2.0 * points * (experiment.kernel_size * experiment.num_channels) ** 2 * layers * experiment.num_realizations


def rate() -> float:
    """Return the operations per second of this machine, measured by a product of matrices in NumPy."""
    x = np.ones((2048, 2048), np.float32)
    x @ x
    start = time.perf_counter()
    x @ x
    return 2.0 * 2048**3 / (time.perf_counter() - start)


def available(dataset: str) -> bool:
    """Return whether the images of a dataset are there or can be downloaded; print the reason if not."""
    try:
        load_images(dataset)
    except OSError as error:
        print(error)
        return False
    return True


def results(
    *,
    size: Size = "quick",
    dataset: str | None = None,
    workers: _cli.Integer | None = None,
    names: Annotated[list[str] | None, Parameter(choices=tuple(RESULTS), consume_multiple=True)] = None,
    realizations: _cli.Integer | None = None,
    verbose: bool = True,
) -> None:
    """Run, prune and compare what is missing; every experiment is saved under its name and size.

    Args:
        size: How large the experiments are.
        dataset: cifar10, photo, ... (default: cifar10 where it can be had, else photo).
        workers: How many realizations are computed at a time (default: one on each core).
        names: Which experiments (default: all).
        realizations: Run at most so many realizations of each (default: as many as in the paper).
        verbose: Whether to show progress bars.
    """
    if dataset is None:
        dataset = "cifar10" if available("cifar10") else "photo"
    chosen = {name: settings_of(name, size, dataset) for name in names or RESULTS}
    chosen = {name: settings for name, settings in chosen.items() if available(settings["dataset"])}
    if realizations is not None:
        for settings in chosen.values():
            settings["num_realizations"] = min(settings["num_realizations"], realizations)
    missing = [name for name in chosen if not is_finished(saved_name(name, size))]
    for name in sorted(chosen.keys() - missing):
        tell_of_fewer(saved_name(name, size), chosen[name]["num_realizations"])
    # A network spends about as long on everything else as on its products.
    seconds = 2 * sum(operations(Experiment(**chosen[name])) for name in missing) / rate()
    print(f"{len(missing)} of {len(RESULTS)} experiments to finish, on {dataset} images: "
          f"at least {seconds / 60:.0f} minutes on this machine's processor.")  # fmt: skip
    for name in missing:
        saved, settings = saved_name(name, size), chosen[name]
        print(f"{saved}: {settings}", flush=True)
        run_experiment(**settings, name_experiment=saved, workers=workers, verbose=verbose)
        prune_experiment(RESULTS[name].type_plot, saved)
    if size != "quick":
        DOCUMENT.write_text(document())
        print(DOCUMENT)


def is_finished(name: str) -> bool:
    """Return whether an experiment is saved and pruned, so that no realizations can be added."""
    if name not in list_experiments():
        return False
    moments = load_experiment(name)
    return not set(moments.experiment.array_names) <= set(moments)


def tell_of_fewer(name: str, wanted: int) -> None:
    """Print how many realizations a finished experiment has, if these are fewer than wanted."""
    if (number := load_experiment(name).num_realizations) < wanted:
        print(f"{name}: has {number} of {wanted} realizations and is pruned; without its folder all of them are run.")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the results and return the exit code."""
    interrupted = "interrupted: what was finished is saved, and the same command goes on from there"
    return _cli.call(_cli.application("results.py", results), argv, interrupted)


if __name__ == "__main__":
    sys.exit(main())
