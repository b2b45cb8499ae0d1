"""The commit protocol: whatever stops a writer, and whenever, the folder of an experiment holds one whole state.

The folder `npy/<name>/` of an experiment holds:

    experiment.json         the record: description, names of arrays, realizations that count, and a token
    <array>.npy             an array
    <array>.npy.<token>     an array of the next state, while it is being made
    experiment.json.tmp     the next record, while it is being written

Arrays are replaced in three steps:

1. Prepare: every new array is written to `<array>.npy.<token>`, with a token that was drawn for this change, and is on
   the disk before the next step. What is there already is not touched.
2. Commit: the new record, which has the same token, is renamed over `experiment.json`. The operating system does that
   at once or not at all; from this instant on the new arrays are those of the experiment.
3. Settle: `<array>.npy.<token>` is renamed to `<array>.npy`, and what the record does not name is removed.

After a crash before the commit, the old record and its arrays are there, and the files with the new token are rubbish.
After a crash behind it, the record tells by its token which files are the arrays, whether they were renamed or not.
So every writer first settles the folder: it needs nothing but the record to finish or undo what another one began.

A run commits realization after realization to the same arrays, which have a row for each from the beginning. It writes
rows that no record counts yet, waits until they are on the disk, and then replaces the record by one that counts them.

There is one writer to a folder at a time, by a lock of the operating system. Readers need no lock: they read the record
before and after the arrays, and again if it was replaced in between.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from moments_dnns._validation import refusal

from .checksums import checksum
from .files import CorruptExperimentError, check_plain, read_array, replace_file, sync_folder, write_array
from .folders import experiment_folder, folder_locked, locked, npy_folder
from .record import DESCRIBED, LARGEST_RECORD, Record, is_array_name
from .sources import num_rows

RECORD_FILE = "experiment.json"
TEMPORARY_RECORD_FILE = "experiment.json.tmp"

MOST_TRIES = 1000  # to read an experiment that is replaced meanwhile

Result = TypeVar("Result")


def read_record(folder: Path) -> Record:
    """Read the record of an experiment.

    Raises:
        FileNotFoundError: If there is none.
        CorruptExperimentError: If it is not what it should be.
    """
    path = folder / RECORD_FILE
    check_plain(path)
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_RECORD + 1)
        if len(content) > LARGEST_RECORD:
            raise ValueError(f"expected at most {LARGEST_RECORD} bytes")
        return Record.from_json(content)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptExperimentError(f"{path} is not the record of an experiment: {error}") from error


def write_record(folder: Path, record: Record) -> None:
    """Commit: replace the record atomically and durably."""
    content = record.to_json().encode()
    if len(content) > LARGEST_RECORD:
        raise ValueError(
            refusal(f"expected a record of at most {LARGEST_RECORD} bytes: keep provenance short.", bytes=len(content))
        )
    replace_file(folder / RECORD_FILE, folder / TEMPORARY_RECORD_FILE, content)


def consistently(folder: Path, read: Callable[[Record], Result]) -> tuple[Record, Result]:
    """Read the record and, by it, something else: of one state, even while somebody writes.

    Raises:
        FileNotFoundError: If there is no record.
        CorruptExperimentError: If the record is not what it should be, and what else `read` raises.
        BlockingIOError: If the experiment is replaced again and again while it is read.
    """
    for _ in range(MOST_TRIES):
        record = read_record(folder)
        outcome: Result | CorruptExperimentError
        try:
            outcome = read(record)
        except CorruptExperimentError as error:
            outcome = error
        # A writer may have replaced the experiment meanwhile: what was read may then be a mixture.
        if read_record(folder).token == record.token:
            if isinstance(outcome, CorruptExperimentError):
                raise outcome
            return record, outcome
    raise BlockingIOError(refusal("expected an experiment that is not replaced again and again.", folder=str(folder)))


def read_experiment(folder: Path) -> tuple[Record, dict[str, np.ndarray]]:
    """Read the record and the committed rows of its arrays: one state, even while somebody writes.

    Raises:
        FileNotFoundError: If there is no record.
        CorruptExperimentError: If a file is not what it should be.
        BlockingIOError: If the experiment is replaced again and again while it is read.
        MemoryError: If there is not enough memory for the arrays.
        OSError: If the disk fails.
    """
    return consistently(folder, lambda record: {name: read_rows(folder, record, name) for name in record.arrays})


def read_rows(folder: Path, record: Record, name: str) -> np.ndarray:
    """Read and check the committed rows of an array, or all of an array that follows from the description.

    Raises:
        CorruptExperimentError: If the file is missing, or not what it should be.
        MemoryError: If there is not enough memory for the array.
        OSError: If the disk fails.
    """
    if name not in DESCRIBED:
        shape = (None, record.experiment.num_computations)
        path, rows = _read(folder, record, name, "<f8", shape, record.row_ranges)
        if record.checksums and checksum(rows, record.row_numbers) != record.checksums[name]:
            raise CorruptExperimentError(
                f"{path} was damaged or exchanged: it does not have the checksum that {RECORD_FILE} holds"
            )
        return rows
    # The file of the depths says how many there really are, before arrays of that length are made.
    _read(folder, record, "depth", "<i8", (record.experiment.num_computations,), ())
    if (described := record.experiment.described.get(name)) is None:
        raise CorruptExperimentError(f"{folder / RECORD_FILE} names {name}, which its kind does not have")
    path, array = _read(folder, record, name, described.dtype.str, described.shape, None)
    if not np.array_equal(array, described):
        raise CorruptExperimentError(f"{path} does not agree with {RECORD_FILE}")
    return array


def _read(
    folder: Path,
    record: Record,
    name: str,
    dtype: str,
    shape: tuple[int | None, ...],
    spans: Iterable[tuple[int, int]] | None,
) -> tuple[Path, np.ndarray]:
    # A writer may rename the first to the second in between, never the other way round.
    for path in (record.staged(folder, name), folder / f"{name}.npy"):
        try:
            return path, read_array(path, dtype, shape, spans)
        except FileNotFoundError:
            continue
    raise CorruptExperimentError(f"{folder / name}.npy is missing")


def is_own(path: Path) -> bool:
    """Tell whether a file in the folder of an experiment is one that this library writes, not somebody else's."""
    array = re.fullmatch(r"(\w+)\.npy(\.\w+)?", path.name, re.ASCII)
    own_name = path.name in (RECORD_FILE, TEMPORARY_RECORD_FILE) or (array is not None and is_array_name(array[1]))
    return own_name and not path.is_dir()


