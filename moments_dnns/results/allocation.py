"""Folders of experiments that are being run: arrays that have a row for every realization, and grow as they fill.

Row k is for realization k, and NaN until it is there. So a commit writes rows in place, and memory does not grow with
the number of realizations. Files grow by doubling, so that each is copied a few times only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from moments_dnns._device import THREADS
from moments_dnns._resources import check_disk, check_memory
from moments_dnns._validation import refusal
from moments_dnns.descriptions.base import Description
from moments_dnns.moments import kept_name

from .checksums import EMPTY
from .files import lengthen, num_rows_of, sync_folder, write_array, write_empty
from .provenance import changes, combine, pruned_in_words
from .record import Record, in_words

SMALLEST = 1 << 16  # bytes of numbers with which the file of an array begins, if it will be as long

FEWER = "expected fewer realizations or computations"
MORE_DISK = f"{FEWER}, or a larger disk for npy/, which MOMENTS_DNNS_NPY can name"


def new_record(experiment: Description, provenance: Mapping[str, Any]) -> Record:
    """Return the record of an experiment of which nothing is committed yet."""
    measured = tuple(map(kept_name, experiment.array_names))
    arrays = (*measured, *experiment.described)
    record = Record(experiment, arrays, sources=(), in_place=True, provenance=dict(provenance))
    return attrs.evolve(record, checksums=dict.fromkeys(measured, EMPTY))


def continued(present: Record, asked: Record, name: str) -> Record:
    """Return the record of an experiment that is continued, or extended to more realizations.

    Args:
        present: The record that is there.
        asked: The record of what is asked for.
        name: The name of the experiment.

    Raises:
        FileExistsError: If they differ in more than their realizations, what is there was merged, or realizations that
            are missing would be computed with another backend or other threads.
    """
    differences = present.differences(asked)
    if not present.in_place:
        differences["sources"] = (list(map(tuple, present.sources)), f"seed {asked.experiment.seed}")
    pruned = pruned_in_words(present.provenance) if "arrays" in differences else ""
    if differences:
        raise FileExistsError(
            refusal(
                "expected a new name, overwrite=True, or the description of the experiment that is there; what is "
                f"there and what is asked for differ in {in_words(differences)}.{pruned}",
                name=name,
            )
        )
    if num_missing(present, asked.experiment) and (changed := changes(present.provenance, asked.provenance)):
        raise FileExistsError(
            refusal(
                "the last digits depend on the backend and the threads within its operations, and the networks on the "
                "normal numbers that it draws, so that realizations of one experiment are not mixed: expected those of "
                f"the experiment that is there (KERAS_BACKEND; {', '.join(THREADS.values())}; normals as this version "
                "of the library draws them), overwrite=True, or a new name. What is there and this "
                f"process differ in {in_words(changed)}.",
                name=name,
            )
        )
    most = max(present.experiment.num_realizations, asked.experiment.num_realizations)
    return attrs.evolve(
        present,
        experiment=attrs.evolve(present.experiment, num_realizations=most),
        provenance=combine([asked.provenance, present.provenance]),
    )


def num_missing(present: Record, asked: Description) -> int:
    """Return how many of the realizations that are asked for are not there."""
    stop = asked.num_realizations
    return stop - sum(min(source.stop, stop) - min(source.start, stop) for source in present.sources)


def allocate(folder: Path, record: Record) -> None:
    """Write the arrays of a new experiment, which wait for its first commit.

    Raises:
        OSError: If the disk is too small.
    """
    num_columns = record.experiment.num_computations
    num_rows = min(record.experiment.num_realizations, max(1, SMALLEST // (8 * num_columns)))
    for name in record.measured:
        write_empty(record.staged(folder, name), num_rows, num_columns)
    for name, array in record.experiment.described.items():
        write_array(record.staged(folder, name), array)
    sync_folder(folder)


def grow(folder: Path, record: Record, num_rows: int) -> None:
    """Give the arrays of an experiment at least so many rows: twice as many as there are, where these do not suffice.

    Raises:
        CorruptExperimentError: If a file is damaged.
        OSError: If the disk is too small.
    """
    num_columns, most = record.experiment.num_computations, record.experiment.num_realizations
    lengths = {record.path(folder, name): 0 for name in record.measured}
    lengths = {path: num_rows_of(path, num_columns) for path in lengths}
    longer = {path: max(num_rows, min(2 * rows, most)) for path, rows in lengths.items() if rows < num_rows}
    if longer:
        # The old files stay until the new ones are complete, one after the other.
        largest = 8 * num_columns * max(longer.values())
        added = 8 * num_columns * sum(rows - lengths[path] for path, rows in longer.items())
        check_disk(folder, added + largest, largest, f"{num_rows} realizations or more", MORE_DISK)
        for path, rows in longer.items():
            lengthen(path, folder / f"{path.name.partition('.npy')[0]}.npy.longer", rows)
        sync_folder(folder)


def check_room(experiment: Description, folder: Path | None, committed: int = 0) -> None:
    """Refuse an experiment whose arrays do not fit on the disk, or as the result of a run in memory.

    Args:
        experiment: What is asked for.
        folder: Where it is saved; None if it is kept in memory only.
        committed: How many realizations are on the disk already.

    Raises:
        MemoryError: If there is not enough memory.
        OSError: If the disk is too small.
    """
    row = 8 * experiment.num_computations
    what = f"the {len(experiment.array_names)} arrays of {experiment.num_realizations} realizations"
    check_memory(row * len(experiment.array_names) * experiment.num_realizations, what, FEWER)
    if folder is not None:
        missing = max(experiment.num_realizations - committed, 0)
        total = row * len(experiment.array_names) * missing
        check_disk(folder, total, row * experiment.num_realizations, what, MORE_DISK)
