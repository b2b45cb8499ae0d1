"""Door to figures: the plotting functions, and their command line.

python plots.py bn_ff demo --path figures/demo.png
python plots.py bn_ff narrow wide
python plots.py summary demo
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from moments_dnns._cli import Parser, run
from moments_dnns._validation import refusal
from moments_dnns.plots.architectures import OF_ARCHITECTURE
from moments_dnns.plots.experiments import (
    plot_architecture,
    plot_bn_ff,
    plot_bn_res,
    plot_figure,
    plot_summary,
    plot_vanilla,
    plot_vanilla_histo,
)
from moments_dnns.plots.figures import FIGURES
from moments_dnns.plots.models import plot_layers
from moments_dnns.results.experiments import load_experiment

SUMMARY = "summary"
LAYERS = "layers"
OTHERS = {OF_ARCHITECTURE: plot_architecture, LAYERS: plot_layers, SUMMARY: plot_summary}  # beside the names of figures

__all__ = [
    "main",
    "plot_architecture",
    "plot_bn_ff",
    "plot_bn_res",
    "plot_layers",
    "plot_summary",
    "plot_vanilla",
    "plot_vanilla_histo",
]


def parser() -> Parser:
    """Return the parser: the figure, the experiments, and where to save."""
    parser = Parser(
        prog="plots.py",
        description="Draw a figure of a saved experiment into a file, or of several over one another. "
        "Names of figures may be written with underscores or dashes.",
    )
    parser.add_argument(
        "type_plot",
        metavar="type_plot",
        choices=(*FIGURES, *OTHERS),
        type=lambda word: word.replace("-", "_"),
        help=f"the figure: {', '.join(FIGURES)} (2, 3, 4, 5 of the paper), {OF_ARCHITECTURE}: that of any "
        f"architecture, {LAYERS}: that of a characterized model, or {SUMMARY}: everything of one experiment",
    )
    parser.add_argument("names", metavar="name", nargs="+", help="the experiments: their folders below npy/")
    parser.add_argument(
        "--path",
        default=argparse.SUPPRESS,
        help="the file, in .pdf, .png or .svg (default: figures/NAME_TYPE_PLOT.png)",
    )
    parser.add_argument("--theory", action="store_true", help="draw what theory says beside the curves")
    parser.add_argument("--use_tex", action="store_true", help="let LaTeX set the text, where it is installed")
    return parser


def save_figure(
    type_plot: str, names: Sequence[str], path: str | None = None, use_tex: bool = False, theory: bool = False
) -> None:
    """Draw a figure of saved experiments into a file and print where it is."""
    path = path or f"figures/{'_'.join(names)}_{type_plot}.png"
    experiments = {name: load_experiment(name) for name in names}
    moments = experiments if len(names) > 1 else experiments[names[0]]
    draw = OTHERS.get(type_plot) or partial(plot_figure, type_plot)
    if theory and type_plot in (LAYERS, SUMMARY):
        raise ValueError(
            refusal(f"--theory belongs to {', '.join(FIGURES)} and {OF_ARCHITECTURE}.", type_plot=type_plot)
        )
    options: dict[str, Any] = {"theory": True} if theory else {}
    draw(moments, path=path, use_tex=use_tex, **options)
    print(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the figure that the arguments ask for."""
    return run(parser(), save_figure, vars(parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
