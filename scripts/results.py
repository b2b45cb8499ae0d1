"""The results that ship: the experiments of the paper's figures and variants of them, run, pruned and compared.

python -m scripts.results --size quick     # tiny versions, to see that all works: a minute or two
python -m scripts.results --size cpu       # fully connected networks as in the paper, smaller convolutional ones
python -m scripts.results --size paper     # everything as in the paper, on a machine with a GPU

Finished experiments are not run again, and Ctrl-C loses one realization.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import attrs
import numpy as np
from cyclopts import Parameter

from moments_dnns import Experiment, _cli, list_experiments, load_experiment, prune_experiment, run_experiment
from moments_dnns.analysis.published import PUBLISHED, Comparison, compare
from moments_dnns.data import load_images

DOCUMENT = Path(__file__).parents[1] / "docs" / "results.md"
Size = Literal["quick", "cpu", "paper"]


class Result(NamedTuple):
    """An experiment of the paper.

    Args:
        type_plot: The figure that draws it; pruning keeps the arrays of this figure.
        settings: Its parameters in the paper.
        cpu: The parameters that differ on a machine without a GPU.
        published: The entry of `PUBLISHED` to compare it with.
    """

    type_plot: str
    settings: dict[str, Any]
    cpu: dict[str, Any] = {}  # noqa: RUF012  never changed
    published: str | None = None


CONVOLUTIONAL: dict[str, Any] = {
    "total_depth": 200,
    "kernel_size": 3,
    "num_channels": 512,
    "batch_size": 64,
    "num_realizations": 1_000,
}
SMALLER = {"num_channels": 128, "batch_size": 64, "num_realizations": 50}
HISTOGRAM = {
    "architecture": "vanilla",
    "total_depth": 200,
    "kernel_size": 3,
    "num_channels": 128,
    "batch_size": 1_024,
    "num_realizations": 10_000,
    "num_computations": 4,
    "compute_reff_signal": False,
    "compute_reff_noise": False,
}
SMALLER_HISTOGRAM = {"batch_size": 16, "num_realizations": 200}
CONNECTED = {"kernel_size": 1, "num_realizations": 200}
VANILLA = {"architecture": "vanilla", "compute_reff_noise": False, **CONVOLUTIONAL}
BN_FF = {"architecture": "bn_ff", **CONVOLUTIONAL}
BN_RES = {"architecture": "bn_res", **CONVOLUTIONAL, "total_depth": 500}
RESULTS = {
    "fully_connected_2": Result("vanilla_histo", {**HISTOGRAM, "kernel_size": 1}),
    "fully_connected_3": Result("vanilla", {**VANILLA, **CONNECTED}),
    "fully_connected_4": Result("bn_ff", {**BN_FF, **CONNECTED}, published="fully connected bn_ff"),
    "fully_connected_4_batch_128": Result("bn_ff", {**BN_FF, **CONNECTED, "batch_size": 128}),
    "fully_connected_4_batch_256": Result("bn_ff", {**BN_FF, **CONNECTED, "batch_size": 256}),
    "fully_connected_4_batch_512": Result("bn_ff", {**BN_FF, **CONNECTED, "batch_size": 512}),
    "fully_connected_5": Result("bn_res", {**BN_RES, **CONNECTED}),
    "figure_2": Result("vanilla_histo", HISTOGRAM, {**SMALLER_HISTOGRAM, "num_channels": 32}),
    "figure_2_wide": Result(
        "vanilla_histo", {**HISTOGRAM, "num_channels": 512}, {**SMALLER_HISTOGRAM, "num_channels": 128}
    ),
    "figure_3": Result("vanilla", VANILLA, SMALLER, "vanilla"),
    "figure_3_symmetric": Result("vanilla", {**VANILLA, "boundary": "symmetric"}, SMALLER),
    "figure_3_zero_padding": Result("vanilla", {**VANILLA, "boundary": "zero_padding"}, SMALLER),
    "figure_4": Result("bn_ff", BN_FF, SMALLER, "bn_ff"),
    "figure_4_zero_padding": Result("bn_ff", {**BN_FF, "boundary": "zero_padding"}, SMALLER),
    "figure_4_mnist": Result("bn_ff", {**BN_FF, "dataset": "mnist"}, SMALLER),
    "figure_4_epsilon_0": Result("bn_ff", {**BN_FF, "epsilon": 0.0}, SMALLER),
    "figure_5": Result("bn_res", BN_RES, {**SMALLER, "num_realizations": 32}, "bn_res"),
}
# What images are, by the labels that experiments have.
IMAGES = {
    "cifar10": "CIFAR-10, training images",
    "cifar10-test-jpeg.npy": "CIFAR-10, test images, from JPEG",
    "mnist": "MNIST, training images",
    "mnist-test.npy": "MNIST, test images",
    "photo": "crops of one photograph",
}
# The images of the paper.
AS_PUBLISHED = ("cifar10", "cifar10-test-jpeg.npy")
# |z| up to which agreement is counted.
WITHIN = (2, 3, 4)
# The only size with other depths: it is there to see that everything runs, not for its numbers.
QUICK = {"total_depth": 20, "num_channels": 16, "batch_size": 8, "num_realizations": 4, "num_computations": 4}


def settings_of(name: str, size: str, dataset: str) -> dict[str, Any]:
    """Return the parameters of an experiment at a size, with `dataset` where it has no dataset of its own.

    Example:

    >>> settings_of("figure_4", "cpu", "photo")["num_channels"]
    128
    """
    result = RESULTS[name]
    changes = {"quick": QUICK, "cpu": result.cpu, "paper": {}}[size]
    return {"dataset": dataset, **result.settings, **changes}


def saved_name(name: str, size: str) -> str:
    """Return the folder of an experiment below npy/: its name, with the size behind it if that is not the paper's."""
    as_published = size == "paper" or (size == "cpu" and not RESULTS[name].cpu)
    return name if as_published else f"{name}_{size}"


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
    verbose: bool = True,
) -> None:
    """Run, prune and compare what is missing; every experiment is saved under its name and size.

    Args:
        size: How large the experiments are.
        dataset: cifar10, photo, ... (default: cifar10 where it can be had, else photo).
        workers: How many realizations are computed at a time (default: one on each core).
        names: Which experiments (default: all).
        verbose: Whether to show progress bars.
    """
    if dataset is None:
        dataset = "cifar10" if available("cifar10") else "photo"
    chosen = {name: settings_of(name, size, dataset) for name in names or RESULTS}
    chosen = {name: settings for name, settings in chosen.items() if available(settings["dataset"])}
    missing = [
        name
        for name, settings in chosen.items()
        if not is_finished(saved_name(name, size), settings["num_realizations"])
    ]
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


