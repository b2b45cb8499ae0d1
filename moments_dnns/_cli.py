"""What all command lines share: how options are written, and errors in one line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter, Token

FAILED = 2


INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


# Errors whose message says what is wrong without their name.
PLAIN = (TypeError, ValueError, LookupError, OSError, RuntimeError, ImportError, CycloptsError)


# Lines in which TensorFlow says where an error comes from, before it says what is wrong.
PLACE = re.compile(r"Graph execution error|Detected at node|\s*File ")


# What to do about errors that come from elsewhere, by a pattern of their type and message.
ADVICE = {
    r"No module named '(jax|jaxlib|tensorflow|torch)'|Unable to import backend": (
        "KERAS_BACKEND must name a backend that is installed: tensorflow, jax or torch"
    ),
    r"MemoryError|ResourceExhausted|RESOURCE_EXHAUSTED|[Oo]ut of memory": (
        "the network needs more memory than there is: take fewer channels or a smaller batch"
    ),
}


def _number(kind: type, tokens: Sequence[Token]) -> Any:
    text = tokens[0].value
    try:
        return kind(text)
    except ValueError as error:
        raise ValueError(f"expected {'an integer' if kind is int else 'a number'}, received {text!r}.") from error


# Numbers as they are written: without this, cyclopts rounds 3.7 where an integer is expected.
WRITTEN = Parameter(converter=_number)


Whole = Annotated[int, WRITTEN]


# What is off unless it is asked for, and needs no option that turns it off.
Switch = Annotated[bool, Parameter(negative=(), show_default=False)]


def application(name: str, commands: Callable[..., Any] | Mapping[str, Callable[..., Any]], help: str = "") -> App:
    """Return a command line of one command, or of several by name.

    Their signatures and docstrings say what it takes. Options may be written with underscores or dashes.

    Args:
        name: What it is called by.
        commands: The functions.
        help: What several commands do together.
    """
    app = App(
        name=name,
        help=help or None,
        help_format="plaintext",
        version=_version,
        default_parameter=Parameter(name_transform=_underscored, negative_bool="no_", negative_iterable=()),
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_none",
    )
    if callable(commands):
        app.default(commands)
    else:
        for position, (word, command) in enumerate(commands.items()):
            app.command(command, name=word, sort_key=position)
    return app


def call(app: App, argv: Sequence[str] | None = None, interrupted: str = "interrupted") -> int:
    """Do what the arguments ask for and return the exit code.

    An error of any kind is one line on stderr and gives 2, or its traceback in Python's development mode (`-X dev`);
    Ctrl-C gives 130.

    Args:
        app: The command line.
        argv: The arguments; those of this process if it is None.
        interrupted: What Ctrl-C says, where the command itself says nothing.
    """
    # TensorFlow greets at length otherwise. This process is ours; an import of the package leaves the variable alone.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    words = sys.argv[1:] if argv is None else [*argv]
    try:
        if not words and app.default_command is None:
            commands = ", ".join(name for name in app if not name.startswith("-"))
            raise ValueError(f"expected a command: {commands}; --help explains them.")
        app(words)
    except KeyboardInterrupt as interrupt:
        print(f"{app.name[0]}: {str(interrupt) or interrupted}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # also those of backends, which share no class
        if sys.flags.dev_mode:
            raise
        print(f"{app.name[0]}: error: {one_line(error)}", file=sys.stderr)
        return FAILED
    return 0


def one_line(error: Exception) -> str:
    """Return what went wrong in one line, with what to do about it where the message does not say so.

    Example:

    >>> one_line(ValueError("gain must be above 0. Received: gain=-1"))
    'gain must be above 0. Received: gain=-1'
    >>> one_line(MemoryError())
    'MemoryError: the network needs more memory than there is: take fewer channels or a smaller batch'
    """
    # str() of a KeyError quotes its message.
    message = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    lines = [line.strip() for line in message.splitlines() if line.strip() and not PLACE.match(line)]
    name = type(error).__name__
    named = [] if lines and isinstance(error, PLAIN) else [name]
    advice = [words for pattern, words in ADVICE.items() if re.search(pattern, f"{name}: {message}")]
    return ": ".join([*named, *lines[:1], *advice])


def _underscored(name: str) -> str:
    return name.replace("-", "_")


def _version() -> str:
    return f"{__package__} {sys.modules[__package__].__version__}"