def num_bytes(folder: Path) -> int:
    """Return the size of an experiment on the disk, in bytes."""
    return sum(path.stat().st_size for path in folder.iterdir() if is_own(path))


def settle(folder: Path) -> None:
    """Make a folder what its record says: put new arrays in their places, remove what does not count any more."""
    if not folder.exists():
        return
    record: Record | None = None
    try:
        record = read_record(folder)
    except FileNotFoundError:
        pass
    except CorruptExperimentError:
        return  # nobody knows which files count
    for path in filter(is_own, sorted(folder.iterdir())):
        array, _, token = path.name.partition(".npy.")
        if record and token == record.token and array in record.arrays:
            os.replace(path, folder / f"{array}.npy")
        elif (
            token
            or path.name == TEMPORARY_RECORD_FILE
            or (record and path.suffix == ".npy" and path.stem not in record.arrays)
        ):
            path.unlink()
    sync_folder(folder)


@contextmanager
def writing(name: str) -> Iterator[Path]:
    """Be the only writer to the folder of an experiment, which is settled before and after.

    Raises:
        BlockingIOError: If another process writes to it now.
        FileExistsError: If the folder has files but is not an experiment.
    """
    folder = experiment_folder(name)
    with locked(name):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
        with folder_locked(folder):
            try:
                settle(folder)
                if not (folder / RECORD_FILE).exists() and any(folder.iterdir()):
                    raise FileExistsError(
                        refusal(f"expected no files in {folder}, which holds no {RECORD_FILE}.", name=name)
                    )
                yield folder
            finally:
                settle(folder)
                if not any(folder.iterdir()):
                    folder.rmdir()


def publish(folder: Path, record: Record, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace an experiment, or make it, atomically: at any instant it is the old one or the new one.

    Args:
        folder: Its folder.
        record: The record, without checksums.
        arrays: The arrays that it names, without rows that do not count.
    """
    record = record.with_rows(arrays, range(num_rows(record.sources)))
    for name, array in arrays.items():
        write_array(record.staged(folder, name), array)
    sync_folder(folder)
    write_record(folder, record)
    settle(folder)


def remove(folder: Path) -> None:
    """Remove an experiment in one step, so that it is there or not."""
    graves = npy_folder() / ".deleted"
    graves.mkdir(exist_ok=True)
    os.replace(folder, graves / secrets.token_hex(8))
    # The files follow, and those that a crash left of experiments removed before.
    shutil.rmtree(graves, ignore_errors=True)