def is_finished(name: str, num_realizations: int) -> bool:
    """Return whether an experiment is saved with all of its realizations and pruned."""
    if name not in list_experiments():
        return False
    moments = load_experiment(name)
    pruned = not set(moments.experiment.array_names) <= set(moments)
    return pruned and moments.num_realizations >= num_realizations


def document() -> str:
    """Return the text of docs/results.md: a table of all saved experiments, and comparisons with published numbers."""
    lines = [
        "# Results",
        "",
        "Written by `make results`, not by hand. Every experiment is saved in `npy/`, pruned, with its parameters and",
        "its provenance in `experiment.json`. *z* is the difference of the means over its standard error, which",
        "includes the published one where that is known. It is a test where the size and the images are those of the",
        "paper, which the first table counts; otherwise the numbers are there to be compared by eye.",
        "",
    ]
    saved = list(saved_results())
    compared = {folder: compared_with(name, folder) for name, folder in saved if RESULTS[name].published}
    lines += agreement({folder: compared[folder] for name, folder in saved if as_published(name, folder)})
    lines += [
        "",
        "| name | realizations | kernel | width | batch | depth | images | seed | size |",
        "|---|---|---|---|---|---|---|---|---|",
        *(overview(name, folder) for name, folder in saved),
    ]
    for folder, rows in compared.items():
        lines += ["", *comparison(folder, rows)]
    return "\n".join(lines) + "\n"


