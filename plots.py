"""Door to figures: the plotting functions, and their command line.

python plots.py bn_ff demo --path figures/demo.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from moments_dnns.cli import Parser, run
from moments_dnns.figures import FIGURES
from moments_dnns.plotting import plot_bn_ff, plot_bn_res, plot_figure, plot_summary, plot_vanilla, plot_vanilla_histo
from moments_dnns.results import load_experiment

__all__ = ["main", "plot_bn_ff", "plot_bn_res", "plot_summary", "plot_vanilla", "plot_vanilla_histo"]


def parser() -> Parser:
    """Return the parser: the figure, the experiment, and where to save."""
    parser = Parser(
        prog="plots.py",
        description="Draw a figure of a saved experiment into a file. "
        "Names of figures may be written with underscores or dashes.",
    )
    parser.add_argument(
        "type_plot",
        metavar="type_plot",
        choices=tuple(FIGURES),
        type=lambda word: word.replace("-", "_"),
        help=f"the figure: {', '.join(FIGURES)} (2, 3, 4, 5 of the paper)",
    )
    parser.add_argument("name", help="the experiment: its folder below npy/")
    parser.add_argument(
        "--path",
        default=argparse.SUPPRESS,
        help="the file, in .pdf, .png or .svg (default: figures/NAME_TYPE_PLOT.png)",
    )
    return parser


def save_figure(type_plot: str, name: str, path: str | None = None) -> None:
    """Draw a figure of a saved experiment into a file and print where it is."""
    path = path or f"figures/{name}_{type_plot}.png"
    plot_figure(type_plot, load_experiment(name), path=path)
    print(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the figure that the arguments ask for."""
    return run(parser(), save_figure, vars(parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
