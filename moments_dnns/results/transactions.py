"""The folder of an experiment through its changes: whole at any instant, whatever stops a writer.

Every change has one commit point, the atomic replacement of `experiment.json`, which holds a token. New arrays are
first written as `<array>.npy.<token>`; once the record with that token is in place they are the arrays of the
experiment, and are then renamed to `<array>.npy`. So what a crash leaves is put in order from the record alone.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from moments_dnns._validation import refusal

from .files import CorruptExperimentError, check_plain, read_array, replace_file, sync_folder, write_array
from .folders import experiment_folder, locked, npy_folder
from .record import Record, is_array_name

RECORD_FILE = "experiment.json"


TEMPORARY_RECORD_FILE = "experiment.json.tmp"


def read_record(folder: Path) -> Record:
    """Read the record of an experiment.

    Raises:
        FileNotFoundError: If there is none.
        CorruptExperimentError: If it is not what it should be.
    """
    path = folder / RECORD_FILE
    check_plain(path)
    try:
        return Record.from_json(path.read_bytes())
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptExperimentError(f"{path} is not the record of an experiment: {error}") from error


def write_record(folder: Path, record: Record) -> None:
    """Commit: replace the record atomically and durably."""
    replace_file(folder / RECORD_FILE, folder / TEMPORARY_RECORD_FILE, record.to_json().encode())


def read_experiment(folder: Path) -> tuple[Record, dict[str, np.ndarray]]:
    """Read the record and the committed rows of its arrays: a consistent state, even while somebody writes.

    Raises:
        FileNotFoundError: If there is no record.
        CorruptExperimentError: If a file is not what it should be.
        OSError: If the disk fails.
    """
    while True:
        record, arrays, problem = read_record(folder), {}, None
        try:
            arrays = {name: _read(folder, record, name) for name in record.arrays}
        except CorruptExperimentError as error:
            problem = error
        # A writer may have replaced the experiment meanwhile: what was read may then be a mixture.
        if read_record(folder).token == record.token:
            if problem:
                raise problem
            return record, arrays


def _read(folder: Path, record: Record, name: str) -> np.ndarray:
    described = record.experiment.described.get(name)
    # A writer may rename the first to the second in between, never the other way round.
    for path in (record.staged(folder, name), folder / f"{name}.npy"):
        try:
            if described is None:
                return read_array(path, "<f8", (None, record.experiment.num_computations), record.rows)
            array = read_array(path, described.dtype.str, described.shape)
        except FileNotFoundError:
            continue
        if not np.array_equal(array, described):
            raise CorruptExperimentError(f"{path} does not agree with {RECORD_FILE}")
        return array
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
        return  # nothing can be said about the files
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
    if record is None and not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def writing(name: str) -> Iterator[Path]:
    """Be the only writer to the folder of an experiment, which is settled before and after.

    Raises:
        BlockingIOError: If another process writes to it now.
        FileExistsError: If the folder has files but is not an experiment.
    """
    folder = experiment_folder(name)
    with locked(name):
        try:
            settle(folder)
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)
            if not (folder / RECORD_FILE).exists() and any(folder.iterdir()):
                raise FileExistsError(
                    refusal(f"expected no files in {folder}, which holds no {RECORD_FILE}.", name=name)
                )
            yield folder
        finally:
            settle(folder)


def publish(folder: Path, record: Record, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace an experiment, or make it, atomically: at any instant it is the old one or the new one."""
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
