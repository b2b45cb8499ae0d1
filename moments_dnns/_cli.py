"""What the three command lines share: options with dashes or underscores, and errors in one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any


class Parser(argparse.ArgumentParser):
    """A parser that takes `--total_depth` and `--total-depth` alike, and no abbreviations.

    Example:

    >>> parser = Parser()
    >>> _ = parser.add_argument("--total_depth", type=int)
    >>> parser.parse_args(["--total-depth=3"]).total_depth
    3
    """

    def __init__(self, **kwargs: Any):
        super().__init__(allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter, **kwargs)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse, with the dashes of option names read as underscores."""
        return super().parse_known_args(
            [_underscored(arg) for arg in (sys.argv[1:] if args is None else args)], namespace
        )


def run(parser: Parser, command: Callable[..., None], arguments: dict[str, Any]) -> int:
    """Call a command with parsed arguments and return the exit code.

    Bad input, a file in the way, and a missing download are told in one line with exit code 2; Ctrl-C gives 130.
    """
    # TensorFlow greets at length otherwise. This process is ours; an import of the package leaves the variable alone.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        command(**arguments)
    except KeyboardInterrupt:
        return 130
    except (TypeError, ValueError, LookupError, OSError, RuntimeError) as error:
        # str() of a KeyError quotes its message.
        parser.exit(2, f"{parser.prog}: error: {error.args[0] if isinstance(error, KeyError) else error}\n")
    return 0


def _underscored(arg: str) -> str:
    if not arg.startswith("--"):
        return arg
    name, equals, value = arg[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"