def as_published(name: str, folder: str) -> bool:
    """Return whether an experiment has published means, and the size and the images of the paper."""
    experiment = load_experiment(folder).experiment
    return bool(RESULTS[name].published) and experiment.dataset in AS_PUBLISHED and is_paper(name, experiment)


def agreement(compared: dict[str, list[Comparison]]) -> list[str]:
    """Return the table of how many published means each experiment agrees with, and a row for all of them."""
    if not compared:
        return []
    together = {f"`{folder}`": rows for folder, rows in compared.items()}
    together["all"] = [row for rows in compared.values() for row in rows]
    return [
        "| at the size and on the images of the paper | published means | "
        + " | ".join(f"within {z} σ" for z in WITHIN)
        + " | largest | at |",
        "|---|---|" + "---|" * (len(WITHIN) + 2),
        *(f"| {name} | {len(rows)} | " + " | ".join(_within(rows)) + " |" for name, rows in together.items()),
    ]


def _within(rows: Sequence[Comparison]) -> list[str]:
    counts = [sum(abs(row.z) <= most for row in rows) for most in WITHIN]
    worst = max(rows, key=lambda row: abs(row.z))
    return [*map(str, counts), f"{worst.z:.1f}", f"{_in_a_cell(worst.symbol)}, {worst.depth}"]


def _in_a_cell(symbol: str) -> str:
    return symbol.replace("|", r"\|")  # a bar would end the cell


def saved_results() -> Iterator[tuple[str, str]]:
    """Yield the name of every saved experiment, and that of its folder at the largest size."""
    there = list_experiments()
    for name in RESULTS:
        folders = [saved_name(name, size) for size in ("paper", "cpu") if saved_name(name, size) in there]
        if folders:
            yield name, folders[0]


def overview(name: str, folder: str) -> str:
    """Return the row of an experiment in the table of all."""
    moments = load_experiment(folder)
    experiment = moments.experiment
    cells = [
        f"`{folder}`",
        f"{moments.num_realizations:,}",
        experiment.kernel_size,
        experiment.num_channels,
        experiment.batch_size,
        experiment.total_depth,
        IMAGES.get(experiment.dataset, experiment.dataset),
        experiment.seed,
        "paper" if is_paper(name, experiment) else "smaller",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def is_paper(name: str, experiment: Experiment) -> bool:
    """Return whether an experiment has the paper's parameters, whatever its images."""
    paper = Experiment(**settings_of(name, "paper", experiment.dataset))
    return not set(paper.differences(attrs.evolve(experiment, seed=0))) - {"dataset", "num_realizations"}


def compared_with(name: str, folder: str) -> list[Comparison]:
    """Return the means of an experiment beside the published ones."""
    return compare(load_experiment(folder), PUBLISHED[RESULTS[name].published or ""])


def comparison(folder: str, rows: Sequence[Comparison]) -> list[str]:
    """Return the section of an experiment with published numbers."""
    return [
        f"## `{folder}`",
        "",
        "| quantity | depth | ours | standard error | published | its standard error | z |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {_in_a_cell(row.symbol)} | {row.depth} | {row.mean:.5g} | {row.error:.2g} | {row.published:.5g} | "
            f"{f'{row.published_error:.2g}' if row.published_error else ''} | {row.z:.1f} |"
            for row in rows
        ),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Make the results and return the exit code."""
    interrupted = "interrupted: what was finished is saved, and the same command goes on from there"
    return _cli.call(_cli.application("results.py", results), argv, interrupted)


if __name__ == "__main__":
    sys.exit(main())
