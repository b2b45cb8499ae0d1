"""Time per realization in settings A to F on every installed backend, beside what the machine can do at best.

Run it as `python -m benchmarks.bench` from the root of the checkout, or by `make bench`. README.md says what is
measured, and holds the results that `--write` puts there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import attrs

from moments_dnns import Experiment, _cli
from moments_dnns._validation import refusal

from . import rates, startup
from .common import (
    Measurement,
    WriteSwitch,
    installed_backends,
    isolated,
    line,
    machine,
    measure,
    measure_default,
    number,
    table,
    timed,
    write,
)

FULLY_CONNECTED: dict[str, Any] = {
    "total_depth": 200,
    "kernel_size": 1,
    "num_channels": 512,
    "batch_size": 64,
    "num_computations": 100,
}
CONVOLUTIONAL: dict[str, Any] = {
    "total_depth": 20,
    "kernel_size": 3,
    "num_channels": 64,
    "batch_size": 64,
    "num_computations": 10,
}
NO_RANKS = {"compute_reff_signal": False, "compute_reff_noise": False}
SETTINGS = {
    name: Experiment(**parameters, num_realizations=1, dataset="photo")
    for name, parameters in {
        "A": {"architecture": "bn_ff", **FULLY_CONNECTED},
        "B": {"architecture": "vanilla", **FULLY_CONNECTED, "compute_reff_noise": False},
        "C": {
            "architecture": "vanilla",
            **FULLY_CONNECTED,
            "num_channels": 128,
            "batch_size": 1024,
            "num_computations": 4,
            **NO_RANKS,
        },
        "D": {"architecture": "bn_ff", **CONVOLUTIONAL},
        "E": {"architecture": "bn_res", **CONVOLUTIONAL},
        "F": {"architecture": "bn_ff", **CONVOLUTIONAL, "num_channels": 512, "total_depth": 4, "num_computations": 2},
    }.items()
}
TINY: dict[str, Any] = {"total_depth": 4, "num_channels": 16, "batch_size": 8, "num_computations": 2}
HEADER = (
    "setting | backend | s / realization | one at a time | min to max | first call (s)"
    " | peak memory (GiB) | floor (s) | time / floor | textbook (s) | textbook / time"
)


class Best(NamedTuple):
    """The best rates of the machine in this run: operations and normals per second, and who reached them."""

    operations: float
    normals: float
    text: str

    def floor(self, experiment: Experiment) -> float:
        """Return the seconds that one realization costs at these rates."""
        operations, normals = rates.counts(experiment)
        return operations / self.operations + normals / self.normals


def best_rates(experiments: Sequence[Experiment], backends: Sequence[str]) -> Best:
    """Measure the rates of every backend, in a fresh process each, and return the best."""
    shapes = [rates.Product(n, n, n) for n in rates.SQUARES] + [rates.products(at)[1] for at in experiments]
    operations, shape, multiplier = max(
        (rate, shape, backend)
        for backend in backends
        for shape, rate in isolated(rates.product_rates, shapes, backend=backend).items()
    )
    normals, generator, at = max(
        (rate, generator, backend)
        for backend in backends
        for generator, rate in isolated(rates.normal_rates, backend=backend).items()
    )
    drawn_by = at if generator == "the backend" else generator
    text = (
        f"Best rates in this run: {number(operations / 1e9)} GFLOP/s ({multiplier}, {shape}), "
        f"{number(normals / 1e6)} million normals/s ({drawn_by})."
    )
    return Best(operations, normals, text)


def time_textbook(experiment: Experiment, repeats: int) -> float:
    """Return the least seconds of the textbook's realizations, after a first one."""
    from moments_dnns.data import load_images

    from .textbook import Textbook

    textbook = Textbook(experiment, load_images(experiment.dataset).images)
    textbook.run(0)
    return min(timed(partial(textbook.run, realization)) for realization in range(1, 1 + repeats))


def row(name: str, backend: str, seconds: float, seen: Measurement, floor: float, textbook: float) -> list[str]:
    """Return a row of the table."""
    return [
        name,
        backend,
        number(seconds),
        number(seen.median),
        f"{number(min(seen.seconds))} to {number(max(seen.seconds))}",
        number(seen.first_call),
        number(seen.peak_memory / 2**30),
        number(floor),
        number(seconds / floor),
        number(textbook),
        number(textbook / seconds),
    ]


def bench(settings: dict[str, Experiment], backends: Sequence[str], repeats: int) -> str:
    """Measure everything, print every row as it comes, and return the whole in Markdown."""
    best = best_rates(list(settings.values()), backends)
    print(f"{machine()}\n\n{best.text}\n\n{table(HEADER, [])}", flush=True)
    rows = []
    for name, experiment in settings.items():
        # On the first backend alone: eagerly, TensorFlow is by far the fastest.
        textbook = isolated(time_textbook, experiment, max(1, repeats // 3), backend=backends[0])
        for backend in backends:
            seen = isolated(measure, experiment, repeats, backend=backend)
            seconds = isolated(measure_default, experiment, backend=backend)
            rows.append(row(name, backend, seconds, seen, best.floor(experiment), textbook))
            print(line(rows[-1]), flush=True)
    answers = first_answers(backends)
    print(f"\n{answers}", flush=True)
    return f"{machine()}.\n\n{best.text} The textbook ran on {backends[0]}.\n\n{table(HEADER, rows)}\n\n{answers}"


def first_answers(backends: Sequence[str]) -> str:
    """Say how long `run_experiment` of a small network takes in a fresh process on every backend."""
    with TemporaryDirectory() as folder:
        seconds = {
            backend: startup.least_seconds(startup.FIRST_ANSWER, 3, folder, KERAS_BACKEND=backend)
            for backend in backends
        }
    words = ", ".join(f"{number(each)} s on {backend}" for backend, each in seconds.items())
    return f"First answer, of a small network in a fresh process with its imports: {words}."


def measure_settings(
    *,
    settings: str = ",".join(SETTINGS),
    backends: str = ",".join(installed_backends()),
    repeats: _cli.Integer = 5,
    quick: _cli.Switch = False,
    write_results: WriteSwitch = False,
) -> None:
    """Measure the time per realization in settings A to F on every installed backend.

    Args:
        settings: Which, such as A,C.
        backends: Which, such as tensorflow,jax.
        repeats: Timed realizations each, one at a time.
        quick: Tiny versions of the settings, to see that all works.
        write_results: Put the results into README.md.
    """
    names, chosen_backends = settings.split(","), backends.split(",")
    if not (set(names) <= set(SETTINGS) and set(chosen_backends) <= set(installed_backends()) and repeats > 0):
        raise ValueError(
            refusal(
                f"expected settings of {', '.join(SETTINGS)}, installed backends of "
                f"{', '.join(installed_backends())}, and repeats of at least 1.",
                settings=settings,
                backends=backends,
                repeats=repeats,
            )
        )
    if quick and write_results:
        raise ValueError("--quick measures nothing worth writing.")
    chosen = {name: attrs.evolve(SETTINGS[name], **(TINY if quick else {})) for name in names}
    text = bench(chosen, chosen_backends, repeats)
    if write_results:
        write("bench", text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line and return the exit code."""
    return _cli.call(_cli.application("bench", measure_settings), argv)


if __name__ == "__main__":
    sys.exit(main())
