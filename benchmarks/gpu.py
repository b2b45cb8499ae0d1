"""Figures 2 to 5 at the paper's size on an accelerator: time, share of the device's peak, and projected time.

Run it as `KERAS_BACKEND=tensorflow python -m benchmarks.gpu` (or `jax`) from the root of the checkout. README.md holds
the results that `--write` puts there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import attrs

from moments_dnns import Experiment
from moments_dnns.cli import Parser
from moments_dnns.data import load_images
from moments_dnns.realizations import Simulator

from . import rates
from .bench import NO_RANKS, TINY
from .common import line, machine, number, table, write
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
LARGE = 8_192  # side of the matrices whose product is taken for the device's peak
HEADER = (
    "figure | s / realization | first call (s) | TFLOP / realization | TFLOP/s | share of peak | realizations"
    " | projected (min)"
)


def accelerators() -> list[str]:
    """Return the accelerators that Keras' backend sees."""
    import keras

    return [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]


def row(figure: str, experiment: Experiment, peak: float, repeats: int) -> list[str]:
    """Measure an experiment in this process, and return its row of the table."""
    images = load_images(experiment.dataset)
    start = time.perf_counter()
    simulator = Simulator(experiment, images)
    simulator.run([0])
    first_call = time.perf_counter() - start
    start = time.perf_counter()
    simulator.run(range(1, 1 + repeats))
    seconds = (time.perf_counter() - start) / repeats
    operations = rates.counts(experiment).operations
    return [
        figure,
        number(seconds),
        number(first_call),
        number(operations / 1e12),
        number(operations / seconds / 1e12),
        f"{operations / seconds / peak:.0%}",
        f"{experiment.num_realizations:,}",
        number(seconds * experiment.num_realizations / 60),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = Parser(prog="gpu", description=__doc__)
    parser.add_argument("--figures", default=",".join(FIGURES), help="which, such as 3,4")
    parser.add_argument("--repeats", type=int, default=8, help="timed realizations each")
    parser.add_argument("--anyway", action="store_true", help="tiny networks on any device, to see that all works")
    parser.add_argument("--write", action="store_true", help="put the results into README.md")
    arguments = parser.parse_args(argv)
    figures = arguments.figures.split(",")
    if not set(figures) <= set(FIGURES) or (arguments.anyway and arguments.write):
        parser.error(
            f"expected figures of {', '.join(FIGURES)}, and --write without --anyway. Received: {vars(arguments)}"
        )
    import keras

    if not (arguments.anyway or accelerators()):
        parser.error(
            f"Keras' backend {keras.backend.backend()} sees no accelerator here, on which this would take "
            "days. --anyway runs tiny networks instead."
        )
    chosen = {name: attrs.evolve(FIGURES[name], **(TINY if arguments.anyway else {})) for name in figures}
    side = 512 if arguments.anyway else LARGE
    shapes = [rates.Product(side, side, side), *(rates.products(experiment)[1] for experiment in chosen.values())]
    peak, shape = max((rate, shape) for shape, rate in rates.product_rates(shapes).items())
    text = (
        f"{engine().device()} beside {machine()}; on {keras.backend.backend()}. Peak in this run: "
        f"{number(peak / 1e12)} TFLOP/s ({shape})."
    )
    print(f"{text}\n\n{table(HEADER, [])}", flush=True)
    rows = []
    for name, experiment in chosen.items():
        rows.append(row(name, experiment, peak, arguments.repeats))
        print(line(rows[-1]), flush=True)
    if arguments.write:
        write("gpu", f"{text}\n\n{table(HEADER, rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
