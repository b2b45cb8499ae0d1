"""Door to figures: the plotting functions, and their command line.

python plots.py bn_ff demo --path figures/demo.png
python plots.py bn_ff narrow wide
python plots.py summary demo
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import moments_dnns
from moments_dnns import _cli, commands

if TYPE_CHECKING:
    from moments_dnns import (
        plot_architecture,
        plot_bn_ff,
        plot_bn_res,
        plot_layers,
        plot_summary,
        plot_sweep,
        plot_training,
        plot_vanilla,
        plot_vanilla_histo,
    )

__all__ = [
    "main",
    "plot_architecture",
    "plot_bn_ff",
    "plot_bn_res",
    "plot_layers",
    "plot_summary",
    "plot_sweep",
    "plot_training",
    "plot_vanilla",
    "plot_vanilla_histo",
]


def __getattr__(name: str) -> Any:
    """Import a function of this module when it is first used: `--help` answers at once without it."""
    return getattr(moments_dnns, name)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the figure that the arguments describe and return the exit code."""
    return _cli.call(_cli.application("plots.py", commands.plot), argv)


if __name__ == "__main__":
    sys.exit(main())
