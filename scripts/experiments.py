"""The experiments of the paper's figures and variants of them: their parameters at each size, and their folders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import attrs

from moments_dnns import Experiment, list_experiments

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
    "figure_2_narrow": Result(
        "vanilla_histo", {**HISTOGRAM, "num_channels": 32}, {**SMALLER_HISTOGRAM, "num_channels": 16}
    ),
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
    "figure_5_narrow": Result("bn_res", {**BN_RES, "num_channels": 128}, {"num_realizations": 32}),
    "figure_5_one_sided": Result(
        "bn_res", {**BN_RES, "boundary": "periodic_one_sided"}, {**SMALLER, "num_realizations": 32}, "bn_res"
    ),
}
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


def saved_results() -> Iterator[tuple[str, str]]:
    """Yield the name of every saved experiment, and that of its folder at the largest size."""
    there = list_experiments()
    for name in RESULTS:
        folders = [saved_name(name, size) for size in ("paper", "cpu") if saved_name(name, size) in there]
        if folders:
            yield name, folders[0]


def is_paper(name: str, experiment: Experiment) -> bool:
    """Return whether an experiment has the paper's parameters, whatever its images."""
    paper = Experiment(**settings_of(name, "paper", experiment.dataset))
    return not set(paper.differences(attrs.evolve(experiment, seed=0))) - {"dataset", "num_realizations"}
