"""Door to experiments: `run_experiment()`, and its command line.

python run_experiment.py --architecture bn_ff --total_depth 50 --kernel_size 1 --num_channels 512 --batch_size 64
    --num_realizations 10 --num_computations 50 --dataset photo --name_experiment demo
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence

import attrs

from moments_dnns import Experiment, run_experiment
from moments_dnns._cli import Parser, run
from moments_dnns.simulation.run import RUN_OPTIONS

__all__ = ["main", "run_experiment"]

KINDS = {"int": int, "float": float}


def parser() -> Parser:
    """Return the parser: an option for every parameter of `run_experiment` that can be written in a line."""
    parser = Parser(
        prog="run_experiment.py",
        description="Propagate signal and noise through random networks and "
        "save their moments. Options may be written with underscores or dashes.",
    )
    fields = attrs.fields_dict(Experiment)
    for name, parameter in inspect.signature(run_experiment).parameters.items():
        meaning = fields[name].metadata["help"] if name in fields else RUN_OPTIONS[name]
        if isinstance(parameter.default, bool):
            no = "no_" * parameter.default
            parser.add_argument(
                f"--{no}{name}",
                dest=name,
                action=f"store_{str(not parameter.default).lower()}",
                help="do not " * parameter.default + meaning,
            )
        elif name != "executor":
            required = parameter.default is parameter.empty
            parser.add_argument(
                f"--{name}",
                type=KINDS.get(str(parameter.annotation), str),
                required=required,
                choices=fields[name].metadata["choices"] if name in fields else None,
                default=argparse.SUPPRESS if required else parameter.default,
                help=meaning + " (required)" * required,
            )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment that the arguments describe and print what came out."""
    arguments = parser().parse_args(argv)
    return run(parser(), lambda **options: print(run_experiment(**options)), vars(arguments))


if __name__ == "__main__":
    sys.exit(main())
