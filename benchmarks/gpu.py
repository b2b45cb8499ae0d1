"""Figures 2 to 5 at the paper's size on an accelerator: time, share of the device's peak, and projected time.

Run it as `KERAS_BACKEND=tensorflow python -m benchmarks.gpu` (or `jax`) from the root of the checkout. README.md holds
the results that `--write` puts there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import attrs
import numpy as np

from moments_dnns import Experiment, _cli
from moments_dnns._validation import refusal
from moments_dnns.descriptions.choices import PRECISIONS
from moments_dnns.moments import derive

from . import rates
from .bench import NO_RANKS, TINY
from .common import Measurement, WriteSwitch, line, machine, measure, number, table, write
from .engines import engine

EVOLUTION: dict[str, Any] = {
    "total_depth": 200,
    "kernel_size": 3,
    "num_channels": 512,
    "batch_size": 64,
    "num_realizations": 1_000,
}
HISTOGRAM: dict[str, Any] = {
    **EVOLUTION,
    "num_channels": 128,
    "batch_size": 1_024,
    "num_realizations": 10_000,
    "num_computations": 4,
    **NO_RANKS,
}
FIGURES = {
    name: Experiment(**parameters, dataset="photo")
    for name, parameters in {
        "2": {"architecture": "vanilla", **HISTOGRAM},
        "3": {"architecture": "vanilla", **EVOLUTION, "compute_reff_noise": False},
        "4": {"architecture": "bn_ff", **EVOLUTION},
        "5": {"architecture": "bn_res", **EVOLUTION, "total_depth": 500},
    }.items()
}
COMPARED = ("log_chi", "reff_signal", "reff_noise", "mu4_signal")  # between the two precisions
LARGE = 8_192  # side of the matrices whose product is taken for the device's peak
HEADER = (
    "figure | precision | s / realization | first call (s) | TFLOP / realization | TFLOP/s | share of peak"
    " | realizations | projected (min)"
)


def row(figure: str, experiment: Experiment, peak: float, seen: Measurement) -> list[str]:
    """Return a row of the table."""
    operations = rates.counts(experiment).operations
    return [
        figure,
        experiment.precision,
        number(seen.median),
        number(seen.first_call),
        number(operations / 1e12),
        number(operations / seen.median / 1e12),
        f"{operations / seen.median / peak:.0%}",
        f"{experiment.num_realizations:,}",
        number(seen.median * experiment.num_realizations / 60),
    ]


def largest_z(
    experiment: Experiment, one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]
) -> tuple[float, int]:
    """Return by how many standard errors the means of two precisions differ at most, and of how many means.

    Compared are ln chi, effective ranks and the fourth moment, as logarithms, at every place and measured depth.
    """
    z = []
    for name in (f"{moment}_{place}" for place in experiment.structure.places for moment in COMPARED):
        with suppress(KeyError):
            samples = [derive(arrays, name) for arrays in (one, other)]
            if not name.startswith("log"):  # the tails of fourth moments are heavy
                samples = [np.log(sample) for sample in samples]
            spread = sum(sample.var(axis=0, ddof=1) / len(sample) for sample in samples)
            difference = np.abs(samples[0].mean(axis=0) - samples[1].mean(axis=0))
            z.append(difference / np.sqrt(np.maximum(spread, np.finfo(np.float32).eps ** 2)))
    return float(np.max(z)), int(np.size(z))


def measure_figures(
    *,
    figures: str = ",".join(FIGURES),
    repeats: _cli.Integer = 8,
    anyway: _cli.Switch = False,
    write_results: WriteSwitch = False,
) -> None:
    """Measure figures 2 to 5 at the paper's size on an accelerator.

    Args:
        figures: Which, such as 3,4.
        repeats: Timed calls each.
        anyway: Tiny networks on any device, to see that all works.
        write_results: Put the results into README.md.
    """
    names = figures.split(",")
    if not set(names) <= set(FIGURES):
        raise ValueError(refusal(f"expected figures of {', '.join(FIGURES)}.", figures=figures))
    if anyway and write_results:
        raise ValueError("--anyway measures nothing worth writing.")
    import keras

    from moments_dnns._backend import accelerators, product_precision

    if not (anyway or accelerators()):
        raise RuntimeError(
            f"Keras' backend {keras.backend.backend()} sees no accelerator here, on which this would take "
            "days. --anyway runs tiny networks instead."
        )
    chosen = {name: attrs.evolve(FIGURES[name], **(TINY if anyway else {})) for name in names}
    side = 512 if anyway else LARGE
    shapes = [rates.Product(side, side, side), *(rates.products(experiment)[1] for experiment in chosen.values())]
    peaks = {}
    for precision in PRECISIONS:
        with product_precision(precision):
            peaks[precision] = max((rate, shape) for shape, rate in rates.product_rates(shapes).items())
    text = f"{engine().device()} beside {machine()}; on {keras.backend.backend()}. Peaks in this run: " + ", ".join(
        f"{number(peak / 1e12)} TFLOP/s in {precision} ({shape})" for precision, (peak, shape) in peaks.items()
    )
    print(f"{text}.\n\n{table(HEADER, [])}", flush=True)
    rows, differences = [], []
    for name, experiment in chosen.items():
        seen = {}
        for precision in PRECISIONS:
            experiment = attrs.evolve(experiment, precision=precision)
            seen[precision] = measure(experiment, repeats)
            rows.append(row(name, experiment, peaks[precision][0], seen[precision]))
            print(line(rows[-1]), flush=True)
        largest, count = largest_z(experiment, *(seen[precision].arrays for precision in PRECISIONS))
        differences.append(
            f"Figure {name}: the means of the two precisions differ by at most {number(largest)} standard errors, "
            f"among {count}."
        )
    print("\n" + "\n".join(differences))
    if write_results:
        write("gpu", f"{text}.\n\n{table(HEADER, rows)}\n\n" + "\n".join(differences))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line and return the exit code."""
    return _cli.call(_cli.application("gpu", measure_figures), argv)


if __name__ == "__main__":
    sys.exit(main())
