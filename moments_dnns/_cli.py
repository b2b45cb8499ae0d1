"""What all command lines share: how options are written, and how errors become one line."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter, Token

FAILED = 2

INTERRUPTED = 130  # 128 plus the number of SIGINT, as in shells

# Errors whose messages are clear without the name of their class.
NAMELESS = (TypeError, ValueError, LookupError, OSError, RuntimeError, ImportError, CycloptsError)

# Lines of TensorFlow's messages that locate an error; the line that describes it comes after these.
LOCATION = re.compile(r"Graph execution error|Detected at node|\s*File ")

# The exit code where the reader of the output has gone, as `head` does: no error, and nothing to print.
UNREAD = 1

# What to do about errors of other libraries, by a pattern of their type and message.
ADVICE = {
    r"No module named '(jax|jaxlib|tensorflow|torch)'|Unable to import backend": (
        "KERAS_BACKEND must name a backend that is installed: tensorflow, jax or torch"
    ),
    r"MemoryError|ResourceExhausted|RESOURCE_EXHAUSTED|[Oo]ut of memory": (
        "the network needs more memory than there is: take fewer channels or a smaller batch"
    ),
}


def _strict_number(kind: type, tokens: Sequence[Token]) -> Any:
    text = tokens[0].value
    try:
        return kind(text)
    except ValueError as error:
        raise ValueError(f"expected {'an integer' if kind is int else 'a number'}, received {text!r}.") from error


# Types of options. Without the converter, cyclopts rounds 3.7 where an integer is expected.
Integer = Annotated[int, Parameter(converter=_strict_number)]
Number = Annotated[float, Parameter(converter=_strict_number)]

# An option that is off by default, and therefore has no `--no_...` to turn it off.
Switch = Annotated[bool, Parameter(negative=(), show_default=False)]


def application(name: str, commands: Callable[..., Any] | Mapping[str, Callable[..., Any]], help: str = "") -> App:
    """Return a command line of one command, or of several by name.

    Options and their help come from the signatures and docstrings of the functions. They may be written with
    underscores or dashes.

    Args:
        name: Its name, as users type it.
        commands: The function of the only command, or the functions of several by name.
        help: What several commands are for, in a sentence.

    Returns:
        The command line, for `call`.
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
        result_action="return_value",
    )
    if callable(commands):
        app.default(commands)
    else:
        for position, (word, command) in enumerate(commands.items()):
            app.command(command, name=word, sort_key=position)
    return app


def call(app: App, argv: Sequence[str] | None = None, interrupted: str = "interrupted") -> int:
    """Run the command that the arguments name; return the exit code.

    It is what the command returns, 0 if that is nothing, 2 after an error, and 130 or 143 after an interrupt.

    An error of any kind is printed as one line on stderr; in Python's development mode (`-X dev`) it is raised.
    Letters that the output cannot hold, such as a chi in ASCII, are written as escapes.

    Args:
        app: The command line.
        argv: The arguments; by default those of this process.
        interrupted: The message after Ctrl-C, where the `KeyboardInterrupt` has none.
    """
    # Otherwise TensorFlow prints many lines when it starts. A command line owns its process, so it may set this; an
    # import of the package may not.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    arguments = sys.argv[1:] if argv is None else [*argv]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if not arguments and app.default_command is None:
            commands = ", ".join(name for name in app if not name.startswith("-"))
            raise ValueError(f"expected a command: {commands}; --help explains them.")
        code = app(arguments)
        print(end="", flush=True)
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        return UNREAD
    except KeyboardInterrupt as interrupt:
        print(f"{app.name[0]}: {str(interrupt) or interrupted}", file=sys.stderr)
        return getattr(interrupt, "exit_code", INTERRUPTED)
    except Exception as error:  # also those of backends, which share no class
        if sys.flags.dev_mode:
            raise
        print(f"{app.name[0]}: error: {one_line(error)}", file=sys.stderr)
        return FAILED
    finally:
        _drop_unwritten()


def one_line(error: Exception) -> str:
    """Return the message of an error in one line, with what to do about it if `ADVICE` knows.

    Example:

    >>> one_line(ValueError("gain must be above 0. Received: gain=-1"))
    'gain must be above 0. Received: gain=-1'
    >>> one_line(MemoryError())
    'MemoryError: the network needs more memory than there is: take fewer channels or a smaller batch'
    """
    # str() of a KeyError quotes its message.
    message = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    lines = [line.strip() for line in message.splitlines() if line.strip() and not LOCATION.match(line)]
    name = type(error).__name__
    named = [] if lines and isinstance(error, NAMELESS) else [name]
    advice = [hint for pattern, hint in ADVICE.items() if re.search(pattern, f"{name}: {message}")]
    return ": ".join([*named, *lines[:1], *advice])


def _drop_unwritten() -> None:
    """Drop output that could not be written, which Python would try, and complain about, once more when it ends."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _underscored(name: str) -> str:
    return name.replace("-", "_")


def _version() -> str:
    return f"{__package__} {sys.modules[__package__].__version__}"
