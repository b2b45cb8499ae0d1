"""How time, compilation and memory grow with depth and width, each point in a process of its own.

Run it as `python -m benchmarks.scale` from the root of the checkout. README.md holds the results that `--write` puts
there, and docs/images/scale.png shows them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moments_dnns import ARCHITECTURES, Experiment, _cli
from moments_dnns.plots.style import LOOKS, PaperFigure, styled

from .common import Measurement, WriteSwitch, installed_backends, isolated, line, machine, measure, number, table, write

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "scale.png"
DEPTHS, WIDTHS = (100, 300, 1_000, 3_000, 10_000), (512, 1_024, 2_048, 4_096, 8_192, 16_384)
QUICK_DEPTHS, QUICK_WIDTHS = (10, 20), (16, 32)
COMMON: dict[str, Any] = {"kernel_size": 1, "batch_size": 32, "num_realizations": 1, "dataset": "photo"}
HEADER = (
    "curve | depth | width | s / realization | µs / (layer · channel) | first call (s) | of it compiling (s)"
    " | peak memory (GiB)"
)
# Along what, what is drawn, and whether it is a time that should grow in proportion.
PANELS = (
    ("depth", "seconds per realization", lambda seen: seen.median, True),
    ("width", "seconds per realization", lambda seen: seen.median, True),
    ("depth", "building and compiling in seconds", lambda seen: seen.compiling, False),
    ("depth", "peak memory in GiB", lambda seen: seen.peak_memory / 2**30, False),
)


class Point(NamedTuple):
    """A measurement along depth or width."""

    along: str
    experiment: Experiment
    seen: Measurement

    @property
    def x(self) -> int:
        """The depth or the width."""
        return self.experiment.total_depth if self.along == "depth" else self.experiment.num_channels


def experiments(depths: Sequence[int], widths: Sequence[int]) -> Iterator[tuple[str, Experiment]]:
    """Yield what is measured along depth, then along width."""
    for architecture in ARCHITECTURES:
        for depth in depths:
            yield "depth", Experiment(architecture, depth, num_channels=128, num_computations=min(depth, 100), **COMMON)
    for width in widths:
        yield "width", Experiment("bn_ff", 10, num_channels=width, num_computations=10, **COMMON)


def row(point: Point) -> list[str]:
    """Return a row of the table."""
    experiment, seen = point.experiment, point.seen
    per_channel = 1e6 * seen.median / experiment.total_depth / experiment.num_channels
    return [
        f"{experiment.architecture} along {point.along}",
        f"{experiment.total_depth:,}",
        f"{experiment.num_channels:,}",
        number(seen.median),
        number(per_channel),
        number(seen.first_call),
        number(seen.compiling),
        number(seen.peak_memory / 2**30),
    ]


def draw(points: Sequence[Point]) -> Figure:
    """Draw the curves, those of times with a guide of slope 1."""
    with styled(use_tex=False):
        figure = PaperFigure(figsize=(6.8, 5), layout="constrained")
        for axes, (along, label, value, proportional) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
            axes.set(xscale="log", yscale="log" if proportional else "linear", xlabel=along, ylabel=label)
            draw_curves(axes, [point for point in points if point.along == along], value, proportional)
    return figure


def draw_curves(axes: Axes, points: Sequence[Point], value: Any, proportional: bool) -> None:
    """Draw a curve for each architecture."""
    for architecture, look in zip(dict.fromkeys(point.experiment.architecture for point in points), cycle(LOOKS)):
        x, y = zip(
            *((point.x, value(point.seen)) for point in points if point.experiment.architecture == architecture),
            strict=True,
        )
        axes.plot(x, y, label=architecture, **look)
        if proportional:
            axes.plot(x, [y[-1] * at / x[-1] for at in x], color="0.4", linewidth=0.7, linestyle=(0, (5, 3)))
    if not proportional:
        axes.set_ylim(0, 1.2 * axes.get_ylim()[1])
    axes.legend()


def grow(
    *,
    backend: Annotated[str, Parameter(choices=installed_backends())] = installed_backends()[0],
    repeats: _cli.Integer = 3,
    quick: _cli.Switch = False,
    write_results: WriteSwitch = False,
) -> None:
    """Measure how time, compilation and memory grow with depth and width.

    Args:
        backend: On which of Keras' backends.
        repeats: Timed realizations each.
        quick: Tiny networks, to see that all works.
        write_results: Put the results into README.md and draw the figure.

    Raises:
        RuntimeError: If a number was not finite.
    """
    if quick and write_results:
        raise ValueError("--quick measures nothing worth writing.")
    sizes = (QUICK_DEPTHS, QUICK_WIDTHS) if quick else (DEPTHS, WIDTHS)
    print(table(HEADER, []), flush=True)
    points = []
    for along, experiment in experiments(*sizes):
        points.append(Point(along, experiment, isolated(measure, experiment, repeats, backend=backend)))
        print(line(row(points[-1])), flush=True)
    infinite = [row(point)[:3] for point in points if not point.seen.finite]
    if infinite:
        raise RuntimeError(f"not every number that would be stored was finite: {infinite}")
    if write_results:
        write("scale", f"{machine()}; on {backend}.\n\n{table(HEADER, map(row, points))}")
        draw(points).savefig(IMAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line and return the exit code."""
    return _cli.call(_cli.application("scale", grow), argv)


if __name__ == "__main__":
    sys.exit(main())
