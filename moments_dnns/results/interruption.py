"""Ctrl-C, and the signal by which schedulers and containers end a process: what is finished is saved first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .folders import experiment_folder
from .sources import num_rows
from .transactions import read_record


class Terminated(KeyboardInterrupt):
    """The process was asked to end, by SIGTERM: what Ctrl-C raises, with another exit code."""

    exit_code = 128 + signal.SIGTERM  # as shells have it


@contextmanager
def interruptible(name: str | None) -> Iterator[None]:
    """Let SIGTERM interrupt as Ctrl-C does, and let both say what is saved of an experiment and how it goes on.

    SIGTERM is left alone where somebody else handles it, and in threads, which get no signals. What handled it before
    handles it afterwards.

    Args:
        name: The experiment; None for one that is not saved.

    Raises:
        KeyboardInterrupt: On Ctrl-C; on SIGTERM the subclass `Terminated`.

    Example:

    >>> try:
    ...     with interruptible(None):
    ...         raise KeyboardInterrupt
    ... except KeyboardInterrupt as interrupt:
    ...     print(interrupt)
    interrupted: nothing is saved, because the experiment has no name_experiment
    """
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise type(interrupt)(what_is_saved(name)) from None
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    # What comes again while the last realizations are saved changes nothing.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def what_is_saved(name: str | None) -> str:
    """Return what an interrupted run has left, and how it goes on, in a line."""
    if name is None:
        return "interrupted: nothing is saved, because the experiment has no name_experiment"
    folder = experiment_folder(name)
    try:
        record = read_record(folder)
    except FileNotFoundError:
        return "interrupted before the first realizations were saved"
    done, wanted = num_rows(record.sources), record.experiment.num_realizations
    return f"interrupted: {done} of {wanted} realizations are saved in {folder}; the same command goes on from there"
