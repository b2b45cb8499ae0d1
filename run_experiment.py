"""Door to experiments: `run_experiment()`, and its command line.

python run_experiment.py --architecture bn_ff --total_depth 50 --kernel_size 1 --num_channels 512 --batch_size 64
    --num_realizations 10 --num_computations 50 --dataset photo --name_experiment demo
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import attrs

from moments_dnns import Experiment, run_experiment
from moments_dnns.cli import Parser, run

__all__ = ["main", "run_experiment"]


def parser() -> Parser:
    """Return the parser: an option for every parameter of an experiment."""
    parser = Parser(prog="run_experiment.py", description="Propagate signal and noise through random networks and "
                    "save their moments. Options may be written with underscores or dashes.")
    for field in attrs.fields(Experiment):
        meaning = field.metadata["help"]
        if str(field.type) == "bool":
            parser.add_argument(f"--no_{field.name}", dest=field.name, action="store_false", help=f"do not {meaning}")
            continue
        kind = {"int": int, "float": float, "str": str}[str(field.type)]
        required = field.default is attrs.NOTHING
        default = argparse.SUPPRESS if required else field.default
        parser.add_argument(f"--{field.name}", type=kind, choices=field.metadata["choices"], required=required,
                            default=default, help=meaning + " (required)" * required)
    parser.add_argument("--name_experiment", help="folder below npy/ in which the moments are saved; "
                        "nothing is saved without a name")
    parser.add_argument("--no_verbose", dest="verbose", action="store_false", help="do not show a progress bar")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment that the arguments describe and print what came out."""
    arguments = parser().parse_args(argv)
    return run(parser(), lambda **options: print(run_experiment(**options)), vars(arguments))


if __name__ == "__main__":
    sys.exit(main())
