"""Door to experiments: `run_experiment()`, and its command line.

python run_experiment.py --architecture bn_ff --total_depth 50 --kernel_size 1 --num_channels 512 --batch_size 64
    --num_realizations 10 --num_computations 50 --dataset photo --name_experiment demo
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import moments_dnns
from moments_dnns import _cli, commands

if TYPE_CHECKING:
    from moments_dnns import run_experiment

__all__ = ["main", "run_experiment"]


def __getattr__(name: str) -> Any:
    """Import a function of this module when it is first used: `--help` answers at once without it."""
    return getattr(moments_dnns, name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment that the arguments describe, print its result and return the exit code."""
    return _cli.call(_cli.application("run_experiment.py", commands.run), argv)


if __name__ == "__main__":
    sys.exit(main())
