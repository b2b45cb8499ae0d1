"""Door to saved experiments: load, save, prune, merge, list and delete them, and their command line.

python manage_experiments.py list
python manage_experiments.py prune bn_ff demo
python manage_experiments.py merge first second --name_merged both
python manage_experiments.py delete demo
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from moments_dnns._cli import Parser, run
from moments_dnns.plots.architectures import OF_ARCHITECTURE
from moments_dnns.plots.figures import FIGURES
from moments_dnns.plots.pruning import prune_experiment
from moments_dnns.results.experiments import (
    delete_experiment,
    list_experiments,
    load_experiment,
    merge_experiments,
    save_experiment,
)
from moments_dnns.results.files import CorruptExperimentError
from moments_dnns.results.folders import experiment_folder
from moments_dnns.results.record import num_rows
from moments_dnns.results.transactions import num_bytes, read_record

__all__ = [
    "delete_experiment",
    "list_experiments",
    "load_experiment",
    "main",
    "merge_experiments",
    "prune_experiment",
    "save_experiment",
]

HEADER = ("name", "architecture", "depth", "width", "realizations", "pruned for", "size")


def parser() -> Parser:
    """Return the parser: a command and what it works on."""
    parser = Parser(
        prog="manage_experiments.py",
        description="List, prune, merge and delete the experiments below "
        "npy/. Options may be written with underscores or dashes.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    command = commands.add_parser("list", help="show what there is")
    command.set_defaults(command=show)

    command = commands.add_parser(
        "prune",
        help="keep only the arrays that a figure draws",
        description="Keep only the arrays that a figure draws. The others are lost.",
    )
    command.add_argument(
        "type_plot",
        choices=(*FIGURES, OF_ARCHITECTURE),
        type=lambda word: word.replace("-", "_"),
        help=f"the figure: number 2, 3, 4 and 5 of the paper, in this order, or {OF_ARCHITECTURE}: that of any",
    )
    command.add_argument("name", help="the experiment: its folder below npy/")
    command.set_defaults(command=lambda **on: print(f"freed {_size(prune_experiment(**on))}"))

    command = commands.add_parser(
        "merge",
        help="put the realizations of several experiments into a new one",
        description="Put the realizations of experiments that differ in their seeds only "
        "into a new one. The old ones stay.",
    )
    command.add_argument("names", nargs="+", help="the experiments: their folders below npy/, at least two")
    command.add_argument(
        "--name_merged", required=True, default=argparse.SUPPRESS, help="the new experiment (required)"
    )
    command.set_defaults(command=lambda **on: print(merge_experiments(**on)))

    command = commands.add_parser("delete", help="delete an experiment", description="Delete an experiment for good.")
    command.add_argument("name", help="the experiment: its folder below npy/")
    command.set_defaults(command=lambda **on: print(f"freed {_size(delete_experiment(**on))}"))
    return parser


def show() -> None:
    """Print a table of the experiments; a damaged one is told with what is wrong."""
    names = list_experiments()
    if names:
        _print_table([HEADER, *map(_row, names)])
    else:
        print("no experiments")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for."""
    arguments = vars(parser().parse_args(argv))
    return run(parser(), arguments.pop("command"), arguments)


def _row(name: str) -> tuple[str, ...]:
    folder = experiment_folder(name)
    try:
        record = read_record(folder)
    except CorruptExperimentError as error:
        return name, "damaged", "", "", "", "", str(error)
    experiment = record.experiment
    realizations = f"{num_rows(record.sources)} of {experiment.num_realizations}"
    return (
        name,
        *experiment.headline,
        realizations,
        str(record.provenance.get("pruned_for", "-")),
        _size(num_bytes(folder)),
    )


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _size(num_bytes: int) -> str:
    """Return a number of bytes as people write it."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(max(len(str(num_bytes)) - 1, 0) // 3, len(units) - 1)
    return f"{num_bytes / 1000**power:.4g} {units[power]}"


if __name__ == "__main__":
    sys.exit(main())
