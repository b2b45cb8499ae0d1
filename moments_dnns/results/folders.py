"""Where experiments lie: the folder of all of them, the folder of a name, and the lock of whoever writes to it.

Every name that a user gives goes through here, so that none leads to another place; what is in a folder is the matter
of `transactions`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from moments_dnns._validation import refusal

# Windows takes these for devices, in any folder.
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}

LONGEST_NAME = 100


def check_name(name: Any) -> str:
    """Return the name of an experiment, which can never lead out of its folder.

    Args:
        name: ASCII letters, digits, `_` and `-`, at most 100, beginning with a letter, a digit or `_`.

    Raises:
        TypeError: If it is not a string.
        ValueError: If it has other characters, is too long, or is the name of a device.

    Example:

    >>> check_name("bn_ff-depth200")
    'bn_ff-depth200'
    """
    expected = (
        f"the name of an experiment must be 1 to {LONGEST_NAME} ASCII letters, digits, '_' and '-', "
        "not begin with '-', and not be reserved by an operating system."
    )
    if not isinstance(name, str):
        raise TypeError(refusal(expected, name=name))
    if not _is_name(name):
        raise ValueError(refusal(expected, name=name))
    return name


def _is_name(name: str) -> bool:
    return (
        re.fullmatch(r"\w[\w-]*", name, re.ASCII) is not None
        and len(name) <= LONGEST_NAME
        and name.lower() not in RESERVED
    )


def npy_folder() -> Path:
    """Return the folder of all experiments.

    It is what the environment variable `MOMENTS_DNNS_NPY` says, else the nearest `npy/` upward from the working
    directory, else `npy/` in the working directory, made when the first experiment is written.
    """
    if chosen := os.environ.get("MOMENTS_DNNS_NPY"):
        return Path(chosen).absolute()
    here = Path.cwd()
    return next((parent / "npy" for parent in (here, *here.parents) if (parent / "npy").is_dir()), here / "npy")


def experiment_folder(name: Any) -> Path:
    """Return the folder `npy/<name>` of an experiment, whether it is there or not.

    Raises:
        TypeError, ValueError: If the name is refused, or the folder is a link.
    """
    folder = npy_folder() / check_name(name)
    # A link could lead anywhere; everything that writes or removes goes through here.
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValueError(refusal(f"an experiment must be a folder, but {folder} is a link or a file.", name=name))
    return folder


def folders_with(file: str) -> list[str]:
    """Return the names of the folders of experiments that hold a file, in alphabetical order."""
    folders = (path.parent for path in npy_folder().glob(f"*/{file}"))
    return sorted(folder.name for folder in folders if _is_name(folder.name) and not folder.is_symlink())


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Be the only writer of an experiment. The operating system frees the lock of a process that died.

    Raises:
        BlockingIOError: If another process writes to it now.
    """
    # Beside the folders, not in them: a lock file must outlive the deletion of what it guards.
    locks = npy_folder() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(locks / f"{check_name(name)}.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise BlockingIOError(
            refusal("expected an experiment that nobody else is writing to now.", name=name)
        ) from error
    try:
        yield
    finally:
        lock.release()
