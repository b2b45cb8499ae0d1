"""Door to saved experiments: load, save, prune, merge, list and delete them, and their command line.

python manage_experiments.py list
python manage_experiments.py prune bn_ff demo
python manage_experiments.py merge first second --name_merged both
python manage_experiments.py delete demo
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import moments_dnns
from moments_dnns import _cli, commands

if TYPE_CHECKING:
    from moments_dnns import (
        delete_experiment,
        list_experiments,
        load_experiment,
        merge_experiments,
        prune_experiment,
        save_experiment,
    )

__all__ = [
    "delete_experiment",
    "list_experiments",
    "load_experiment",
    "main",
    "merge_experiments",
    "prune_experiment",
    "save_experiment",
]


def __getattr__(name: str) -> Any:
    """Import a function of this module when it is first used: `--help` answers at once without it."""
    return getattr(moments_dnns, name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name and return the exit code."""
    chosen = {name: commands.COMMANDS[name] for name in ("list", "prune", "merge", "delete")}
    help = "List, prune, merge and delete the experiments below npy/."
    return _cli.call(_cli.application("manage_experiments.py", chosen, help), argv)


if __name__ == "__main__":
    sys.exit(main())
